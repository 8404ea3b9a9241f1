"""Readers: folder, zip, transcript with recordings beside it, text; and those of plugins."""

from __future__ import annotations

import io
import os
import textwrap
import unicodedata
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import speech_mlflow
from speech_mlflow import hookspecs
from speech_mlflow.corpus import Corpus, CorpusReader, Member, Reading, Transcript, TranscriptLine, read_corpus
from speech_mlflow.errors import ArchiveError, CorpusError, PluginError
from speech_mlflow.plugins import plugin_manager
from tests.corpus.make import acoustic, folder, wav, zipped


def codes(corpus: Corpus) -> set[tuple[str, str, str, int | None]]:
    return {(problem.severity, problem.code, problem.file, problem.line) for problem in corpus.problems}


def as_bytes(files: dict[str, bytes | str]) -> dict[str, bytes]:
    return {name: content.encode("utf-8-sig") if isinstance(content, str) else content for name, content in files.items()}


def test_a_folder_and_its_zip_are_the_same_corpus(tmp_path: Path) -> None:
    path = folder(tmp_path / "data", acoustic())
    (tmp_path / "data.zip").write_bytes(zipped(as_bytes(acoustic())))
    first, second = (read_corpus(place, locale="en-US") for place in (path, tmp_path / "data.zip"))
    assert first.problems == second.problems == ()
    assert (first.kind, first.name, second.name) == ("Acoustic", "data", "data")
    assert first.utterances == second.utterances
    assert [(u.id, u.text, u.sample_rate, u.channels, u.line) for u in first.utterances] == [
        ("a0.wav", "this is number zero", 16000, 1, 1),
        ("a1.wav", "this is number one", 16000, 1, 2),
        ("a2.wav", "this is number two", 16000, 1, 3),
    ]
    assert first.fingerprint == second.fingerprint
    assert second.audio("a1.wav") == first.audio("a1.wav") == acoustic()["a1.wav"]


def test_a_transcript_brings_the_recordings_beside_it(tmp_path: Path) -> None:
    path = folder(tmp_path / "data", {**acoustic(), "wavs/b.wav": wav(0.2), "other.wav": wav()})
    (path / "subset.tsv").write_text("a1.wav\tone\nwavs/b.wav\tbee\n")
    corpus = read_corpus(path / "subset.tsv", locale="en-US")
    assert corpus.kind == "Acoustic"
    assert [(utterance.id, utterance.text) for utterance in corpus.utterances] == [("a1.wav", "one"), ("b.wav", "bee")]
    assert corpus.problems == ()


def test_a_transcript_does_not_reach_out_of_its_folder(tmp_path: Path) -> None:
    folder(tmp_path, {"secret.wav": wav(), "data/a.wav": wav()})
    (tmp_path / "data/trans.txt").write_text(f"a.wav\tfine\n../secret.wav\tup\n{tmp_path}/secret.wav\tagain\n")
    corpus = read_corpus(tmp_path / "data/trans.txt", locale="en-US")
    assert ("error", "outside", "trans.txt", 2) in codes(corpus)
    assert [utterance.id for utterance in corpus.utterances] == ["a.wav"]


def test_recordings_alone_are_audio_files(tmp_path: Path) -> None:
    corpus = read_corpus(folder(tmp_path / "data", {"b.wav": wav(), "a.wav": wav(0.2)}), locale="en-US")
    assert corpus.kind == "AudioFiles"
    assert [(utterance.id, utterance.text, utterance.line) for utterance in corpus.utterances] == [
        ("a.wav", "", None),
        ("b.wav", "", None),
    ]
    assert corpus.profile() == {"utterances": 2, "hours": pytest.approx(0.3 / 3600)}


