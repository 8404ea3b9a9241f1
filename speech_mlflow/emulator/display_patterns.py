"""The data's own patterns of inverse text normalisation, applied to spoken words.

A pattern is compared with the words letter by letter: numbers as their digits ("five hundred" is ``500``), everything else as it is
spelt. Punctuation of a pattern is written whether it was said ("dash") or not. What a pattern covers must begin and end with a word; the
longest match wins, then the earlier rule.
"""

from __future__ import annotations

from collections.abc import Sequence as Words
from dataclasses import dataclass

from speech_mlflow.corpus.itn_pattern import Class, Element, Literal, Phrase, Range, Replacement, Sequence
from speech_mlflow.emulator.display_numbers import digits_of

SPOKEN_SIGNS = {
    "-": ("dash", "hyphen", "minus"),
    ":": ("colon",),
    "/": ("slash",),
    ".": ("dot", "point", "period"),
    "_": ("underscore",),
    "#": ("hash", "number"),
    "+": ("plus",),
    "@": ("at",),
    "&": ("and",),
}
MAX_LETTERS = 200
"""Letters that one match may cover."""
MAX_STEPS = 100_000
"""Steps of matching in one sentence. Patterns that want more (phrases that repeat repeating phrases) match no further."""

Reached = dict[int, str]
"""Positions that a part of a pattern can end at, with what it writes on the way there."""


@dataclass
class _Spelt:
    """Words as letters. ``words[i]`` is the number of the word that begins at letter i (-1: none does); one more than letters.

    ``first`` is how many words the first of them takes: several, when it is a number.
    """

    letters: str
    words: tuple[int, ...]
    first: int
    steps: int


def apply_patterns(words: list[str], patterns: Words[Sequence]) -> list[str]:
    """Words with every match of a pattern replaced by what it writes, as one word."""
    if not patterns:
        return words
    written: list[str] = []
    at, steps = 0, MAX_STEPS
    while at < len(words):
        spelt = _spell(words[at:], steps)
        best_end, best_text = 0, ""
        for pattern in patterns:
            for position, text in _sequence(pattern, spelt, 0).items():
                end = spelt.words[position]
                if end > best_end:
                    best_end, best_text = end, text
        steps = spelt.steps
        # No match begins inside a number: "one two three four" holds no "two three four".
        written += [best_text] if best_end else words[at : at + spelt.first]
        at += best_end or spelt.first
    return written


def _spell(words: list[str], steps: int) -> _Spelt:
    letters, begins, at, first = "", [], 0, 0
    while at < len(words) and len(letters) < MAX_LETTERS:
        number = digits_of(words, at)
        end, text = number or (at + 1, words[at])
        letters += text
        begins += [at, *[-1] * (len(text) - 1)]
        at = end
        first = first or at
    return _Spelt(letters, (*begins, at), first, steps)


def _sequence(elements: Sequence, spelt: _Spelt, start: int) -> Reached:
    reached: Reached = {start: ""}
    for element in elements:
        spelt.steps -= len(reached)
        if spelt.steps < 0:
            return {}
        following: Reached = {}
        for position, text in reached.items():
            for end, more in _element(element, spelt, position).items():
                following.setdefault(end, text + more)
        reached = following
        if not reached:
            break
    return reached


def _element(element: Element, spelt: _Spelt, at: int) -> Reached:
    if isinstance(element, Literal):
        return _literal(element.text, spelt, at)
    if isinstance(element, Replacement):
        return _said(element.spoken.lower().split(), element.written, spelt, at)
    if isinstance(element, Phrase):
        return _phrase(element, spelt, at)
    letter = spelt.letters[at : at + 1]
    if isinstance(element, Range):
        found = next((char for char in element.characters if letter and char.lower() == letter.lower()), None)
        return {} if found is None else {at + 1: found}
    return _class(element, letter, at)


def _class(element: Class, letter: str, at: int) -> Reached:
    if element.kind == "d":
        return {at + 1: letter} if letter.isdigit() else {}
    if not letter.isalpha():
        return {}
    return {at + 1: {"l": letter.lower(), "u": letter.upper(), "a": letter}[element.kind]}


def _literal(text: str, spelt: _Spelt, at: int) -> Reached:
    reached: Reached = {at: ""}
    for char in text:
        following: Reached = {}
        for position, written in reached.items():
            if char.isalnum():
                if spelt.letters[position : position + 1].lower() == char.lower():
                    following.setdefault(position + 1, written + char)
                continue
            following.setdefault(position, written + char)
            for name in SPOKEN_SIGNS.get(char, ()):
                for end in _said([name], "", spelt, position):
                    following.setdefault(end, written + char)
        reached = following
    return reached


def _said(spoken: list[str], written: str, spelt: _Spelt, at: int) -> Reached:
    """Whole words, said exactly so."""
    for word in spoken:
        end = at + len(word)
        if spelt.words[at] < 0 or spelt.letters[at:end] != word or end >= len(spelt.words) or spelt.words[end] < 0:
            return {}
        at = end
    return {at: written}


def _phrase(phrase: Phrase, spelt: _Spelt, start: int) -> Reached:
    reached: Reached = {start: ""} if phrase.quantifier in ("?", "*") else {}
    fresh: Reached = {start: ""}
    while fresh:
        following: Reached = {}
        for position, text in fresh.items():
            for alternative in phrase.alternatives:
                for end, more in _sequence(alternative, spelt, position).items():
                    if end not in reached:
                        following.setdefault(end, text + more)
        reached = {**following, **reached}
        fresh = following if phrase.quantifier in ("+", "*") else {}
    return reached
