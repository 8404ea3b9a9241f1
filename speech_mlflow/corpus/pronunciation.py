"""Pronunciation files: one line ``displayed form<TAB>spoken form`` each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from speech_mlflow.corpus.records import Problem, error, quote, warning
from speech_mlflow.corpus.text import Text

FORM = "write: displayed form<TAB>spoken form, like 3CPO<TAB>three c p o"


@dataclass(frozen=True, slots=True)
class PronunciationLine:
    """How one word or phrase is spoken: ``spoken`` is letters, syllables or words, with spaces between."""

    number: int
    displayed: str
    spoken: str


@dataclass(frozen=True)
class Pronunciations:
    """A pronunciation file. ``lines`` are those that could be read; ``rejected`` counts the others."""

    file: str
    lines: tuple[PronunciationLine, ...]
    problems: tuple[Problem, ...] = ()
    rejected: int = 0


def parse_pronunciations(text: Text) -> Pronunciations:
    """Read a pronunciation file; lines that cannot be read are left out and explained in ``problems``."""
    lines: list[PronunciationLine] = []
    problems = list(text.problems)
    first: dict[tuple[str, str], int] = {}
    rejected = 0
    for number, line in text.numbered():
        read = _read_line(number, line, text.file)
        if isinstance(read, Problem):
            problems.append(read)
            rejected += 1
            continue
        lines.append(read)
        earlier = first.setdefault((read.displayed, read.spoken), number)
        if earlier != number:
            problems.append(warning("duplicate-line", f"the same as line {earlier}", text.file, number, "keep one of the two"))
        if re.search(r"\d", read.spoken):
            what = f"the spoken form {quote(read.spoken)} holds digits"
            problems.append(warning("digits-spoken", what, text.file, number, "write them as they are spoken: 3 is three"))
    if not lines and not rejected:
        problems.append(error("no-lines", "there is no line in it", text.file, hint=FORM))
    return Pronunciations(text.file, tuple(lines), tuple(problems), rejected)


def _read_line(number: int, line: str, file: str) -> PronunciationLine | Problem:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) == 1:
        return error("missing-tab", f"there is no tab in {quote(line)}", file, number, FORM)
    if len(columns) > 2:
        return error("extra-column", f"the line has {len(columns)} columns", file, number, FORM)
    if not all(columns):
        missing = "displayed" if not columns[0] else "spoken"
        return error("empty-form", f"the {missing} form is empty", file, number, FORM)
    return PronunciationLine(number, columns[0], columns[1])
