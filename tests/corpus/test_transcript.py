"""Transcripts: every way to write them wrongly is explained with its line, all at once."""

from __future__ import annotations

import pytest

from speech_mlflow.corpus.text import decode
from speech_mlflow.corpus.transcript import Transcript, looks_like_transcript, parse_transcript


def read(text: str) -> Transcript:
    return parse_transcript(decode(text.encode(), "trans.txt"))


def test_lines_are_name_tab_text() -> None:
    transcript = read("a.wav\tfirst line\n\n  b.WAV \t second  line \nfolder/c.wav\tthird\n")
    assert [(line.number, line.id, line.text) for line in transcript.lines] == [
        (1, "a.wav", "first line"),
        (3, "b.WAV", "second  line"),
        (4, "c.wav", "third"),
    ]
    assert transcript.problems == ()


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        pytest.param("a.wav hello there", "missing-tab", "put one tab, not spaces", id="spaces"),
        pytest.param("mary-001 hello there", "missing-tab", "Kaldi", id="Kaldi"),
        pytest.param("LJ001-0001|Printing, in the only sense|Printing", "missing-tab", "LJSpeech", id="LJSpeech"),
        pytest.param("a.wav,hello there", "missing-tab", "CSV", id="CSV"),
        pytest.param('{"audio_filepath": "a.wav", "text": "hello"}', "missing-tab", "JSON", id="JSON lines"),
        pytest.param("hello there (mary-001)", "missing-tab", "sclite", id="trn"),
        pytest.param("hello", "missing-tab", "name.wav<TAB>text", id="text only"),
        pytest.param("\thello", "missing-name", "name.wav<TAB>text", id="no name"),
        pytest.param("a.wav\t", "empty-text", "leave it out", id="empty reference"),
        pytest.param("a.wav\thello\tmary", "extra-column", "metadata file", id="speaker in a third column"),
        pytest.param("a.wav\thello\tthere", "extra-column", "two columns", id="tab in the text"),
        pytest.param("mary-001\thello", "not-a-wav-name", "with .wav", id="Kaldi with a tab"),
        pytest.param("a.mp3\thello", "not-a-wav-name", "sox FILE.mp3", id="mp3"),
        pytest.param("filename\ttext", "not-a-wav-name", "header", id="header line"),
        pytest.param("ok.wav\tagain", "duplicate-line", "keep one", id="duplicate"),
        pytest.param("x/ok.wav\tagain", "duplicate-line", "keep one", id="duplicate in another folder"),
    ],
)
def test_lines_that_cannot_be_read(line: str, code: str, hint: str) -> None:
    transcript = read(f"ok.wav\tfine\n{line}\n")
    (problem,) = transcript.problems
    assert (problem.severity, problem.code, problem.file, problem.line) == ("error", code, "trans.txt", 2)
    assert problem.hint is not None
    assert hint in problem.hint
    assert [line.id for line in transcript.lines] == ["ok.wav"]
    assert transcript.rejected == 1


def test_all_problems_at_once() -> None:
    transcript = read("a.wav hello\nb.wav\t\nc.wav\tfine\nc.wav\ttwice\n\x07d.wav\tbell\n")
    assert [(problem.line, problem.code) for problem in transcript.problems] == [
        (5, "control-character"),
        (1, "missing-tab"),
        (2, "empty-text"),
        (4, "duplicate-line"),
    ]


def test_an_empty_transcript_says_so() -> None:
    assert [problem.code for problem in read("\n\n").problems] == ["no-lines"]


def test_backslashes_are_read_as_folders() -> None:
    transcript = read("wavs\\a.wav\thello\n")
    assert transcript.lines[0].id == "a.wav"
    assert [problem.code for problem in transcript.problems] == ["backslash"]


def test_a_line_of_ten_megabytes_is_quoted_shortly() -> None:
    (problem,) = read("x" * 10_000_000).problems
    assert len(str(problem)) < 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.wav\tx\nb.wav\ty\n", True),
        ("a.wav x\nb.wav y\n", True),
        ("3CPO\tthree c p o\n", False),
        ("play the a.wav file\n", False),
        ("", False),
    ],
)
def test_transcripts_are_told_from_other_texts(text: str, expected: bool) -> None:
    assert looks_like_transcript(decode(text.encode(), "a.txt")) is expected
