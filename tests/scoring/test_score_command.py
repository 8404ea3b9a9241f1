from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import pytest

REFERENCE = "The cat sat on the mat. (ann-1)\nIt costs $21. (bob-2)\nnothing here (ann-3)\n"
FIRST = "ann-1 the cat sat on mat\nbob-2 it cost twenty one dollars\nann-3\n"
SECOND = (
    '{"audio_filepath": "x/bob-2.wav", "pred_text": "it costs twenty one dollars"}\n'
    '{"audio_filepath": "x/ann-1.wav", "pred_text": "the cat sat on the mat"}\n'
    '{"audio_filepath": "x/ann-3.wav", "pred_text": "nothing hear"}\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ref.trn").write_text(REFERENCE)
    (tmp_path / "first.text").write_text(FIRST)
    (tmp_path / "second.jsonl").write_text(SECOND)
    (tmp_path / "wav").mkdir()
    with wave.open(str(tmp_path / "wav" / "ann-1.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3200))
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "speech_mlflow", "score", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stderr
    return done


def test_json_is_one_document_on_stdout(folder: Path) -> None:
    done = run(folder, "ref.trn", "first.text", "second.jsonl", "--group", "speaker=^([^-]+)-", "--json")
    document = json.loads(done.stdout)
    assert document["normalizer"] == "en-US"
    first, second = document["models"]
    assert (first["model"], second["model"]) == ("first", "second")
    # "the" and two words of the third are missing, "cost" is wrong; the price is the same when spoken
    assert (first["words"], first["deletions"], first["substitutions"]) == (13, 3, 1)
    assert first["wer"] == pytest.approx(4 / 13)
    assert (second["errors"], second["substitutions"]) == (1, 1)
    assert second["groups"]["speaker"]["bob"]["wer"] == 0
    assert document["comparisons"][0]["models"] == ["first", "second"]
    assert document["comparisons"][0]["wer_difference"] == pytest.approx(-3 / 13)
    assert "too few" in document["comparisons"][0]["notes"][0]


def test_json_without_reference_words(folder: Path) -> None:
    """Noise alone: JSON has no infinity."""
    for name, lines in {"ref": "u1\t\nu2\t\n", "one": "u1\ta b\nu2\tc\n", "two": "u1\ta\nu2\t\n"}.items():
        (folder / f"{name}.tsv").write_text(lines)
    done = run(folder, "ref.tsv", "one.tsv", "two.tsv", "--json")
    document = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert document["comparisons"][0]["wer_difference"] is None
    assert document["models"][0]["wer"] is None
    assert "∞" in run(folder, "ref.tsv", "one.tsv").stdout


def test_a_verdict_among_many_is_corrected(folder: Path) -> None:
    """Six utterances of forty got better, none worse: more than chance by itself, and not among 28 comparisons."""
    ids = [f"u{number}" for number in range(40)]
    (folder / "many.tsv").write_text("".join(f"{name}\ta b c d\n" for name in ids))
    names = [f"m{number}" for number in range(8)]
    for name in names:
        better = 6 if name == "m0" else 0
        (folder / f"{name}.tsv").write_text(
            "".join(f"{one}\t{'a b c d' if place < better else 'a b c x'}\n" for place, one in enumerate(ids))
        )
    shown = run(folder, "many.tsv", *(f"{name}.tsv" for name in names)).stdout
    assert "corrected for 28 comparisons" in shown
    assert "is better than" not in shown


def test_tables_for_people_report_and_csv(folder: Path) -> None:
    done = run(
        folder, "ref.trn", "first.text", "second.jsonl", "--name", "old", "--name", "new/2",
        "--report", "r.html", "--audio", "wav", "--table", "t.csv", "--resamples", "500",
    )  # fmt: skip
    assert "30.8 %" in done.stdout
    assert "new/2 against old" in done.stdout
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "new/2" in page
    assert "1 of 3 recordings are in this file" in page
    assert "2 were not found" in page
    assert (folder / "t-new_2.csv").read_text().splitlines()[0].startswith("id,reference")
    assert (folder / "t-old.csv").exists()


def test_words_as_they_stand(folder: Path) -> None:
    document = json.loads(run(folder, "ref.trn", "second.jsonl", "--normalizer", "none", "--json").stdout)
    assert document["normalizer"] == "none"
    assert document["models"][0]["errors"] > 1


def test_streaming_gives_the_same_counts(folder: Path) -> None:
    whole = json.loads(run(folder, "ref.trn", "first.text", "--json").stdout)
    streamed = json.loads(run(folder, "ref.trn", "first.text", "--stream", "--json").stdout)
    assert streamed["models"] == whole["models"]
    refused = run(folder, "ref.trn", "first.text", "--stream", "--report", "r.html", code=2)
    assert "--stream does not keep" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ref.trn", "ref.trn", "--name", "a", "--name", "b"], 2, "2 names for 1 files"),
        (["ref.trn", "first.text", "--group", "speaker=("], 2, "regular expression"),
        (["ref.trn", "first.text", "--group", "speaker"], 2, "NAME=REGEX"),
        (["ref.trn", "first.text", "--normalizer", "klingon!"], 3, "no normaliser named 'klingon!'"),
        (["ref.trn", "missing.text"], 2, "does not exist"),
        (["ref.trn", "short.text"], 3, "2 utterances have no hypothesis: bob-2, ann-3"),
        (["ref.trn", "first.text", "--table", "t.xlsx"], 3, "xlsx"),
    ],
)
def test_what_is_wrong_is_said_on_stderr(folder: Path, arguments: list[str], code: int, words: str) -> None:
    (folder / "short.text").write_text("ann-1 the\n")
    done = run(folder, *arguments, "--json", code=code)
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_missing_ones_may_count_as_empty(folder: Path) -> None:
    (folder / "short.text").write_text("ann-1 the cat sat on the mat\nzoe-9 extra\n")
    done = run(folder, "ref.trn", "short.text", "--missing-as-empty", "--ignore-extra", "--json")
    assert json.loads(done.stdout)["models"][0]["deletions"] == 7


def test_recordings_outside_the_folder_stay_out(folder: Path) -> None:
    (folder / "secret.wav").write_bytes(b"RIFF0000WAVEsecret")
    (folder / "wav" / "link.wav").symlink_to(folder / "secret.wav")
    (folder / "r.tsv").write_text("../secret.wav\ta\nlink.wav\tb\n")
    run(folder, "r.tsv", "r.tsv", "--report", "r.html", "--audio", "wav", "--normalizer", "none")
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "0 of 2 recordings" in page
