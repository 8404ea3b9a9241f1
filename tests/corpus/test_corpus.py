"""A corpus as a whole: checks by purpose, fingerprint, upload, view."""

from __future__ import annotations

import hashlib
import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from speech_mlflow.corpus import Corpus, Member, read_corpus
from speech_mlflow.corpus.checks import check_recordings
from speech_mlflow.corpus.scan import Recording
from speech_mlflow.corpus.wav import read_wav
from speech_mlflow.errors import CorpusError, SpeechMlflowError
from speech_mlflow.progress import ProgressEvent
from tests.corpus.make import acoustic, folder, wav, zipped


def text_file(tmp_path: Path, content: str | bytes, name: str = "a.txt") -> Path:
    return folder(tmp_path, {name: content}) / name


def long_wav(seconds: int) -> bytes:
    """A recording made quickly, of silence."""
    return wav(0.0, rate=8000, declared=16000 * seconds) + bytes(16000 * seconds)


def codes(corpus: Corpus) -> list[tuple[str, str]]:
    return [(problem.severity, problem.code) for problem in corpus.problems]


@pytest.mark.parametrize(
    ("lengths", "purpose", "expected"),
    [
        ((41, 30), None, [("warning", "long-for-training")]),
        ((41, 30), "training", [("warning", "long-for-training"), ("warning", "hours")]),
        ((41, 42), "training", [("warning", "long-for-training")] * 2 + [("error", "long-for-training"), ("warning", "hours")]),
        ((41, 42), "testing", [("warning", "hours")]),
        ((40, 1760), "testing", []),
        ((7201,), "testing", [("error", "audio")]),
    ],
    ids=str,
)
def test_lengths(tmp_path: Path, lengths: tuple[int, ...], purpose: str | None, expected: list[tuple[str, str]]) -> None:
    files: dict[str, bytes | str] = {f"a{n}.wav": long_wav(seconds) for n, seconds in enumerate(lengths)}
    files["trans.txt"] = "".join(f"a{n}.wav\tsome words\n" for n in range(len(lengths)))
    corpus = read_corpus(folder(tmp_path / "data", files), locale="en-US", purpose=purpose)  # type: ignore[arg-type]
    assert codes(corpus) == expected


def test_number_of_files() -> None:
    data = wav()
    member = Member("a.wav", "a.wav", len(data), lambda: io.BytesIO(data))
    recordings = [Recording(member, read_wav(data), "0" * 64)] * 10_000
    assert list(check_recordings(recordings, "data", None)) == []
    (problem,) = check_recordings([*recordings, recordings[0]], "data", None)
    assert (problem.severity, problem.code) == ("error", "many-files")


@pytest.mark.parametrize(
    ("content", "locale", "kind", "expected"),
    [
        (b"plain\n", "en-US", "Language", [("warning", "no-bom")]),
        (b"a\tb\n", "en-US", "Pronunciation", []),
        (b"a\tb\n", "de-DE", "Pronunciation", [("warning", "no-bom")]),
        (b"caf\xe9\tkafay\n", "en-US", "Pronunciation", [("warning", "encoding")]),
        (b"caf\xe9\tkafe\n", "de-DE", "Pronunciation", [("error", "encoding")]),
        (b"a\t" + b"b" * (1 << 20), "en-US", "Pronunciation", [("error", "large")]),
        (b"#itn\n\\d\n", "en-US", "OutputFormatting", [("warning", "no-bom")]),
        (b"#itn\n\\d\n", "cs-CZ", "OutputFormatting", [("warning", "locale"), ("warning", "no-bom")]),
        (b"", "en-US", "Language", [("warning", "no-bom"), ("error", "no-lines")]),
    ],
)
def test_text_files(tmp_path: Path, content: bytes, locale: str, kind: str, expected: list[tuple[str, str]]) -> None:
    path = text_file(tmp_path, content)
    if len(content) > 1 << 20:
        with pytest.raises(CorpusError, match="at most 1,048,576"):
            read_corpus(path, locale=locale, kind=kind)
        assert ("error", "large") in codes(read_corpus(path, locale=locale))
        return
    assert sorted(codes(read_corpus(path, locale=locale, kind=kind))) == sorted(expected)


