"""How a word that is in no dictionary is spoken: a joint n-gram model of letters and phones.

A pronunciation is a sequence of *units*, one for each letter, each with the 0 to 2 phones that the letter stands for. The units of the
dictionary's words are found by expectation maximisation; an n-gram model of units with Kneser-Ney smoothing then scores every way to
speak a new word, and a beam search finds the best (Bisani and Ney 2008, "Joint-sequence models for grapheme-to-phoneme conversion").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech_mlflow.emulator.sphinx.align_letters import align, spell

ORDER = 7
"""Units seen together: the one spoken now and six before it."""
BEAM = 12

Array = npt.NDArray[Any]
Phones = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Level:
    """The n-grams of one order: sorted ``keys`` (number of the shorter context times units, plus unit), their smoothed
    probability, and the weight of backing off from them as contexts."""

    keys: Array
    probability: Array
    backoff: Array


class G2P:
    """Speaks words. ``units`` are pairs of letter and phones; unit 0 stands for both ends of a word."""

    def __init__(self, units: Sequence[tuple[str, Phones]], levels: Sequence[Level]) -> None:
        self._units = list(units)
        self._levels = list(levels)
        self._by_letter: dict[str, Array] = {}
        for letter in {letter for letter, _ in self._units}:
            self._by_letter[letter] = np.array([n for n, unit in enumerate(self._units) if unit[0] == letter and n])

    def speak(self, word: str, count: int = 1) -> list[tuple[Phones, float]]:
        """The ``count`` likeliest pronunciations of a word with their share of probability; empty for a word without letters."""
        letters = [letter for letter in spell(word) if letter in self._by_letter]
        if not letters:
            return []
        # Each hypothesis: log probability, numbers of the n-grams that it ends in (by order), units.
        scores, states, paths = np.zeros(1), np.full((1, ORDER - 1), -1), [[]]  # type: Array, Array, list[list[int]]
        states[0, 0] = 0
        for letter in letters:
            scores, states, paths = self._extend(scores, states, paths, self._by_letter[letter], BEAM)
        scores, states, paths = self._extend(scores, states, paths, np.zeros(1, np.int64), len(paths))
        said: dict[Phones, float] = {}
        for score, path in zip(np.exp(scores - scores.max()), paths, strict=True):
            phones = tuple(phone for unit in path for phone in self._units[unit][1])
            if phones:
                said[phones] = said.get(phones, 0.0) + float(score)
        total = sum(said.values())
        best = sorted(said.items(), key=lambda item: (-item[1], item[0]))[:count]
        return [(phones, score / total) for phones, score in best]

    def _extend(
        self, scores: Array, states: Array, paths: list[list[int]], units: Array, beam: int
    ) -> tuple[Array, Array, list[list[int]]]:
        """Every hypothesis with every unit; the best ``beam`` of them."""
        many = len(self._units)
        new = np.full((len(scores), len(units), ORDER), -1)
        new[:, :, 0] = units
        p = np.broadcast_to(self._levels[0].probability[units], new.shape[:2])
        for order in range(1, ORDER):
            context = states[:, order - 1]
            known = context >= 0
            if not known.any():
                break
            level = self._levels[order]
            keys = np.where(known, context, 0)[:, None] * many + units[None, :]
            at = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
            found = (level.keys[at] == keys) & known[:, None]
            weight = np.where(known, self._levels[order - 1].backoff[np.where(known, context, 0)], 1.0)
            p = np.where(found, level.probability[at], p * weight[:, None])
            new[:, :, order] = np.where(found, at, -1)
        total = (scores[:, None] + np.log(p)).ravel()
        best = np.argsort(-total, kind="stable")[:beam]
        row, column = np.divmod(best, len(units))
        return (
            total[best],
            new[row, column, : ORDER - 1],
            [[*paths[r], int(units[c])] for r, c in zip(row, column, strict=True)],
        )

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        arrays = {
            f"{name}{n}": getattr(level, name) for n, level in enumerate(self._levels) for name in Level.__dataclass_fields__
        }
        np.savez(folder / "levels.npz", **arrays)
        (folder / "units.json").write_text(json.dumps(self._units), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> G2P:
        """Read a model that :meth:`save` wrote."""
        units = [(letter, tuple(phones)) for letter, phones in json.loads((folder / "units.json").read_text(encoding="utf-8"))]
        with np.load(folder / "levels.npz") as data:
            levels = [Level(*(data[f"{name}{n}"] for name in Level.__dataclass_fields__)) for n in range(ORDER)]
        return cls(units, levels)


def train(dictionary: Mapping[str, Sequence[Phones]]) -> G2P:
    """Learn from a dictionary: word to pronunciations."""
    pairs = [(word, phones) for word, spoken in dictionary.items() for phones in spoken if spell(word)]
    aligned = align(pairs)
    seen = sorted({unit for word in aligned for unit in word})
    units: list[tuple[str, Phones]] = [("", ()), *seen]
    number = {unit: n for n, unit in enumerate(units)}
    # All words in one line of units; a word's end is the next one's begin, and no n-gram reaches beyond it.
    line = np.array([0] + [n for word in aligned for n in [*(number[unit] for unit in word), 0]])
    starts = np.flatnonzero(line == 0)
    age = np.arange(len(line)) - starts[np.searchsorted(starts, np.arange(len(line)), side="left") - 1]
    age[0] = 0
    return G2P(units, _levels(line, age, len(units)))


def _levels(line: Array, age: Array, units: int) -> list[Level]:
    """N-gram levels of every order from the line of units; ``age`` is the number of units since the word's begin."""
    ids: list[Array] = [line]
    keys: list[Array] = [np.arange(units)]
    counts: list[Array] = [np.bincount(line[1:], minlength=units)]
    shorter: list[Array] = [np.zeros(units, np.int64)]
    for order in range(2, ORDER + 1):
        whole = np.full(len(line), -1)
        place = np.flatnonzero(age >= order - 1)
        key, first, inverse, count = np.unique(
            ids[-1][place - 1] * units + line[place], return_index=True, return_inverse=True, return_counts=True
        )
        whole[place] = inverse
        keys.append(key)
        counts.append(count)
        shorter.append(ids[-1][place[first]])  # the n-gram without its first unit
        ids.append(whole)
    levels: list[Level] = []
    for order in range(1, ORDER + 1):
        if order < ORDER:
            # Kneser-Ney: below the highest order, an n-gram counts once for each unit that comes before it. One that begins a
            # word has none, and keeps its own count.
            before = np.bincount(shorter[order], minlength=len(keys[order - 1]))
            used = np.where(before > 0, before, counts[order - 1])
        else:
            used = counts[order - 1]
        levels.append(_smooth(used.astype(float), keys[order - 1], shorter[order - 1], levels, units))
        if order > 1:
            levels[-2] = _with_backoff(levels[-2], used.astype(float), keys[order - 1] // units)
    return levels


def _smooth(counts: Array, keys: Array, shorter: Array, levels: list[Level], units: int) -> Level:
    if not levels:
        return Level(keys, (counts + 0.1) / (counts + 0.1).sum(), np.ones(len(keys)))
    context = keys // units
    total = np.bincount(context, counts, len(levels[-1].keys))
    discounted = np.maximum(counts - _discounts(counts)[np.minimum(counts, 3).astype(int)], 0.0)
    left = 1.0 - np.bincount(context, discounted, len(total))[context] / total[context]
    return Level(keys, discounted / total[context] + left * levels[-1].probability[shorter], np.ones(len(keys)))


def _with_backoff(level: Level, counts: Array, context: Array) -> Level:
    """The level with the weight that each of its n-grams, as a context, leaves to the shorter context."""
    total = np.bincount(context, counts, len(level.keys))
    discounted = np.maximum(counts - _discounts(counts)[np.minimum(counts, 3).astype(int)], 0.0)
    kept = np.bincount(context, discounted, len(level.keys))
    backoff = np.where(total > 0, 1.0 - kept / np.maximum(total, 1.0), 1.0)
    return Level(level.keys, level.probability, backoff)


def _discounts(counts: Array) -> Array:
    """Discounts for counts 0, 1, 2 and more (Chen and Goodman 1999, modified Kneser-Ney)."""
    n = [float((counts == k).sum()) + 1.0 for k in range(5)]
    y = n[1] / (n[1] + 2 * n[2])
    return np.array([0.0, *(max(0.0, k - (k + 1) * y * n[k + 1] / n[k]) for k in (1, 2, 3))])


@lru_cache(maxsize=1)
def shipped() -> G2P:
    """The model of the shipped dictionary: made once, then kept in the cache."""
    from speech_mlflow.emulator.sphinx.cache import cached
    from speech_mlflow.emulator.sphinx.dictionary import shipped_dictionary

    return G2P.load(cached("g2p", lambda folder: train(shipped_dictionary()).save(folder)))
