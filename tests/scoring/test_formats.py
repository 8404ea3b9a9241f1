from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import score, score_stream
from speech_mlflow.scoring.export import write_table
from speech_mlflow.scoring.formats import Side, detect_format, read_pair, read_transcripts, short_id, stream_pairs
from speech_mlflow.scoring.timed import read_stm

TEXTS = {"u1": "the cat sat", "u2": "", "u3": "grüße (laut)"}

CONTENT = {
    "trn": "the cat sat (u1)\n;; a comment\n (u2)\ngrüße (laut) (u3)\n",
    "text": "u1 the cat sat\nu2\nu3   grüße (laut)\n",
    "tsv": "u1\tthe cat sat\nu2\t\nu3\tgrüße (laut)\n",
    "csv": 'speaker,id,text\nann,u1,the cat sat\nbob,u2,\nann,u3,"grüße (laut)"\n',
    "jsonl": "\n".join(json.dumps({"id": name, "text": text, "speaker": "s"}) for name, text in TEXTS.items()),
    "json": json.dumps(TEXTS),
}


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("side", ["reference", "hypothesis"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_every_format_gives_the_same_texts(tmp_path: Path, name: str, side: Side, encoding: str) -> None:
    found = read_transcripts(write(tmp_path / f"x.{name}", CONTENT[name], encoding), side)
    assert found.format == name
    assert dict(found.texts) == TEXTS


@pytest.mark.parametrize("name", ["trn", "text", "tsv", "jsonl"])
def test_the_format_of_a_txt_file_is_guessed(tmp_path: Path, name: str) -> None:
    assert detect_format(write(tmp_path / "x.txt", CONTENT[name])) == name
    assert dict(read_transcripts(tmp_path / "x.txt", "reference").texts) == TEXTS


def test_the_format_may_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "u1\ta (b)\n")
    assert read_transcripts(path, "reference", format="text").texts == {"u1": "a (b)"}
    assert read_transcripts(path, "reference", format="trn").texts == {"b": "u1\ta"}
    with pytest.raises(ScoringError, match="no format 'docx'"):
        read_transcripts(path, "reference", format="docx")


def test_groups_are_read_where_every_utterance_has_one(tmp_path: Path) -> None:
    lines = [{"id": "a", "text": "x", "speaker": "s1", "gender": "f"}, {"id": "b", "text": "y", "speaker": "s2"}]
    found = read_transcripts(write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines))), "reference")
    assert found.groups == {"speaker": ("s1", "s2")}
    assert read_transcripts(write(tmp_path / "x.csv", CONTENT["csv"]), "reference").groups == {"speaker": ("ann", "bob", "ann")}


