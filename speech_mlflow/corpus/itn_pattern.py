r"""Patterns of inverse text normalisation rules, as in ``JO:\d00`` or ``(AB|CD)-(\d)+``.

The notation is that of "How to prepare display text format training data" in the service's documentation:

====================  ===================================================
``\d``                a digit
``\l`` ``\u`` ``\a``  a letter, written lower case, upper case, as it came
``[5-7x]``            one of these characters
``(AB|C)``            a phrase, with alternatives
``(…)?`` ``+`` ``*``  a phrase that may be missing, repeated, or both
``{spoken>written}``  said one way, written another
``{spoken}``          said, and left out
``\\ \( \) \{ \} \| \+ \? \*``  these characters themselves
====================  ===================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal as Word

CLASSES = "dlua"
ESCAPABLE = "\\(){}|+?*"
QUANTIFIERS = "?+*"
_PLAIN = re.compile(r"[^\\()\[\]{}|?+*]*")
MAX_DEPTH = 20
"""Phrases in phrases. No rule needs more than a few, and whoever walks over a pattern may recurse."""


class PatternError(ValueError):
    """A pattern that cannot be read; ``hint`` says what to write instead."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Literal:
    """Characters that stand for themselves."""

    text: str


@dataclass(frozen=True, slots=True)
class Class:
    """One character: ``d`` digit, ``l`` letter made lower case, ``u`` letter made upper case, ``a`` letter as it came."""

    kind: Word["d", "l", "u", "a"]


@dataclass(frozen=True, slots=True)
class Range:
    """One of ``characters``."""

    characters: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """Words that are said as ``spoken`` and written as ``written``, which may be empty."""

    spoken: str
    written: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """One of several sequences; ``quantifier`` is ``""``, ``"?"``, ``"+"`` or ``"*"``."""

    alternatives: tuple[Sequence, ...]
    quantifier: Word["", "?", "+", "*"]


Element = Literal | Class | Range | Replacement | Phrase
Sequence = tuple[Element, ...]


def parse_pattern(pattern: str) -> Sequence:
    """Read a pattern. Raises PatternError, saying at which character (from 1) it goes wrong."""
    reader = _Reader(pattern)
    elements = reader.sequence(inside=False)
    if not elements:
        raise PatternError("the pattern is empty")
    return elements


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def sequence(self, *, inside: bool) -> Sequence:
        """Elements to the end, or inside a phrase to ``|`` or ``)``, which is left to be read."""
        elements: list[Element] = []
        while char := self._peek():
            if inside and char in "|)":
                break
            element = self._element(char)
            if isinstance(element, Literal) and elements and isinstance(elements[-1], Literal):
                element = Literal(elements.pop().text + element.text)  # type: ignore[union-attr]
            elements.append(element)
        return tuple(elements)

    def _element(self, char: str) -> Element:
        self.at += 1
        if char == "\\":
            return self._escape()
        if char == "(":
            return self._phrase()
        if char == "[":
            return self._range()
        if char == "{":
            return self._replacement()
        if char in QUANTIFIERS:
            raise self._error(f"{char!r} stands behind no phrase", rf"write (\d){char} to repeat, \{char} for the character")
        if char in "|)]}":
            raise self._error(f"{char!r} has no beginning", rf"write \{char} for the character" if char != "]" else None)
        begin, self.at = self.at - 1, _PLAIN.match(self.pattern, self.at).end()  # type: ignore[union-attr]
        return Literal(self.pattern[begin : self.at])

    def _escape(self) -> Element:
        char = self._peek()
        self.at += 1
        if char and char in CLASSES:
            return Class(char)  # type: ignore[arg-type]
        if char and char in ESCAPABLE:
            return Literal(char)
        raise self._error(rf"\{char} is not known", r"known are \d \l \u \a and \\ \( \) \{ \} \| \+ \? \*")

    def _phrase(self) -> Phrase:
        begin = self.at
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} phrases lie in each other")
        alternatives = [self.sequence(inside=True)]
        while self._peek() == "|":
            self.at += 1
            alternatives.append(self.sequence(inside=True))
        if not self._peek():
            raise PatternError(f"'(' at character {begin} is never closed")
        self.at += 1
        self.depth -= 1
        if not all(alternatives):
            raise self._error("an alternative is empty", "write (…)? for a phrase that may be missing")
        quantifier = self._peek()
        if not quantifier or quantifier not in QUANTIFIERS:
            return Phrase(tuple(alternatives), "")
        self.at += 1
        return Phrase(tuple(alternatives), quantifier)  # type: ignore[arg-type]

    def _range(self) -> Range:
        body = self._until("]", "[")
        characters: list[str] = []
        at = 0
        while at < len(body):
            if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
                first, last = body[at], body[at + 2]
                if ord(last) < ord(first) or ord(last) - ord(first) > 255:
                    raise self._error(f"[{body}] is no range", "write it like [0-9] or [A-F]")
                characters += [chr(code) for code in range(ord(first), ord(last) + 1)]
                at += 3
            else:
                characters.append(body[at])
                at += 1
        if not characters:
            raise self._error("[] holds nothing")
        return Range("".join(dict.fromkeys(characters)))

    def _replacement(self) -> Replacement:
        spoken, _, written = self._until("}", "{").partition(">")
        if not spoken.strip():
            raise self._error("nothing is spoken in {}", "write {spoken>written}")
        return Replacement(" ".join(spoken.split()), written.strip())

    def _until(self, end: str, begin: str) -> str:
        found = self.pattern.find(end, self.at)
        if found < 0:
            raise PatternError(f"{begin!r} at character {self.at} is never closed")
        body, self.at = self.pattern[self.at : found], found + 1
        return body

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _error(self, message: str, hint: str | None = None) -> PatternError:
        return PatternError(f"{message} (character {self.at})", hint)
