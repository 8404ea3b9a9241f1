"""Which letters of a word stand for which of its phones: expectation maximisation over a whole dictionary.

A letter stands for none, one or two phones. Words with as many letters and as many phones go through the same steps, so they are
worked on together, as arrays.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 5
SAMPLE = 40_000
"""Words that the weights are estimated from: more make no difference that could be measured, only work."""
LETTERS = "abcdefghijklmnopqrstuvwxyz'"
START = (0.2, 1.0, 0.02)
"""Weight of standing for 0, 1 and 2 phones at the start: it breaks the symmetry, EM does the rest."""

Array = npt.NDArray[Any]
Phones = tuple[str, ...]
Unit = tuple[str, Phones]


def spell(word: str) -> str:
    """The letters of a word as the model knows them: lower case, without accents, digits and punctuation."""
    plain = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in plain if letter in LETTERS)


def align(pairs: Sequence[tuple[str, Phones]]) -> list[list[Unit]]:
    """Units of each word, in order. Words that cannot be aligned (more than two phones a letter) are left out."""
    names = sorted({phone for _, phones in pairs for phone in phones})
    number = {phone: n for n, phone in enumerate(names)}
    groups: dict[tuple[int, int], list[tuple[str, Phones]]] = defaultdict(list)
    for word, phones in pairs:
        letters = spell(word)
        if len(phones) <= 2 * len(letters):
            groups[len(letters), len(phones)].append((letters, phones))
    batches = [
        (
            np.array([[LETTERS.index(letter) for letter in letters] for letters, _ in group]),
            np.array([[number[phone] for phone in phones] for _, phones in group]).reshape(len(group), -1),
        )
        for group in groups.values()
    ]
    step = -(-len(pairs) // SAMPLE)
    sample = [(letters[::step], phones[::step]) for letters, phones in batches]
    weights = _start(len(names))
    for _ in range(ROUNDS):
        weights = _maximise([_expect(letters, phones, weights) for letters, phones in sample], len(names))
    found = []
    for rows, targets in batches:
        spans = _best(rows, targets, weights)
        for row in zip(rows.tolist(), targets.tolist(), spans.tolist(), strict=True):
            found.append(_units(*row, names))
    return found


Weights = tuple[Array, Array, Array]
"""Weight of each letter with no phone (letters), one (letters x phones), two (letters x phones x phones)."""


def _start(phones: int) -> Weights:
    size = len(LETTERS)
    none, one, two = START
    return np.full(size, none), np.full((size, phones), one / phones), np.full((size, phones, phones), two / phones**2)


def _edges(letters: Array, phones: Array, weights: Weights) -> list[Array]:
    """Weight of letter i standing for 0, 1 or 2 phones from phone j on: arrays of words x letters x (phones + 1 - span)."""
    none, one, two = weights
    count = phones.shape[1]
    edges = [np.repeat(none[letters][:, :, None], count + 1, axis=2)]
    edges.append(one[letters[:, :, None], phones[:, None, :]])
    if count > 1:
        edges.append(two[letters[:, :, None], phones[:, None, :-1], phones[:, None, 1:]])
    return edges


def _expect(letters: Array, phones: Array, weights: Weights) -> Weights:
    """Expected counts of every unit in one batch: forward and backward sums over all alignments."""
    edges = _edges(letters, phones, weights)
    words, size = letters.shape
    count = phones.shape[1]
    forward = np.zeros((words, size + 1, count + 1))
    backward = np.zeros_like(forward)
    forward[:, 0, 0] = backward[:, size, count] = 1.0
    for i in range(size):
        for span, edge in enumerate(edges):
            forward[:, i + 1, span:] += forward[:, i, : count + 1 - span] * edge[:, i]
    for i in reversed(range(size)):
        for span, edge in enumerate(edges):
            backward[:, i, : count + 1 - span] += edge[:, i] * backward[:, i + 1, span:]
    total = np.maximum(backward[:, 0, 0], 1e-300)[:, None, None]
    names = weights[1].shape[1]
    counts = [np.zeros(len(LETTERS)), np.zeros(len(LETTERS) * names), np.zeros(len(LETTERS) * names**2)]
    for span, edge in enumerate(edges):
        expected = forward[:, :-1, : count + 1 - span] * edge * backward[:, 1:, span:] / total
        index = np.repeat(letters[:, :, None], count + 1 - span, axis=2)
        for step in range(span):
            index = index * names + phones[:, None, step : count + 1 - span + step]
        counts[span] = np.bincount(index.ravel(), expected.ravel(), len(counts[span]))
    return counts[0], counts[1].reshape(-1, names), counts[2].reshape(-1, names, names)


def _maximise(counts: list[Weights], names: int) -> Weights:
    """Relative frequencies of the units, over all letters together: a joint model."""
    none, one, two = (sum(parts) for parts in zip(*counts, strict=True))
    total = none.sum() + one.sum() + two.sum()
    return none / total, one / total, two / total


def _best(letters: Array, phones: Array, weights: Weights) -> Array:
    """How many phones each letter of each word stands for in the likeliest alignment."""
    with np.errstate(divide="ignore"):
        edges = [np.log(edge) for edge in _edges(letters, phones, weights)]
    words, size = letters.shape
    count = phones.shape[1]
    score = np.full((words, count + 1), -np.inf)
    score[:, 0] = 0.0
    choice = np.zeros((words, size, count + 1), np.int8)
    for i in range(size):
        options = np.full((len(edges), words, count + 1), -np.inf)
        for span, edge in enumerate(edges):
            options[span, :, span:] = score[:, : count + 1 - span] + edge[:, i]
        choice[:, i] = options.argmax(axis=0)
        score = options.max(axis=0)
    spans = np.zeros((words, size), np.int8)
    at, rows = np.full(words, count), np.arange(words)
    for i in reversed(range(size)):
        spans[:, i] = choice[rows, i, at]
        at = at - spans[:, i]
    return spans


def _units(letters: list[int], phones: list[int], spans: list[int], names: list[str]) -> list[Unit]:
    units: list[Unit] = []
    at = 0
    for letter, span in zip(letters, spans, strict=True):
        units.append((LETTERS[letter], tuple(names[phone] for phone in phones[at : at + span])))
        at += span
    return units