def test_one_manifest_for_both_sides(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", json.dumps({"audio_filepath": "a/b.wav", "text": "said", "pred_text": "heard"}))
    assert read_transcripts(path, "reference").texts == {"a/b.wav": "said"}
    assert read_transcripts(path, "hypothesis").texts == {"a/b.wav": "heard"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_another_delimiter(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "x.csv", delimiter.join(["Id", "Reference"]) + "\n" + delimiter.join(["u", "a b"]) + "\n")
    assert read_transcripts(path, "reference").texts == {"u": "a b"}


def test_all_problems_of_a_file_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "x.trn", "fine (a)\nno id\nagain (a)\n{ b / c } (d)\n")
    with pytest.raises(ScoringError) as caught:
        read_transcripts(path, "reference")
    text = str(caught.value)
    assert "3 problems" in text
    assert "x.trn:2 does not end with an id" in text
    assert "x.trn:3 a occurs again, first in line 1" in text
    assert "x.trn:4 alternatives" in text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.jsonl", '{"id": "a"\n[1]\n{"text": "x"}\n{"id": "b", "n": 1}\n{"id": "c", "text": 3}', "5 problems"),
        ("x.csv", "id,text\na,b,c\nd\n", "2 problems"),
        ("x.json", "[1", "cannot be read"),
        ("x.json", "3", "neither"),
        ("x.trn", "", "no utterances"),
        ("x.ctm", "a A x 1 word\n", "1 problems"),
        ("x.stm", "a A s 1\n", "1 problems"),
        ("x.ctm", "a A 0 1 <ALT_BEGIN>\n", "alternatives"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    with pytest.raises(ScoringError, match=words):
        read_transcripts(write(tmp_path / name, content), "reference")


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    for name in ("x.trn", "x.csv", "x.txt"):
        with pytest.raises(ScoringError, match="not UTF-8"):
            read_transcripts(write(tmp_path / name, "grüße (a)\n" * 3, "latin-1"), "reference")


def test_ids_without_partner_are_all_told(tmp_path: Path) -> None:
    reference = write(tmp_path / "r.text", "a x\nb y\nc z\n")
    one, two = write(tmp_path / "1.text", "a x\n"), write(tmp_path / "2.text", "a x\nb y\nc z\nd q\n")
    with pytest.raises(ScoringError) as caught:
        read_pair(reference, {"one": one, "two": two})
    assert "2 utterances have no hypothesis: b, c" in str(caught.value)
    assert "1 hypotheses have no reference: d" in str(caught.value)
    _, matched = read_pair(reference, {"one": one, "two": two}, missing_as_empty=True, ignore_extra=True)
    assert matched == {"one": {"a": "x", "b": "", "c": ""}, "two": {"a": "x", "b": "y", "c": "z"}}


def test_ids_differ_in_folder_and_ending_only(tmp_path: Path) -> None:
    reference = write(tmp_path / "r.tsv", "a.wav\tx\nb.wav\ty\n")
    hypothesis = write(tmp_path / "h.jsonl", '{"path": "/data/b.WAV", "text": "y"}\n{"path": "/data/a.WAV", "text": "x"}\n')
    first, matched = read_pair(reference, {"h": hypothesis})
    assert matched["h"] == {"a.wav": "x", "b.wav": "y"} == dict(first.texts)
    assert list(matched["h"]) == ["a.wav", "b.wav"]
    assert short_id("C:\\x\\b.flac") == "b"


def test_same_name_in_two_folders_is_not_mixed_up(tmp_path: Path) -> None:
    reference = write(tmp_path / "r.tsv", "p/a.wav\tx\nq/a.wav\ty\n")
    with pytest.raises(ScoringError, match=r"no hypothesis: p/a\.wav, q/a\.wav"):
        read_pair(reference, {"h": write(tmp_path / "h.tsv", "a.wav\tx\nb.wav\ty\n")})


STM = """;; comment
rec A ann 0.00 2.00 <o,f> hello there
rec A bob 2.00 4.00 <o,m> good bye now
rec A ann 4.00 5.00 <o,f> IGNORE_TIME_SEGMENT_IN_SCORING
rec B cec 0.00 2.00 other channel
"""
CTM = """rec A 0.10 0.50 hello 0.9
rec A 1.80 0.60 good
rec A 3.90 0.05 bye 0.3
rec A 4.20 0.10 noise
rec A 5.40 0.10 late
rec B 0.50 0.20 other
"""


def test_words_go_to_the_segment_of_their_middle(tmp_path: Path) -> None:
    first, matched = read_pair(write(tmp_path / "r.stm", STM), {"h": write(tmp_path / "h.ctm", CTM)})
    assert list(first.texts.values()) == ["hello there", "good bye now", "other channel"]
    assert first.groups == {"speaker": ("ann", "bob", "cec")}
    # "good" begins in the first segment, its middle is in the second; what lies in the ignored one is dropped
    assert list(matched["h"].values()) == ["hello", "good bye", "other"]
    found = score(first.texts, matched["h"], groups=first.groups)
    assert (found.deletions, found.errors) == (3, 3)


def test_words_between_segments_go_to_the_nearest(tmp_path: Path) -> None:
    stm = "r A s 0 1 a\nr A s 5 6 b\n"
    _, matched = read_pair(
        write(tmp_path / "r.stm", stm), {"h": write(tmp_path / "h.ctm", "r A 1.5 .2 near\nr A 4.5 .2 far\nr A 9 .1 end\n")}
    )
    assert list(matched["h"].values()) == ["near", "far end"]


def test_words_of_an_unknown_recording_are_extra(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="no reference: x-A"):
        read_pair(write(tmp_path / "r.stm", STM), {"h": write(tmp_path / "h.ctm", "x A 0 1 a\n")})


def test_ctm_against_whole_recordings(tmp_path: Path) -> None:
    reference = write(tmp_path / "r.text", "one hello there\ntwo-1 a\ntwo-2 b\n")
    words = "one 1 0.5 .1 there\none 1 0.1 .1 hello\ntwo 1 0 1 a\ntwo 2 0 1 b\n"
    _, matched = read_pair(reference, {"h": write(tmp_path / "h.ctm", words)})
    assert matched["h"] == {"one": "hello there", "two-1": "a", "two-2": "b"}


def test_segments(tmp_path: Path) -> None:
    segments = read_stm(write(tmp_path / "r.stm", STM))
    assert segments[0].label == "o,f"
    assert segments[3].label == ""
    assert [one.ignored for one in segments] == [False, False, True, False]


def test_two_files_in_step(tmp_path: Path) -> None:
    reference = write(tmp_path / "r.trn", "".join(f"a b c (u{index})\n" for index in range(5000)))
    hypothesis = write(tmp_path / "h.text", "".join(f"u{index} a b\n" for index in range(5000)))
    found = score_stream(stream_pairs(reference, hypothesis))
    assert (found.words, found.deletions, len(found)) == (15_000, 5000, 5000)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "words"),
    [
        ("a x\nb y\n", "a x\nc y\n", "line 2 has b where"),
        ("a x\nb y\n", "a x\n", "ends before b"),
        ("a x\n", "a x\nb y\n", "ends before b"),
    ],
)
def test_two_files_out_of_step(tmp_path: Path, reference: str, hypothesis: str, words: str) -> None:
    paths = write(tmp_path / "r.text", reference), write(tmp_path / "h.text", hypothesis)
    with pytest.raises(ScoringError, match=words):
        list(stream_pairs(*paths))


def test_table_for_a_spreadsheet(tmp_path: Path) -> None:
    """A cell that a spreadsheet would run as a formula gets an apostrophe."""
    hostile = ['=HYPERLINK("http://x")', "+1", "-2", "@SUM(A1)", "fine, really", "\ud800"]
    found = score(hostile, hostile, ids=[f"={index}" for index in range(6)], groups={"=x": ["@y"] * 6})
    write_table(found, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["id", "'=x", "reference", "hypothesis"]
    assert rows[1][:3] == ["'=0", "'@y", '\'=HYPERLINK("http://x")']
    assert rows[5][2:4] == ["fine, really", "fine, really"]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_table_as_json_lines(tmp_path: Path) -> None:
    found = score({"a": "x y", "b": ""}, {"a": "x", "b": "\ud800"})
    write_table(found, tmp_path / "t.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {
        "id": "a", "reference": "x y", "hypothesis": "x", "words": 2, "hits": 1, "substitutions": 0, "deletions": 1,
        "insertions": 0, "errors": 1, "wer": 0.5,
    }  # fmt: skip
    assert rows[1]["wer"] is None
    with pytest.raises(ScoringError, match="xlsx"):
        write_table(found, tmp_path / "t.xlsx")