def test_a_zipped_folder_is_taken_apart(tmp_path: Path) -> None:
    files = {f"data/{name}": content for name, content in as_bytes(acoustic()).items()}
    litter = {"__MACOSX/data/._a0.wav": b"x", "data/.DS_Store": b"x", "data/Thumbs.db": b"x"}
    (tmp_path / "data.zip").write_bytes(zipped({**files, **litter}))
    corpus = read_corpus(tmp_path / "data.zip", locale="en-US")
    assert codes(corpus) == {("warning", "not-at-root", "data.zip", None)}
    with zipfile.ZipFile(corpus.write_upload(tmp_path / "up")) as archive:
        assert archive.namelist() == ["a0.wav", "a1.wav", "a2.wav", "trans.txt"]


def test_names_that_meet_at_the_root(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"x/a.wav": wav(), "y/A.wav": wav(0.2), "trans.txt": "a.wav\thello\n"}
    corpus = read_corpus(folder(tmp_path / "data", files), locale="en-US")
    assert ("error", "same-name", "y/A.wav", None) in codes(corpus)


def test_decomposed_names_find_their_recording(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "grün.wav")
    path = folder(tmp_path / "data", {name: wav(), "trans.txt": "grün.wav\thallo\n"})
    corpus = read_corpus(path, locale="de-DE")
    assert corpus.problems == ()
    assert corpus.audio("grün.wav") == wav()


HELLO = "a.wav\thello\n"
NO_TRANSCRIPT = ("warning", "audio-without-transcript", "a.wav", None)
NOTHING_LEFT = ("error", "nothing-left", "data", None)
MISSING = ("error", "missing-audio", "trans.txt", 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.wav": wav(), "trans.txt": HELLO + "b.wav\tgone\n"}, {("error", "missing-audio", "trans.txt", 2)}),
        ({"a.wav": wav(), "trans.txt": "A.wav\thello\n" + HELLO}, {MISSING}),
        ({"a.wav": wav(), "b.wav": wav(), "trans.txt": "b.wav\thello\n"}, {NO_TRANSCRIPT}),
        (
            {"a.wav": wav(), "b.wav": wav(), "c.wav": wav(), "trans.txt": HELLO + "b.wav\t\nc.wav no tab\n"},
            {("error", "empty-text", "trans.txt", 2), ("error", "missing-tab", "trans.txt", 3)},
        ),
        ({"a.wav": wav(), "x.docx": b"x", "trans.txt": HELLO}, {("warning", "unknown-file", "x.docx", None)}),
        ({"a.wav": wav(), "x.txt": "Some\nwords\n", "trans.txt": HELLO}, {("warning", "unknown-file", "x.txt", None)}),
        ({"a.wav": wav(), "1.txt": HELLO, "2.txt": HELLO}, {("error", "several-transcripts", "data", None)}),
        ({"a.wav": wav(), "b.mp3": b"ID3", "trans.txt": HELLO}, {("error", "not-wav", "b.mp3", None)}),
        ({"a.wav": b"ID3" + bytes(99), "trans.txt": HELLO}, {("error", "audio", "a.wav", None)}),
        ({"a.wav": wav(rate=44100), "trans.txt": HELLO}, {("warning", "sample-rate", "a.wav", None)}),
        ({"a.wav": wav(channels=2), "trans.txt": HELLO}, {("warning", "stereo", "a.wav", None)}),
        ({"a.wav": wav(declared=99999), "trans.txt": HELLO}, {("warning", "cut-off", "a.wav", None)}),
        ({"a.wav": wav(), "trans.txt": "b.wav\thello\n"}, {MISSING, NOTHING_LEFT, NO_TRANSCRIPT}),
        ({"trans.txt": HELLO}, {("error", "no-audio", "data", None), MISSING, NOTHING_LEFT}),
    ],
)
def test_problems_of_recordings_and_transcript(
    tmp_path: Path, files: dict[str, bytes | str], expected: set[tuple[str, str, str, int | None]]
) -> None:
    assert codes(read_corpus(folder(tmp_path / "data", files), locale="en-US")) == expected


def test_the_transcript_is_found_among_other_texts(tmp_path: Path) -> None:
    files = {**acoustic(), "README.txt": "Recorded in\na quiet room.\n"}
    assert [utterance.id for utterance in read_corpus(folder(tmp_path, files), locale="en-US").utterances] == [
        "a0.wav",
        "a1.wav",
        "a2.wav",
    ]