def test_many_japanese_lines(tmp_path: Path) -> None:
    path = text_file(tmp_path, "日本語\n" * 20_001)
    assert codes(read_corpus(path, locale="ja-JP")) == [("warning", "many-lines")]
    assert codes(read_corpus(path, locale="zh-CN")) == []


def test_a_transcript_without_mark(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"a.wav": wav(), "trans.txt": b"a.wav\thello\n"}
    path = folder(tmp_path / "data", files)
    assert codes(read_corpus(path, locale="en-US")) == []
    assert codes(read_corpus(path, locale="de-DE")) == [("warning", "no-bom")]


def test_kind_given_against_what_is_there(tmp_path: Path) -> None:
    path = folder(tmp_path / "data", acoustic(1))
    assert codes(read_corpus(path, locale="en-US", kind="AudioFiles")) == [("warning", "unknown-file")]
    (path / "trans.txt").unlink()
    assert codes(read_corpus(path, locale="en-US", kind="Acoustic")) == [("error", "no-transcript")]


def test_purposes_that_a_kind_does_not_serve(tmp_path: Path) -> None:
    text = text_file(tmp_path, "hello\n")
    assert codes(read_corpus(text, locale="en-US", purpose="training")) == []
    assert codes(read_corpus(text, locale="en-US", purpose="testing")) == [("error", "purpose")]
    audio = folder(tmp_path / "audio", {"a.wav": long_wav(39), "b.wav": long_wav(39)})
    hours = ("warning", "hours")
    assert codes(read_corpus(audio, locale="en-US", purpose="training")) == [hours]
    assert codes(read_corpus(audio, locale="de-DE", purpose="training")) == [("error", "locale"), hours]
    assert codes(read_corpus(audio, locale="de-DE", purpose="testing")) == [hours]


def test_check_raises_with_all_problems_and_lists_some(tmp_path: Path) -> None:
    lines = "".join(f"x{n}.wav\n" for n in range(30))
    path = folder(tmp_path / "data", {"a.wav": wav(), "b.wav": wav(), "trans.txt": "a.wav\tfine\n" + lines})
    corpus = read_corpus(path, locale="en-US")
    with pytest.raises(CorpusError) as caught:
        corpus.check()
    assert caught.value.exit_code == 3
    assert caught.value.problems == corpus.problems
    assert len(corpus.errors) == 30
    assert len(corpus.warnings) == 1
    message = caught.value.message.splitlines()
    assert message[0].endswith("data: 30 errors")
    assert message[1].strip().startswith("trans.txt:2: error: there is no tab in 'x0.wav'")
    assert message[-1].strip() == "… and 10 more"
    with pytest.raises(CorpusError):
        corpus.write_upload(tmp_path / "up")
    assert not (tmp_path / "up").exists()


def test_warnings_do_not_raise(tmp_path: Path) -> None:
    corpus = read_corpus(text_file(tmp_path, "see http://example.com\nfine\n"), locale="en-US")
    corpus.check()
    assert len(corpus.warnings) == 1
    assert corpus.profile() == {"utterances": 2, "hours": 0.0, "words": 3, "vocabulary": 3, "rejected_lines": 1}


def test_words_are_counted(tmp_path: Path) -> None:
    corpus = read_corpus(text_file(tmp_path, "Hello, hello world!\n“it's” -- fine\n"), locale="en-GB")
    assert (corpus.profile()["words"], corpus.profile()["vocabulary"]) == (5, 4)
    corpus = read_corpus(text_file(tmp_path, "你好，你好吗？\n"), locale="zh-CN")
    assert (corpus.profile()["words"], corpus.profile()["vocabulary"]) == (5, 3)


# The fingerprint


