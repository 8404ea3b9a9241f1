"""Output format: rules that turn recognised words into the text that is shown.

::

    // a comment
    #itn
    \\d-\\d-\\d
    #rewrite
    covered 19<TAB>COVID-19
    #profanity
    fakeprofanity
    #test
    mask the fakeprofanity word<TAB>Mask the ************* word

As described in "Custom display text formatting data for training" and "How to prepare display text format training data" of
the service's documentation. From text to a record; no files here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from speech_mlflow.corpus.itn_pattern import PatternError, Sequence, parse_pattern
from speech_mlflow.corpus.records import Problem, error, quote, warning
from speech_mlflow.corpus.text import Text

SECTIONS = ("itn", "rewrite", "profanity", "test")
MAX_LINES = {"itn": 200, "rewrite": 1_000, "profanity": 1_000}
"""The service's limits on the lines of a section."""

GRAMMAR_PUNCTUATION = ".,?、!:;？。，¿¡।؟،"
"""Ignored in the left side of a rewrite; not allowed in profanity."""


@dataclass(frozen=True, slots=True)
class ItnRule:
    """One pattern of inverse text normalisation, as written and as parsed."""

    number: int
    pattern: str
    elements: Sequence


@dataclass(frozen=True, slots=True)
class Rewrite:
    """``old``, found in any case, becomes ``new`` exactly. Of rules that meet, the longest ``old`` wins."""

    number: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Profanity:
    """A phrase that is masked, found in any case."""

    number: int
    phrase: str


@dataclass(frozen=True, slots=True)
class DisplayTest:
    """What the rules should make of some words."""

    number: int
    lexical: str
    display: str


@dataclass(frozen=True)
class OutputFormat:
    """An output format file. ``rejected`` counts the lines that could not be read; ``problems`` explains them."""

    file: str
    itn: tuple[ItnRule, ...]
    rewrites: tuple[Rewrite, ...]
    profanity: tuple[Profanity, ...]
    tests: tuple[DisplayTest, ...]
    problems: tuple[Problem, ...] = ()
    rejected: int = 0


def looks_like_output_format(text: Text) -> bool:
    """Whether the first line that is no comment is the heading of one of the four sections."""
    first = next((line.strip() for _, line in text.numbered() if not line.lstrip().startswith("//")), "")
    return _section_of(first) in SECTIONS


def parse_output_format(text: Text) -> OutputFormat:
    """Read an output format file; lines that cannot be read are left out and explained in ``problems``."""
    parser = _Parser(text.file, list(text.problems))
    for number, line in text.numbered():
        parser.line(number, line.strip(" \r"))
    return parser.finish()


def _section_of(line: str) -> str | None:
    """The lower-case name behind ``#``, or None for a line that is no heading."""
    return line[1:].strip().lower() if line.startswith("#") else None


@dataclass
class _Parser:
    file: str
    problems: list[Problem]
    itn: list[ItnRule] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    profanity: list[Profanity] = field(default_factory=list)
    tests: list[DisplayTest] = field(default_factory=list)
    section: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    rejected: int = 0

    def line(self, number: int, line: str) -> None:
        if line.startswith("//"):
            return
        heading = _section_of(line)
        if heading is not None:
            self.section = heading if heading in SECTIONS else None
            if self.section is None:
                known = ", ".join(f"#{name}" for name in SECTIONS)
                self._reject(number, "unknown-section", f"there is no section {quote(line)}", f"there are {known}")
        elif self.section is None:
            self._reject(number, "no-section", f"{quote(line)} belongs to no section", "put a heading like #itn above it")
        else:
            self.counts[self.section] = self.counts.get(self.section, 0) + 1
            getattr(self, f"_{self.section}")(number, line)

    def finish(self) -> OutputFormat:
        for section, most in MAX_LINES.items():
            if self.counts.get(section, 0) > most:
                what = f"#{section} has {self.counts[section]:,} lines; at most {most:,} are taken"
                self.problems.append(error("long-section", what, self.file))
        if not self.counts and not self.rejected:
            self.problems.append(error("no-lines", "there are no rules in it", self.file))
        self._check_twice()
        return OutputFormat(
            self.file,
            tuple(self.itn),
            tuple(self.rewrites),
            tuple(self.profanity),
            tuple(self.tests),
            tuple(self.problems),
            self.rejected,
        )

    def _itn(self, number: int, line: str) -> None:
        pattern = line.strip()
        try:
            self.itn.append(ItnRule(number, pattern, parse_pattern(pattern)))
        except PatternError as problem:
            self._reject(number, "itn-pattern", f"{quote(pattern)}: {problem}", problem.hint)

    def _rewrite(self, number: int, line: str) -> None:
        if pair := self._pair(number, line, "original phrase<TAB>new phrase"):
            self.rewrites.append(Rewrite(number, *pair))

    def _profanity(self, number: int, line: str) -> None:
        phrase = line.strip()
        found = [char for char in phrase if char in GRAMMAR_PUNCTUATION]
        if found:
            what = f"{quote(phrase)} holds {found[0]!r}, which is not supported in a profanity phrase"
            self._reject(number, "profanity-punctuation", what, "take it out")
        else:
            self.profanity.append(Profanity(number, phrase))

    def _test(self, number: int, line: str) -> None:
        if pair := self._pair(number, line, "lexical text<TAB>display text"):
            self.tests.append(DisplayTest(number, *pair))

    def _pair(self, number: int, line: str, form: str) -> tuple[str, str] | None:
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) == 2 and all(columns):
            return columns[0], columns[1]
        what = f"{quote(line)} has {len(columns)} columns" if len(columns) != 2 else "one of the two columns is empty"
        self._reject(number, "columns", what, f"write: {form}")
        return None

    def _check_twice(self) -> None:
        first: dict[str, int] = {}
        for rule in self.rewrites:
            key = " ".join(rule.old.casefold().split())
            if key in first:
                what = f"{quote(rule.old)} is rewritten already in line {first[key]}"
                self.problems.append(warning("duplicate-line", what, self.file, rule.number, "keep one of the two"))
            first.setdefault(key, rule.number)

    def _reject(self, number: int, code: str, message: str, hint: str | None) -> None:
        self.rejected += 1
        self.problems.append(error(code, message, self.file, number, hint))
