"""Corpora used together."""

from __future__ import annotations

from pathlib import Path

from speech_mlflow.corpus import check_overlap, check_training, read_corpus
from tests.corpus.make import acoustic, folder, wav


def test_structured_text_and_pronunciations_do_not_go_together(tmp_path: Path) -> None:
    folder(tmp_path, {"s.md": "# A\n- hello\n", "p.txt": "a\tb\n", "t.txt": "hello\n"})
    structured, pronunciations, text = (read_corpus(tmp_path / name, locale="en-US") for name in ("s.md", "p.txt", "t.txt"))
    assert check_training([structured, text]) == check_training([pronunciations, text]) == check_training([]) == ()
    (problem,) = check_training([pronunciations, text, structured])
    assert (problem.severity, problem.code, problem.file) == ("error", "combination", "p.txt")


def test_locales_do_not_go_together(tmp_path: Path) -> None:
    path = folder(tmp_path, {"t.txt": "hello\n"}) / "t.txt"
    first, second = (read_corpus(path, locale=locale) for locale in ("en-US", "en-GB"))
    (problem,) = check_training([first, second])
    assert (problem.severity, problem.code) == ("error", "locale")


def test_test_data_that_training_has_seen(tmp_path: Path) -> None:
    training = [
        read_corpus(folder(tmp_path / "train", acoustic(2)), locale="en-US"),
        read_corpus(folder(tmp_path, {"t.txt": "A new sentence!\na word\n"}) / "t.txt", locale="en-US"),
        read_corpus(folder(tmp_path, {"p.txt": "fine\tf ine\n"}) / "p.txt", locale="en-US"),
    ]
    files: dict[str, bytes | str] = {
        "same.wav": acoustic()["a0.wav"],
        "said.wav": wav(0.2),
        "read.wav": wav(0.3),
        "new.wav": wav(0.4),
        "trans.txt": ("same.wav\tsomething else\nsaid.wav\tthis is, number ONE.\nread.wav\ta new sentence\nnew.wav\tfine\n"),
    }
    testing = read_corpus(folder(tmp_path / "test", files), locale="en-US")
    problems = check_overlap(training, testing)
    assert [(problem.severity, problem.code, problem.file) for problem in problems] == [
        ("warning", "tested-on-training", name) for name in ("same.wav", "said.wav", "read.wav")
    ]
    assert "'train: a0.wav'" in problems[0].message
    assert "'t: line 1'" in problems[2].message


def test_recordings_without_transcripts_say_nothing_of_each_other(tmp_path: Path) -> None:
    first = read_corpus(folder(tmp_path / "1", {"a.wav": wav(0.1)}), locale="en-US")
    second = read_corpus(folder(tmp_path / "2", {"a.wav": wav(0.2)}), locale="en-US")
    assert check_overlap([first], second) == ()