def variants() -> dict[str, Callable[[Path], Path]]:
    """Ways to store the same corpus."""
    files = {name: content.encode() if isinstance(content, str) else content for name, content in acoustic().items()}
    transcript = files["trans.txt"]

    def zip_of(content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Callable[[Path], Path]:
        def make(path: Path) -> Path:
            (path / "x.zip").write_bytes(zipped(content, method))
            return path / "x.zip"

        return make

    def folder_of(content: dict[str, bytes]) -> Callable[[Path], Path]:
        return lambda path: folder(path / "x", dict(content))

    def old(path: Path) -> Path:
        made = folder(path / "x", dict(files))
        for file in made.iterdir():
            os.utime(file, (0, 0))
        return made

    def at(transcript: bytes, name: str = "trans.txt") -> dict[str, bytes]:
        return {**{key: value for key, value in files.items() if key != "trans.txt"}, name: transcript}

    backwards = dict(reversed(files.items()))
    return {
        "folder": folder_of(files),
        "zip": zip_of(files),
        "zip in another order": zip_of(backwards),
        "zip without compression": zip_of(files, zipfile.ZIP_STORED),
        "other times": old,
        "other transcript name": folder_of(at(transcript, "text.tsv")),
        "byte order mark": folder_of(at(b"\xef\xbb\xbf" + transcript)),
        "CRLF": folder_of(at(transcript.replace(b"\n", b"\r\n"))),
        "UTF-16": folder_of(at(transcript.decode().encode("utf-16"))),
        "no end of the last line": folder_of(at(transcript.rstrip())),
        "litter": folder_of({**files, ".DS_Store": b"x"}),
        "a file that is not uploaded": folder_of({**files, "README.md": b"x"}),
        "in a folder": zip_of({f"data/{name}": content for name, content in files.items()}),
    }


@pytest.mark.parametrize("variant", list(variants()))
def test_the_fingerprint_does_not_depend_on_storage(tmp_path: Path, variant: str) -> None:
    expected = read_corpus(variants()["folder"](tmp_path), locale="en-US")
    other = tmp_path / "other"
    other.mkdir()
    found = read_corpus(variants()[variant](other), locale="en-US")
    assert found.fingerprint == expected.fingerprint
    uploads = [corpus.write_upload(tmp_path / f"up{n}") for n, corpus in enumerate((expected, found))]
    assert uploads[0].read_bytes() == uploads[1].read_bytes()
    assert uploads[0].name == uploads[1].name == f"x-{found.fingerprint[:12]}.zip"


ZERO, ONE, TWO = (f"a{n}.wav\tthis is number {word}\n" for n, word in enumerate(("zero", "one", "two")))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"a1.wav": wav(0.06, pitch=999)}, id="another recording"),
        pytest.param({"trans.txt": ZERO + ONE.replace("one", "ONE") + TWO}, id="text"),
        pytest.param({"trans.txt": ONE + ZERO + TWO}, id="order of lines"),
        pytest.param({"a0.wav": acoustic()["a1.wav"], "a1.wav": acoustic()["a0.wav"]}, id="recordings swapped"),
    ],
)
def test_the_fingerprint_depends_on_content(tmp_path: Path, change: dict[str, bytes | str]) -> None:
    before = read_corpus(folder(tmp_path / "x", acoustic()), locale="en-US")
    after = read_corpus(folder(tmp_path / "x", change), locale="en-US")
    assert after.errors == ()
    assert before.fingerprint != after.fingerprint


def test_the_fingerprint_stays_what_it_is(tmp_path: Path) -> None:
    """It is written into data sets of the service; a change would upload everything again."""
    path = text_file(tmp_path, "hello\nthere\n")
    fingerprint = read_corpus(path, locale="en-US").fingerprint
    upload = hashlib.sha256(b"\xef\xbb\xbfhello\nthere\n").hexdigest()
    assert fingerprint == hashlib.sha256(f"speech-mlflow corpus 1\ntext {upload}\n".encode()).hexdigest()
    assert read_corpus(path, locale="en-GB", kind="Language").fingerprint == fingerprint


