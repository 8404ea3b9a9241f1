"""A trigram model of the domain from its sentences, and how much of it is good for sentences that are not among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from speech_mlflow.emulator.sphinx.ngrams import BEGIN, END, Array, NGrams

Sentence = Sequence[str]


def estimate(sentences: Iterable[Sentence], extra: Iterable[str] = ()) -> NGrams:
    """Trigram model by interpolated Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman 1999, 2.5).

    ``p(w | h) = (c(h w) + t(h) p(w | shorter h)) / (c(h) + t(h))`` with ``t(h)`` the number of different words after ``h``. Words of
    ``extra`` that are in no sentence are counted once, without context.
    """
    padded = [[BEGIN, *sentence, END] for sentence in sentences]
    words = tuple(sorted({word for sentence in padded for word in sentence} | {BEGIN, END} | set(extra)))
    ids = {word: number for number, word in enumerate(words)}
    numbers = [[ids[word] for word in sentence] for sentence in padded]
    size = len(words)
    one = np.bincount([w for line in numbers for w in line[1:]], minlength=size).astype(float)
    one = np.where(one == 0, 1.0, one)
    one[ids[BEGIN]] = 0.0
    p1 = one / one.sum()
    h1, w2, count2 = _counts((pair for line in numbers for pair in pairwise(line)), 2)
    total, kinds = np.bincount(h1, count2, size), np.bincount(h1, minlength=size).astype(float)
    p2 = (count2 + kinds[h1] * p1[w2]) / (total + kinds)[h1]
    b1 = np.where(kinds > 0, kinds / np.maximum(total + kinds, 1), 1.0)
    g3, h3, w3, count3 = _counts((triple for line in numbers for triple in zip(line, line[1:], line[2:], strict=False)), 3)
    lower = NGrams(words, p1, b1, h1, w2, p2, np.ones(len(p2)), *(np.zeros(0, np.int64),) * 3, np.zeros(0))
    contexts = np.searchsorted(lower.keys2, g3 * size + h3)
    total, kinds = np.bincount(contexts, count3, len(p2)), np.bincount(contexts, minlength=len(p2)).astype(float)
    p3 = (count3 + kinds[contexts] * lower.probability2(h3, w3)) / (total + kinds)[contexts]
    b2 = np.where(kinds > 0, kinds / np.maximum(total + kinds, 1), 1.0)
    return NGrams(words, p1, b1, h1, w2, p2, b2, g3, h3, w3, p3)


def _counts(grams: Iterable[tuple[int, ...]], order: int) -> list[Array]:
    """Columns of the different n-grams, sorted, and their counts."""
    counted = sorted(Counter(grams).items())
    columns = np.array([gram for gram, _ in counted], dtype=np.int64).reshape(-1, order).T
    return [*columns, np.array([count for _, count in counted], dtype=float)]
