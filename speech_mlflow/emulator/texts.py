"""Readers of the text kinds of data: each line is taken or rejected with a reason.

Related text, pronunciations, structured text and output formats, by the documented rules of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from speech_mlflow.corpus.output_format import parse_output_format
from speech_mlflow.corpus.records import Problem
from speech_mlflow.corpus.structured_text import expand, parse_structured_text
from speech_mlflow.corpus.text import Text
from speech_mlflow.emulator.jobs import JobError
from speech_mlflow.emulator.normalising import normalise, plain, repeats_too_often, spoken_digits

MAX_LINE = 10_000
MAX_EXPANDED = 500
"""Sentences made of one sentence of structured text."""
MAX_EXPANDED_IN_ALL = 50_000
HIGHEST_LATIN = "\u00a1"
"""Related text of Latin locales may hold no character above this one, once quotes and dashes are plain."""
_URI = re.compile(r"\b(?:https?|ftp)://|\bwww\.", re.IGNORECASE)
_SPOKEN_WORD = r"[^\W\d_]+(?:['.-][^\W\d_]+)*\.?"
_SPOKEN = re.compile(rf"{_SPOKEN_WORD}(?: {_SPOKEN_WORD})*")


@dataclass(frozen=True)
class Rejected:
    """A line (0: none in particular) that was not taken, and why."""

    line: int
    kind: str
    message: str


@dataclass
class Parsed:
    """What a reader made of a file."""

    content: dict[str, Any]
    accepted: int = 0
    rejected: list[Rejected] = field(default_factory=list)


def decode(raw: bytes) -> list[str]:
    """Lines of UTF-8 text, with or without byte order mark. Raises JobError ``NoUtf8WithBom``."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobError("NoUtf8WithBom", f"The text is not UTF-8 with byte order mark: {error}") from None
    if "\x00" in text:
        raise JobError("NoUtf8WithBom", "The text holds NUL characters; is it UTF-16?")
    return re.split(r"\r\n|\n|\r", text)


def language(lines: list[str], locale: str, normalization: bool) -> Parsed:
    """Related text: one sentence a line."""
    parsed = Parsed({"sentences": [], "normalised": []})
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        problem = _sentence_problem(line, locale)
        sentence = normalise(line, locale) if normalization else line.strip()
        if problem is None and not sentence:
            problem = ("EmptyLine", "Nothing is left of the line after normalisation.")
        if problem is not None:
            parsed.rejected.append(Rejected(number, *problem))
        else:
            parsed.content["sentences"].append(spoken_digits(plain(line)).strip())
            parsed.content["normalised"].append(sentence)
            parsed.accepted += 1
    return parsed


def _sentence_problem(line: str, locale: str) -> tuple[str, str] | None:
    if len(line) > MAX_LINE:
        return "LineTooLong", f"The line has more than {MAX_LINE} characters."
    if _URI.search(line):
        return "ContainsUri", "The line holds a URI."
    if any(ord(char) < 32 and char != "\t" for char in line):
        return "InvalidCharacters", "The line holds control characters."
    if locale.lower().startswith("en") and any(char > HIGHEST_LATIN for char in plain(line)):
        return "InvalidCharacters", "The line holds characters above U+00A1."
    if repeats_too_often(line):
        return "TooManyRepetitions", "The line repeats a character, word or group of words more than three times."
    return None


def pronunciation(lines: list[str], locale: str, normalization: bool) -> Parsed:
    """Pronunciations: displayed form, tab, spoken form."""
    parsed = Parsed({"pronunciations": []})
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        displayed, tab, spoken = (part.strip() for part in plain(line).partition("\t"))
        problem: tuple[str, str] | None = None
        if not tab and "\t" not in line:
            problem = ("MissingTab", "The line has no tab between displayed and spoken form.")
        elif not displayed or not spoken:
            problem = ("EmptyForm", "The displayed or the spoken form is empty.")
        elif not _SPOKEN.fullmatch(spoken):
            problem = ("InvalidCharacters", f"The spoken form {spoken!r} must be made of words and letters.")
        elif line in seen:
            problem = ("DuplicateLine", "The line was there already.")
        if problem is not None:
            parsed.rejected.append(Rejected(number, *problem))
            continue
        seen.add(line)
        parsed.content["pronunciations"].append([displayed, spoken.lower()])
        parsed.accepted += 1
    return parsed


def structured(lines: list[str], locale: str, normalization: bool) -> Parsed:
    """Structured text: its sentences with every reference to a list replaced by items of the list."""
    read = parse_structured_text(_text(lines, "languagedata.md"))
    parsed = Parsed({"sentences": list(islice(expand(read, most=MAX_EXPANDED), MAX_EXPANDED_IN_ALL))})
    parsed.content["phones"] = [[item.word, " ".join(item.phones)] for item in read.lexicon]
    parsed.rejected = _rejected(read.problems)
    parsed.accepted = len(read.sentences) + len(read.lexicon) + sum(len(items) for items in read.lists.values())
    if not parsed.content["sentences"]:
        raise JobError("InvalidDocument", f"The structured text has no sentence that can be used.{_first(parsed.rejected)}")
    return parsed


def output_format(lines: list[str], locale: str, normalization: bool) -> Parsed:
    """Rules of the display form."""
    read = parse_output_format(_text(lines, "outputformatting.md"))
    rules = len(read.itn) + len(read.rewrites) + len(read.profanity)
    parsed = Parsed({"formatting": "\n".join(lines)}, rules + len(read.tests), _rejected(read.problems))
    if not rules:
        raise JobError("InvalidDocument", f"The output format has no rule that can be used.{_first(parsed.rejected)}")
    return parsed


def _text(lines: list[str], name: str) -> Text:
    return Text(name, tuple(lines), "utf-8", True)


def _rejected(problems: Iterable[Problem]) -> list[Rejected]:
    return [Rejected(p.line or 0, p.code, p.message) for p in problems if p.severity == "error"]


def _first(rejected: list[Rejected]) -> str:
    return f" Line {rejected[0].line}: {rejected[0].message}" if rejected else ""


Reader = Callable[[list[str], str, bool], Parsed]
TEXT_READERS: Mapping[str, Reader] = {
    "Language": language,
    "LanguageMarkdown": structured,
    "Pronunciation": pronunciation,
    "OutputFormatting": output_format,
}