# The upload


def test_the_zip_is_what_the_service_takes(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"über.wav": wav(), "a.wav": wav(0.2), "t.tsv": "über.wav\tgrüße\na.wav\thallo\n"}
    corpus = read_corpus(folder(tmp_path / "my data", files), locale="de-DE")
    path = corpus.write_upload(tmp_path / "up")
    assert path.name == f"my-data-{corpus.fingerprint[:12]}.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.wav", "über.wav", "trans.txt"]
        assert archive.read("über.wav") == wav()
        assert archive.read("trans.txt") == "\ufeffüber.wav\tgrüße\na.wav\thallo\n".encode()
    again = read_corpus(path, locale="de-DE")
    assert again.problems == ()
    assert again.fingerprint == corpus.fingerprint


def test_audio_without_transcripts_has_none_in_the_upload(tmp_path: Path) -> None:
    corpus = read_corpus(folder(tmp_path / "x", acoustic(2)), locale="en-US", kind="AudioFiles")
    with zipfile.ZipFile(corpus.write_upload(tmp_path)) as archive:
        assert archive.namelist() == ["a0.wav", "a1.wav"]


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ("hello\r\n\r\nthere\r\n", ".txt"),
        ("a\tb\n", ".txt"),
        ("# A\n- hello\n", ".md"),
        ("#itn\n\\d\n", ".md"),
    ],
)
def test_text_is_uploaded_as_documented(tmp_path: Path, content: str, suffix: str) -> None:
    corpus = read_corpus(text_file(tmp_path, content.encode("utf-16")), locale="en-US")
    path = corpus.write_upload(tmp_path / "up")
    assert path.suffix == suffix
    assert path.read_bytes() == b"\xef\xbb\xbf" + content.replace("\r\n", "\n").encode()


def test_a_file_that_changed_since_is_not_uploaded(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", acoustic())
    corpus = read_corpus(path, locale="en-US")
    (path / "a1.wav").write_bytes(wav(0.06, pitch=999))
    with pytest.raises(CorpusError, match=r"a1\.wav: the file has changed"):
        corpus.write_upload(tmp_path / "up")
    assert list((tmp_path / "up").iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    corpus = read_corpus(text_file(tmp_path, "hello\n"), locale="en-US")
    with pytest.raises(SpeechMlflowError, match="cannot be read or written: Not a directory"):
        corpus.write_upload(tmp_path / "a.txt" / "up")


def test_audio_by_id(tmp_path: Path) -> None:
    corpus = read_corpus(folder(tmp_path / "x", acoustic(2)), locale="en-US")
    assert corpus.audio("a1.wav") == acoustic()["a1.wav"]
    with pytest.raises(CorpusError, match=r"no recording 'b\.wav'"):
        corpus.audio("b.wav")


def test_progress_counts_bytes_to_the_end(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(9 << 20)
    files: dict[str, bytes | str] = {f"a{n}.wav": wav(0, declared=len(noise)) + noise for n in range(3)}
    path = folder(tmp_path / "x", files)
    events: list[ProgressEvent] = []
    read_corpus(path, locale="en-US", progress=events.append)
    total = sum(file.stat().st_size for file in path.iterdir())
    assert {event.step for event in events} == {"read x"}
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert (events[-1].done, events[-1].total, events[-1].unit) == (total, total, "bytes")
    assert len(events) > 2


def test_the_view_escapes_what_comes_from_the_data(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"a.wav": wav(), "<script>.docx": b"x", "trans.txt": "a.wav\thello\n"}
    corpus = read_corpus(folder(tmp_path / "x", files), locale="en-US", name="<b>name</b>")
    view = corpus._repr_html_()
    assert "<script>" not in view
    assert "&lt;script&gt;.docx" in view
    assert "&lt;b&gt;name&lt;/b&gt;: 0 errors, 1 warnings" in view
    assert "hello" not in repr(corpus)
