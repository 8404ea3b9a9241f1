"""How words are spoken: the shipped dictionary, the data's own pronunciations, and the rest from letters."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from speech_mlflow.emulator.sphinx import base, g2p

Phones = tuple[str, ...]

MAX_VARIANTS = 4
"""Pronunciations kept for one spoken form; more would only be taken for other words."""
GUESSED = 2
"""Pronunciations guessed for a word, the second only when it is at least SECOND as likely as the first."""
SECOND = 0.3

PRONOUNCEABLE = 4
"""Acronyms from this length on may also be spoken as words, when they have a vowel."""

_VARIANT = re.compile(r"\(\d+\)$")


@lru_cache(maxsize=1)
def shipped_dictionary() -> dict[str, list[Phones]]:
    """Pronunciations of each word in the shipped dictionary, the commonest first."""
    found: dict[str, list[Phones]] = {}
    for line in base.dictionary_path().read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        found.setdefault(_VARIANT.sub("", word), []).append(tuple(phones))
    return found


@dataclass
class Lexicon:
    """Pronunciations of the words of one model. ``guessed`` are those that came from their letters alone."""

    given: dict[str, list[Phones]] = field(default_factory=dict)
    guessed: dict[str, list[Phones]] = field(default_factory=dict)

    def add_spoken(self, word: str, spoken: Iterable[str]) -> bool:
        """Learn that ``word`` is spoken like the words of ``spoken``; False when one of them cannot be spoken."""
        parts = [self.pronunciations(part, letters=True) for part in spoken]
        if not parts or not all(parts):
            return False
        joined = (sum(choice, ()) for choice in itertools.product(*parts))
        variants = self.given.setdefault(word, [])
        variants += [phones for phones in itertools.islice(joined, MAX_VARIANTS) if phones not in variants]
        return True

    def pronunciations(self, word: str, *, letters: bool = False) -> list[Phones]:
        """All ways to speak ``word``; empty when it has no letters. ``letters``: a single letter may be its name."""
        shipped = shipped_dictionary()
        found = list(self.given.get(word, ())) + list(shipped.get(word, ()))
        if letters and len(word) == 1:
            found = list(shipped.get(f"{word}.", ())) + found
        if not found and word not in self.guessed:
            self.guessed[word] = self._guess(word)
        return list(dict.fromkeys(found or self.guessed[word]))

    def known(self, word: str) -> bool:
        """Whether the data or the shipped dictionary says how ``word`` is spoken."""
        return word in self.given or word in shipped_dictionary()

    def add_acronym(self, word: str) -> None:
        """Learn that ``word`` is spoken letter by letter, and perhaps as a word too, when it can be."""
        if self.known(word):
            return
        guesses = self._guess(word) if len(word) >= PRONOUNCEABLE and re.search("[aeiouy]", word) else []
        self.add_spoken(word, [letter for letter in word if letter.isalpha()])
        self.given[word] = list(dict.fromkeys([*guesses, *self.given[word]]))

    def _guess(self, word: str) -> list[Phones]:
        likely = g2p.shipped().speak(word, GUESSED)
        return [phones for phones, share in likely if share >= SECOND * likely[0][1]]


def write_dictionary(path: Path, words: Iterable[str], lexicon: Lexicon) -> Mapping[str, int]:
    """Write the dictionary of a model's vocabulary and return how many pronunciations each word has.

    Only words that the language model knows are written: the decoder would load the others slowly and never hear them.
    """
    lines, counts = [], {}
    for word in sorted(set(words)):
        variants = lexicon.pronunciations(word)
        counts[word] = len(variants)
        lines += [f"{word}{f'({n})' if n > 1 else ''} {' '.join(phones)}\n" for n, phones in enumerate(variants, 1)]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return counts
