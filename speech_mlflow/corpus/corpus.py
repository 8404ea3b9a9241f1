"""A corpus: what is on disk, read and checked, ready to be uploaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from speech_mlflow.corpus.build import Parts, build
from speech_mlflow.corpus.readers import CorpusReader, Member, Reading
from speech_mlflow.corpus.records import AUDIO_KINDS, KINDS, Line, Problem, Utterance
from speech_mlflow.errors import CorpusError, PluginError, SpeechMlflowError
from speech_mlflow.plugins import registered
from speech_mlflow.progress import Progress

LISTED = 20
"""Problems that the message of an error lists; ``problems`` has all of them."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Recordings with or without transcripts, or one text file, as one data set of the service.

    ``utterances`` are the recordings that are uploaded (none for kinds of text), ``lines`` the lines of a text file that are
    not blank (none for recordings). ``problems`` holds all that is wrong, by file and line. ``fingerprint`` is the same
    wherever the same data lie (see :mod:`speech_mlflow.corpus.fingerprint`). ``rejected`` counts the lines that the
    service will not use. ``dataset_id`` is set where the corpus was read from a data set of the service: that one is then used.
    """

    name: str
    source: Path
    locale: str
    kind: str
    utterances: tuple[Utterance, ...] = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)
    problems: tuple[Problem, ...] = field(repr=False)
    fingerprint: str
    rejected: int = field(default=0, repr=False)
    dataset_id: str | None = None
    _members: Mapping[str, tuple[Member, str]] = field(default_factory=dict, repr=False)
    _text: bytes | None = field(default=None, repr=False)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that forbid an upload."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Problems that do not forbid an upload."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def check(self) -> None:
        """Raise CorpusError, with all problems, if there is any error among them."""
        if not self.errors:
            return
        listed = [str(problem) for problem in self.errors[:LISTED]]
        if len(self.errors) > LISTED:
            listed.append(f"… and {len(self.errors) - LISTED:,} more")
        count = f"{len(self.errors):,} error{'s' if len(self.errors) > 1 else ''}"
        raise CorpusError("\n  ".join([f"{self.source}: {count}", *listed]), problems=self.problems)

    def profile(self) -> dict[str, int | float]:
        """Sizes: ``utterances`` (lines, for kinds of text), ``hours`` of audio, ``words``, ``vocabulary``, ``rejected_lines``.

        In languages written without spaces a word is a character. Words are those of transcripts or text lines as they stand,
        notation included. Rejected are lines that cannot be read, and those that the service documents to reject. What is not
        known is left out: all about texts where there are no transcripts, and ``speakers`` unless metadata name them.
        """
        from speech_mlflow.corpus.profile import profile

        return profile(self)

    def write_upload(self, directory: str | Path) -> Path:
        """Write the file that the service takes, and return its path: a zip, or the text file.

        The same corpus always gives the same bytes: a zip holds the recordings by name, without compression and times, and
        then the transcript; text is UTF-8 with byte order mark and LF. (A zip beyond the service's 2 GB is compressed; then
        the bytes also depend on the version of zlib.) Raises CorpusError if the corpus has errors, has changed on disk since it
        was read, or is too large even when compressed.
        """
        from speech_mlflow.corpus.upload import write_text, write_zip

        self.check()
        name = re.sub(r"[^\w.-]+", "-", self.name)
        path = Path(directory) / f"{name}-{self.fingerprint[:12]}"
        if self.kind in AUDIO_KINDS:
            return write_zip(path, {utterance.id: self._members[utterance.id] for utterance in self.utterances}, self._text)
        assert self._text is not None
        return write_text(path, self._text, self.kind)

    def audio(self, utterance_id: str) -> bytes:
        """The WAV file of an utterance, as it is on disk. Raises CorpusError where there is none of that id."""
        return self._member(utterance_id)[0].read()

    def digest(self, utterance_id: str) -> str:
        """The SHA-256 of that WAV file, as it was read. Raises CorpusError where there is none of that id."""
        return self._member(utterance_id)[1]

    def _member(self, utterance_id: str) -> tuple[Member, str]:
        try:
            return self._members[utterance_id]
        except KeyError:
            raise CorpusError(f"{self.source}: there is no recording {utterance_id!r}") from None

    def _repr_html_(self) -> str:
        from speech_mlflow.corpus.profile import to_html

        return to_html(self)


def read_corpus(
    path: str | Path,
    *,
    locale: str,
    kind: str | None = None,
    name: str | None = None,
    purpose: Literal["training", "testing"] | None = None,
    progress: Progress | None = None,
    readers: Mapping[str, CorpusReader] | None = None,
) -> Corpus:
    """Read and check a folder, a zip, a transcript or a text file; nothing is sent anywhere.

    ``locale`` is like ``en-US``. ``kind`` is the REST API's word (see ``KINDS``); without it, it follows from the content.
    ``name`` is otherwise that of the file without its ending. ``purpose`` adds checks: what is fine for testing may be too long
    for training. ``readers``, by name, replace those that plugins register.

    What is wrong with the data is in ``Corpus.problems``; nothing is raised for it until :meth:`Corpus.check`. Raises
    CorpusError where the data cannot be read at all, or its kind not be told, and ArchiveError for a broken or hostile zip.
    """
    path = Path(path)
    _check_arguments(path, locale, kind, purpose)
    try:
        reading = _read(path, registered("register_corpus_readers", _name_of) if readers is None else readers)
        parts = build(reading, path, locale, kind, purpose, progress)
    except OSError as problem:
        raise CorpusError(f"{problem.filename or path}: cannot be read: {problem.strerror}") from None
    return _corpus(name or (path.resolve().name if path.is_dir() else path.stem), path, locale, parts)


def _corpus(name: str, path: Path, locale: str, parts: Parts) -> Corpus:
    return Corpus(
        name=name,
        source=path,
        locale=locale,
        kind=parts.kind,
        utterances=parts.utterances,
        lines=parts.lines,
        problems=parts.problems,
        fingerprint=parts.fingerprint,
        rejected=parts.rejected,
        _members=parts.members,
        _text=parts.text,
    )


def _check_arguments(path: Path, locale: str, kind: str | None, purpose: str | None) -> None:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})(-[A-Za-z]+)?", locale):
        raise CorpusError(f"{locale!r} is no locale", hint="write language and region, like en-US")
    if kind is not None and kind not in KINDS:
        raise CorpusError(f"{kind!r} is no kind of data", hint=f"known: {', '.join(KINDS)}")
    if purpose not in (None, "training", "testing"):
        raise CorpusError(f"{purpose!r} is no purpose", hint="known: training, testing")
    if not path.exists():
        raise CorpusError(f"{path}: there is no such file or folder")


def _read(path: Path, readers: Mapping[str, CorpusReader]) -> Reading:
    for reader in reversed(list(readers.values())):
        try:
            if reader.reads(path):
                return reader.read(path)
        except (SpeechMlflowError, OSError):
            raise
        except Exception as problem:  # a plugin may raise anything
            what = f"the corpus reader {reader.name!r} failed on {path}: {type(problem).__name__}: {problem}"
            raise PluginError(what) from problem
    single = path.suffix.lower() == ".wav"
    hint = "give the folder of the recordings" if single else "known are folders, .zip, .txt, .tsv and .md"
    raise CorpusError(f"{path}: no reader knows this kind of file", hint=hint)


def _name_of(reader: CorpusReader) -> str:
    return reader.name