def test_lines_that_are_lost_are_counted(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"a.wav": wav(), "trans.txt": HELLO + "b.wav\tgone\nc.wav no tab\n"}
    assert read_corpus(folder(tmp_path, files), locale="en-US").profile()["rejected_lines"] == 2


def test_a_zip_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "upload.bin").write_bytes(zipped(as_bytes(acoustic())))
    assert len(read_corpus(tmp_path / "upload.bin", locale="en-US").utterances) == 3
    (tmp_path / "fake.zip").write_bytes(b"no zip")
    with pytest.raises(ArchiveError, match=r"fake\.zip is broken: it is no zip archive"):
        read_corpus(tmp_path / "fake.zip", locale="en-US")


def test_a_single_recording_is_asked_for_its_folder(tmp_path: Path) -> None:
    path = folder(tmp_path, {"a.wav": wav()}) / "a.wav"
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, locale="en-US")
    assert caught.value.hint == "give the folder of the recordings"


class BrokenReader:
    name = "broken"

    def reads(self, path: Path) -> bool:
        raise ZeroDivisionError("oops")

    def read(self, path: Path) -> Reading:
        raise AssertionError


class UnreadableReader(BrokenReader):
    def reads(self, path: Path) -> bool:
        raise OSError(5, "Input/output error", str(path / "a.wav"))


def test_a_disk_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.wav: cannot be read: Input/output error"):
        read_corpus(tmp_path, locale="en-US", readers={"x": UnreadableReader()})


def test_a_broken_zip_is_refused_while_it_is_read(tmp_path: Path) -> None:
    data = zipped(as_bytes(acoustic()), zipfile.ZIP_STORED)
    sound = bytes(acoustic()["a1.wav"])[60:90]  # type: ignore[arg-type]
    (tmp_path / "data.zip").write_bytes(data.replace(sound, bytes(len(sound))))
    with pytest.raises(ArchiveError, match=r"data\.zip: 'a1\.wav' is broken: Bad CRC"):
        read_corpus(tmp_path / "data.zip", locale="en-US")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = folder(tmp_path / "data", acoustic())
    (path / "a1.wav").chmod(0)
    assert ("error", "unreadable", "a1.wav", None) in codes(read_corpus(path, locale="en-US"))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.txt", "one sentence\nand another\n", "Language"),
        ("a.tsv", "3CPO\tthree c p o\nIEEE\ti triple e\n", "Pronunciation"),
        ("a.md", "@ list x =\n- y\n# A\n- {@x}\n", "LanguageMarkdown"),
        ("a.txt", "@ list x =\n- y\n# A\n- {@x}\n", "LanguageMarkdown"),
        ("a.md", "#itn\n\\d-\\d\n", "OutputFormatting"),
        ("a.txt", "// rules\n\n# itn\n\\d-\\d\n", "OutputFormatting"),
    ],
)
def test_the_kind_of_text_is_seen(tmp_path: Path, name: str, content: str, kind: str) -> None:
    corpus = read_corpus(folder(tmp_path, {name: content}) / name, locale="en-US")
    assert corpus.kind == kind
    assert corpus.problems == ()
    assert corpus.name == "a"
    assert [line.text for line in corpus.lines] == [line for line in content.splitlines() if line]


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("a.txt", "a\tb\nc\nd\te\nf\n", None, "2 of 4 lines have a tab"),
        ("a.md", "Some prose.\n", None, "there is no '@ list'"),
        ("a.txt", "\n\n", None, "is empty"),
        ("a.txt", "hello\n", "Acoustic", "are recordings, not a text file"),
        ("a.wav", "hello\n", None, "no reader knows"),
        ("a.pdf", "hello\n", None, "no reader knows"),
        ("a/b.txt", "hello\n", "Language", "are one text file"),
        ("a/b.txt", "hello\n", None, "no recording in it"),
    ],
)
def test_what_cannot_be_told_is_asked(tmp_path: Path, name: str, content: str, kind: str | None, message: str) -> None:
    path = folder(tmp_path, {name: content}) / name.split("/")[0]
    with pytest.raises(CorpusError, match=message) as caught:
        read_corpus(path, locale="en-US", kind=kind)
    assert caught.value.hint is not None or "empty" in message


