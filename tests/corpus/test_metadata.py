"""Metadata beside the data: groups of utterances, never uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.corpus import Corpus, read_corpus
from tests.corpus.make import acoustic, folder, zipped


def read(tmp_path: Path, files: dict[str, str], *, data: str = "test") -> Corpus:
    folder(tmp_path / data, acoustic())
    folder(tmp_path, dict(files))
    return read_corpus(tmp_path / data, locale="en-US")


def test_csv(tmp_path: Path) -> None:
    corpus = read(tmp_path, {"metadata.csv": 'id,speaker,device\na0.wav,mary,"head, set"\na1,john,\na2.wav,mary,phone\n'})
    assert [utterance.groups for utterance in corpus.utterances] == [
        {"speaker": "mary", "device": "head, set"},
        {"speaker": "john"},
        {"speaker": "mary", "device": "phone"},
    ]
    assert [utterance.speaker for utterance in corpus.utterances] == ["mary", "john", "mary"]
    assert corpus.profile()["speakers"] == 2
    assert corpus.problems == ()


def test_json_lines(tmp_path: Path) -> None:
    rows = '{"id": "a0.wav", "speaker": "mary", "age": 30}\n\n{"id": "a1.wav"}\n{"id": "a2.wav", "speaker": null}\n'
    corpus = read(tmp_path, {"metadata.jsonl": rows})
    assert [utterance.groups for utterance in corpus.utterances] == [{"speaker": "mary", "age": "30"}, {}, {}]
    assert corpus.problems == ()


def test_the_file_of_its_own_name_comes_first_and_zips_have_one_too(tmp_path: Path) -> None:
    files = {name: content.encode() if isinstance(content, str) else content for name, content in acoustic(1).items()}
    (tmp_path / "test.zip").write_bytes(zipped(files))
    folder(tmp_path, {"metadata.csv": "id,speaker\na0,wrong\n", "test.metadata.csv": "id,speaker\na0,right\n"})
    assert read_corpus(tmp_path / "test.zip", locale="en-US").utterances[0].speaker == "right"


def test_without_metadata_nothing_is_known(tmp_path: Path) -> None:
    corpus = read(tmp_path, {})
    assert all(utterance.speaker is None and utterance.groups == {} for utterance in corpus.utterances)
    assert "speakers" not in corpus.profile()


def test_metadata_change_neither_fingerprint_nor_upload(tmp_path: Path) -> None:
    before = read(tmp_path, {})
    after = read(tmp_path, {"metadata.csv": "id,speaker\na0,m\na1,m\na2,m\n"})
    assert before.fingerprint == after.fingerprint
    first, second = before.write_upload(tmp_path / "1"), after.write_upload(tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()


def test_inside_the_data_it_is_not_read(tmp_path: Path) -> None:
    corpus = read(tmp_path, {"test/metadata.csv": "id,speaker\na0,mary\n"})
    (problem,) = corpus.problems
    assert problem.hint == "put it beside the data, not in it"
    assert corpus.utterances[0].speaker is None


MISSING = ("metadata-missing", None, "warning")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("metadata.csv", "name,x\na0,m\n", [("metadata-columns", 1, "error"), MISSING]),
        ("metadata.csv", "id,x\na0,m\na1\na2,m\n", [("metadata-columns", 3, "error"), MISSING]),
        ("metadata.csv", "id,x\na0,m\na0.wav,m\na1,m\na2,m\n", [("metadata-id", 3, "error")]),
        ("metadata.csv", "id,x\n,m\na0,m\na1,m\na2,m\n", [("metadata-id", 2, "error")]),
        ("metadata.csv", "id,x\na0,m\n", [MISSING]),
        ("metadata.csv", "id,x\na0,1\na1,2\na2,3\nother,4\n", []),
        ("metadata.jsonl", '{"id": "a0"}\n{"id"\n{"id": "a1"}\n{"id": "a2"}\n', [("metadata", 2, "error")]),
        ("metadata.jsonl", '{"id": "a0", "x": [1]}\n{"id": "a1"}\n{"id": "a2"}\n', [("metadata", 1, "error"), MISSING]),
    ],
)
def test_problems(tmp_path: Path, name: str, content: str, expected: list[tuple[str, int | None, str]]) -> None:
    corpus = read(tmp_path, {name: content})
    assert all(problem.file == name for problem in corpus.problems)
    assert sorted((p.code, p.line, p.severity) for p in corpus.problems) == sorted(expected)
