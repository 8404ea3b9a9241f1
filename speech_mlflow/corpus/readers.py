"""Readers: from a path to the recordings and texts that lie there, whatever the layout.

A reader says where things are. What is in them is read and checked by :mod:`speech_mlflow.corpus.build`, the same for all
layouts. Readers of a team's own layouts come in through the hook ``register_corpus_readers``, as the three below do.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from speech_mlflow.corpus.archive import Archive
from speech_mlflow.corpus.records import Problem, ascii_controls, error, excerpt, warning
from speech_mlflow.corpus.text import decode
from speech_mlflow.corpus.transcript import Transcript, looks_like_transcript, parse_transcript
from speech_mlflow.errors import CorpusError

MAX_TRANSCRIPT = 200 << 20
"""Bytes of a transcript file, which is held in memory: ten thousand files of two hours each stay below."""

TRANSCRIPT_SUFFIXES = (".txt", ".tsv")
OTHER_AUDIO = (".mp3", ".flac", ".ogg", ".opus", ".m4a", ".mp4", ".webm", ".aac", ".wma", ".aiff", ".raw", ".pcm", ".sph")
_LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Member:
    """One file of a corpus, wherever it lies.

    ``name`` is without a folder, as it will be uploaded; ``path`` is what messages say; ``size`` is in bytes; ``open`` gives a
    new binary stream from the beginning, to be read forward.
    """

    name: str
    path: str
    size: int
    open: Callable[[], BinaryIO]

    def read(self) -> bytes:
        """The whole content."""
        with self.open() as file:
            return file.read()


@dataclass(frozen=True)
class Reading:
    """What a reader found: recordings, perhaps with a transcript; or one text file.

    ``transcript`` is None where there is none. Problems of the layout itself are in ``problems``.
    """

    audio: tuple[Member, ...] = ()
    transcript: Transcript | None = None
    text: Member | None = None
    problems: tuple[Problem, ...] = ()


class CorpusReader(Protocol):
    """What a reader of a layout must offer. A later registered reader is asked before an earlier one."""

    @property
    def name(self) -> str:
        """Unique; a reader replaces the one of the same name."""

    def reads(self, path: Path) -> bool:
        """Whether ``path``, which exists, has this layout. A quick look, no reading through."""

    def read(self, path: Path) -> Reading:
        """Find what is there. Raises CorpusError or ArchiveError where nothing can be read at all."""


class FolderReader:
    """A folder of WAV files with one transcript, or with none."""

    name = "folder"

    def reads(self, path: Path) -> bool:
        return path.is_dir()

    def read(self, path: Path) -> Reading:
        return arrange(_walk(path), path.name)


class ZipReader:
    """A zip archive of WAV files with one transcript, or with none."""

    name = "zip"

    def reads(self, path: Path) -> bool:
        return path.is_file() and (path.suffix.lower() == ".zip" or _begins(path, b"PK\x03\x04"))

    def read(self, path: Path) -> Reading:
        archive = Archive(path)
        members = [Member(_base(entry.name), entry.name, entry.size, partial(archive.open, entry)) for entry in archive.entries]
        return arrange(members, path.name)


class TextReader:
    """A text file: sentences, structured text, pronunciations, output format; or a transcript with its recordings beside it."""

    name = "text"

    def reads(self, path: Path) -> bool:
        return path.is_file() and path.suffix.lower() in (".txt", ".tsv", ".md")

    def read(self, path: Path) -> Reading:
        member = _member(path, path.name)
        if path.suffix.lower() not in TRANSCRIPT_SUFFIXES or not _starts_like_transcript(path):
            return Reading(text=member)
        transcript = _transcript(member)
        problems: list[Problem] = []
        audio = []
        for line in transcript.lines:
            place = PurePosixPath(line.name)
            file = path.parent / place
            if place.is_absolute() or ".." in place.parts:
                what = f"{excerpt(line.name)} lies outside the folder of the transcript"
                problems.append(error("outside", what, path.name, line.number, "put the recordings beside the transcript"))
            elif file.is_file():
                audio.append(_member(file, line.name))
        return Reading(tuple(audio), transcript, problems=tuple(problems))


def arrange(members: Iterable[Member], where: str) -> Reading:
    """Sort files into recordings, transcript and the rest, as the service sorts a zip; ``where`` names the folder or zip."""
    audio: dict[str, Member] = {}
    texts: list[Member] = []
    problems: list[Problem] = []
    nested = 0
    for member in sorted(members, key=lambda member: member.path):
        parts = PurePosixPath(member.path).parts
        if any(part.startswith(".") or part in _LITTER for part in parts):
            continue
        suffix = PurePosixPath(member.name).suffix.lower()
        if suffix in TRANSCRIPT_SUFFIXES:
            texts.append(member)
        elif suffix == ".wav":
            nested += len(parts) > 1
            twin = audio.setdefault(member.name.casefold(), member)
            if twin is not member:
                what = f"has the same name as {excerpt(twin.path)}; folders do not count, nor upper and lower case"
                problems.append(error("same-name", what, ascii_controls(member.path), hint="rename one of the two"))
        else:
            problems.append(_unknown(member, suffix))
    if nested:
        which = "one recording lies in a folder" if nested == 1 else f"{nested:,} recordings lie in folders"
        what = f"{which}; the service takes them at the root, and they are uploaded so"
        problems.append(warning("not-at-root", what, where))
    transcript = _choose_transcript(texts, where, problems)
    return Reading(tuple(audio.values()), transcript, problems=tuple(problems))


def _choose_transcript(texts: list[Member], where: str, problems: list[Problem]) -> Transcript | None:
    """The only text file, or the only one that looks like a transcript."""
    if len(texts) <= 1:
        return _transcript(texts[0]) if texts else None
    likely = [member for member in texts if looks_like_transcript(decode(_limited(member), member.path))]
    if len(likely) != 1:
        names = ", ".join(excerpt(member.path) for member in texts[:5])
        what = f"there are {len(texts)} text files ({names}); exactly one transcript is taken"
        problems.append(error("several-transcripts", what, where, hint="join them into one"))
    chosen = (likely or texts)[0]
    for member in texts:
        if member is not chosen and len(likely) == 1:
            problems.append(warning("unknown-file", "is not the transcript and is not uploaded", member.path))
    return _transcript(chosen)


def _transcript(member: Member) -> Transcript:
    return parse_transcript(decode(_limited(member), member.path))


def _limited(member: Member) -> bytes:
    if member.size > MAX_TRANSCRIPT:
        raise CorpusError(f"{member.path}: a transcript of {member.size:,} bytes; at most {MAX_TRANSCRIPT:,} are read")
    return member.read()


def _unknown(member: Member, suffix: str) -> Problem:
    path = ascii_controls(member.path)
    if suffix in OTHER_AUDIO:
        hint = f"convert it: sox FILE{suffix} -b 16 -e signed-integer -c 1 -r 16k NEW.wav"
        return error("not-wav", "is a recording that is no WAV file", path, hint=hint)
    if PurePosixPath(member.name).stem == "metadata":
        return warning("unknown-file", "is not read here and not uploaded", path, hint="put it beside the data, not in it")
    return warning("unknown-file", "is neither a recording nor a transcript and is not uploaded", path)


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _starts_like_transcript(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(64 << 10)
    return looks_like_transcript(decode(beginning, path.name))


def _walk(folder: Path) -> Iterable[Member]:
    def refuse(problem: OSError) -> None:
        raise CorpusError(f"{problem.filename}: cannot be read: {problem.strerror}")

    for directory, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            file = Path(directory, name)
            if file.is_file():
                yield _member(file, file.relative_to(folder).as_posix())


def _member(file: Path, path: str) -> Member:
    return Member(_base(path), path, file.stat().st_size, partial(_open, file))


def _open(file: Path) -> BinaryIO:
    return file.open("rb")


def _base(path: str) -> str:
    """The name without folders, in normal form C: macOS decomposes what people typed as one letter."""
    return unicodedata.normalize("NFC", PurePosixPath(path).name)
