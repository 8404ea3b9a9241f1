"""The records that a corpus is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

AUDIO_KINDS = ("Acoustic", "AudioFiles")
"""Kinds of data set that hold recordings: with transcripts, and without."""

TEXT_KINDS = ("Language", "LanguageMarkdown", "Pronunciation", "OutputFormatting")
"""Kinds of data set that are one text file."""

KINDS = (*AUDIO_KINDS, *TEXT_KINDS)
"""The REST API's words for kinds of data set."""

EXCERPT = 60
"""Characters of a line that a message quotes; a line may have megabytes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file, and what to do about it.

    An *error* means that the service would refuse the data, or silently lose a part that was meant to be used. A *warning*
    means that the service takes the data, but drops or changes something, or advises against it. ``code`` is a stable word for
    programs. ``line`` counts from 1 and is None where the problem is the file's as a whole.
    """

    severity: Literal["error", "warning"]
    code: str
    message: str
    file: str
    line: int | None = None
    hint: str | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}: {self.severity}: {self.message}{hint} [{self.code}]"


def error(code: str, message: str, file: str, line: int | None = None, hint: str | None = None) -> Problem:
    """Make a problem that forbids an upload."""
    return Problem("error", code, message, file, line, hint)


def warning(code: str, message: str, file: str, line: int | None = None, hint: str | None = None) -> Problem:
    """Make a problem that does not forbid an upload."""
    return Problem("warning", code, message, file, line, hint)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what is said in it.

    ``id`` is the name of the WAV file without a folder, like ``a01.wav``. ``text`` is empty where the corpus has no
    transcripts. ``seconds`` follow from the samples that are really there, not from the header. ``line`` is that of the
    transcript. ``groups`` come from a metadata file beside the data (see :mod:`speech_mlflow.corpus.metadata`) and are never
    uploaded.
    """

    id: str
    text: str
    seconds: float
    sample_rate: int
    channels: int
    line: int | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def speaker(self) -> str | None:
        """Who speaks, where the metadata file says so."""
        return self.groups.get("speaker")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text file that is not blank; ``number`` counts from 1."""

    number: int
    text: str


def excerpt(text: str) -> str:
    """The beginning of ``text``, printable, for a message."""
    shown = text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
    return ascii_controls(shown)


def quote(text: str) -> str:
    """:func:`excerpt` in quotation marks; backslashes stay single, since patterns are full of them."""
    return f"'{excerpt(text)}'"


def ascii_controls(text: str) -> str:
    """``text`` with its unprintable characters written as escapes, so that a message cannot move a terminal's cursor."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems by file and line, errors before warnings of the same place."""
    return tuple(sorted(problems, key=lambda p: (p.file, p.line or 0, p.severity, p.code)))