@pytest.mark.parametrize(
    ("locale", "kind", "purpose", "message"),
    [
        ("english", None, None, "'english' is no locale"),
        ("en_US", None, None, "is no locale"),
        ("en-US", "Audio", None, "'Audio' is no kind"),
        ("en-US", None, "evaluation", "is no purpose"),
    ],
)
def test_arguments_are_checked(tmp_path: Path, locale: str, kind: str | None, purpose: str | None, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path, locale=locale, kind=kind, purpose=purpose)  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="no such file"):
        read_corpus(tmp_path / "gone", locale="en-US")


@pytest.mark.parametrize("locale", ["en-US", "sr-Latn-RS", "es-419", "fil-PH", "zh-CN-sichuan"])
def test_locales(tmp_path: Path, locale: str) -> None:
    path = folder(tmp_path, {"a.txt": "hello\n"}) / "a.txt"
    assert read_corpus(path, locale=locale).locale == locale


class KaldiReader:
    """A reader as a plugin would bring it: a folder with ``wav.scp`` and ``text``."""

    name = "kaldi"

    def reads(self, path: Path) -> bool:
        return (path / "wav.scp").is_file()

    def read(self, path: Path) -> Reading:
        files = dict(line.split(maxsplit=1) for line in (path / "wav.scp").read_text().splitlines())
        audio = [
            Member(f"{name}.wav", file, (path / file).stat().st_size, partial(io.FileIO, path / file))
            for name, file in files.items()
        ]
        texts = [line.split(maxsplit=1) for line in (path / "text").read_text().splitlines()]
        lines = [TranscriptLine(number, f"{name}.wav", text) for number, (name, text) in enumerate(texts, 1)]
        return Reading(tuple(audio), Transcript("text", tuple(lines)))


class KaldiPlugin:
    @speech_mlflow.hookimpl
    def register_corpus_readers(self, register: object) -> None:
        assert callable(register)
        register(KaldiReader())


def test_a_plugin_brings_a_layout(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "deep/x1.flac.wav": wav(),
        "wav.scp": b"u1 deep/x1.flac.wav\n",
        "text": b"u1 hello there\n",
    }
    path = folder(tmp_path / "kaldi", files)
    manager = plugin_manager()
    manager.register(KaldiPlugin(), name="kaldi")
    try:
        corpus = read_corpus(path, locale="en-US")
    finally:
        manager.unregister(name="kaldi")
    assert [(utterance.id, utterance.text) for utterance in corpus.utterances] == [("u1.wav", "hello there")]
    assert corpus.problems == ()
    again = read_corpus(corpus.write_upload(tmp_path / "up"), locale="en-US")
    assert again.fingerprint == corpus.fingerprint


def test_the_example_of_the_hook_works(tmp_path: Path) -> None:
    example = textwrap.dedent((hookspecs.register_corpus_readers.__doc__ or "").partition("Example::")[2])
    names = (speech_mlflow, partial, Member, Reading, Transcript, TranscriptLine)
    space: dict[str, Any] = {thing.__name__: thing for thing in names}
    exec(example, space)
    readers: list[CorpusReader] = []
    space["register_corpus_readers"](readers.append)
    files: dict[str, bytes | str] = {"wavs/LJ1.wav": wav(), "metadata.csv": b"LJ1|No. 1|number one\n"}
    path = folder(tmp_path / "lj", files)
    assert readers[0].reads(path)
    assert not readers[0].reads(tmp_path)
    corpus = read_corpus(path, locale="en-US", readers={"ljspeech": readers[0]})
    assert [(utterance.id, utterance.text) for utterance in corpus.utterances] == [("LJ1.wav", "number one")]
    assert corpus.problems == ()


def test_a_reader_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"'broken' failed on .*: ZeroDivisionError: oops"):
        read_corpus(tmp_path, locale="en-US", readers={"broken": BrokenReader()})
