"""Back-off trigram models as arrays: look-up, pruning to a vocabulary, interpolation.

Probabilities and back-off weights are plain numbers, not logarithms. ``p(w | g h)`` is the trigram's probability where there is one,
else ``b(g h) * p(w | h)``; ``p(w | h)`` is the bigram's, else ``b(h) * p(w)``; a back-off weight that is not stored is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BEGIN, END = "<s>", "</s>"


@dataclass(frozen=True, eq=False)
class NGrams:
    """A trigram model. Word numbers are indices of ``words``.

    Unigrams: probability ``p1`` and back-off ``b1`` for each word. Bigrams ``(h1, w2)`` sorted, with ``p2``, ``b2``. Trigrams
    ``(g3, h3, w3)`` sorted, with ``p3``.
    """

    words: tuple[str, ...]
    p1: Array
    b1: Array
    h1: Array = field(repr=False)
    w2: Array = field(repr=False)
    p2: Array = field(repr=False)
    b2: Array = field(repr=False)
    g3: Array = field(repr=False)
    h3: Array = field(repr=False)
    w3: Array = field(repr=False)
    p3: Array = field(repr=False)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def keys2(self) -> Array:
        """One sortable number for each bigram."""
        return bigram_keys(len(self.words), self.h1, self.w2)

    @cached_property
    def keys3(self) -> Array:
        """One sortable number for each trigram."""
        return trigram_keys(len(self.words), self.g3, self.h3, self.w3)

    def probability2(self, h: Array, w: Array) -> Array:
        """``p(w | h)`` for arrays of word numbers."""
        at, found = _find(self.keys2, bigram_keys(len(self.words), h, w))
        p = self.b1[h] * self.p1[w]
        p[found] = self.p2[at[found]]
        return p

    def backoff2(self, g: Array, h: Array) -> Array:
        """Back-off weight of the context ``g h``, 1 where it is not stored."""
        at, found = _find(self.keys2, bigram_keys(len(self.words), g, h))
        weights = np.ones(len(at))
        weights[found] = self.b2[at[found]]
        return weights

    def probability3(self, g: Array, h: Array, w: Array) -> Array:
        """``p(w | g h)`` for arrays of word numbers."""
        at, found = _find(self.keys3, trigram_keys(len(self.words), g, h, w))
        p = np.empty(len(at))
        p[found] = self.p3[at[found]]
        shorter = ~found
        p[shorter] = self.backoff2(g[shorter], h[shorter]) * self.probability2(h[shorter], w[shorter])
        return p


def bigram_keys(words: int, h: Array, w: Array) -> Array:
    """Numbers that sort as ``(h, w)`` does."""
    return np.asarray(h, dtype=np.int64) * words + w


def trigram_keys(words: int, g: Array, h: Array, w: Array) -> Array:
    """Numbers that sort as ``(g, h, w)`` does; fits 63 bits for up to two million words."""
    return (np.asarray(g, dtype=np.int64) * words + h) * words + w


def _find(keys: Array, wanted: Array) -> tuple[Array, Array]:
    """Place of each wanted key among sorted keys, and whether it is there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def with_backoffs(
    words: tuple[str, ...], p1: Array, two: tuple[Array, Array, Array], three: tuple[Array, Array, Array, Array]
) -> NGrams:
    """Make a model from probabilities alone: the back-off weights are what is left over, so that each context sums to 1.

    ``two`` is ``(h, w, p)`` sorted, ``three`` is ``(g, h, w, p)`` sorted. Every context of a trigram must be a bigram. A context whose
    probabilities leave nothing over is scaled to leave a trifle: an unseen word is unlikely, never impossible.
    """
    size = len(words)
    h1, w2, p2 = two
    g3, h3, w3, p3 = three
    p2, left = _leave_some(p2, h1, size)
    seen = np.bincount(h1, p1[w2], size)
    b1 = left / np.maximum(1.0 - seen, MIN_LEFT)
    b1[np.bincount(h1, minlength=size) == 0] = 1.0
    b2 = np.ones(len(p2))
    unfinished = NGrams(words, p1, b1, h1, w2, p2, b2, g3, h3, w3, p3)
    if len(p3):
        contexts = np.searchsorted(unfinished.keys2, bigram_keys(size, g3, h3))
        p3, left = _leave_some(p3, contexts, len(p2))
        seen = np.bincount(contexts, unfinished.probability2(h3, w3), len(p2))
        some = np.bincount(contexts, minlength=len(p2)) > 0
        b2[some] = (left / np.maximum(1.0 - seen, MIN_LEFT))[some]
    return NGrams(words, p1, b1, h1, w2, p2, b2, g3, h3, w3, p3)


MIN_LEFT = 1e-6
"""Share of a context that is always left for words that were not seen in it."""


def _leave_some(p: Array, contexts: Array, count: int) -> tuple[Array, Array]:
    """Probabilities scaled down in contexts that would leave less than MIN_LEFT, and what each context leaves."""
    total = np.bincount(contexts, p, count)
    factor = np.minimum(1.0, (1.0 - MIN_LEFT) / np.maximum(total, MIN_LEFT))
    return p * factor[contexts], 1.0 - total * factor


def prune(model: NGrams, keep: set[str]) -> NGrams:
    """The model over the words of ``keep`` alone: other words' share goes to the words kept, in proportion."""
    mask = np.array([word in keep for word in model.words])
    words = tuple(word for word in model.words if word in keep)
    number = np.cumsum(mask) - 1
    p1 = model.p1[mask]
    two = mask[model.h1] & mask[model.w2]
    three = mask[model.g3] & mask[model.h3] & mask[model.w3]
    return with_backoffs(
        words,
        _without_begin(words, p1),
        (number[model.h1[two]], number[model.w2[two]], model.p2[two]),
        (number[model.g3[three]], number[model.h3[three]], number[model.w3[three]], model.p3[three]),
    )


def most_frequent(model: NGrams, count: int) -> set[str]:
    """The ``count`` likeliest words and the sentence marks."""
    order = np.lexsort((np.arange(len(model.words)), -model.p1))  # ties by number: the same words every time
    return {model.words[number] for number in order[:count]} | {BEGIN, END}


def interpolate(domain: NGrams, base: NGrams, weight: float) -> NGrams:
    """``weight * domain + (1 - weight) * base`` for every n-gram that either has, over the words of both.

    Linear interpolation of the conditional probabilities, each model backing off by itself (Jelinek and Mercer 1980); n-grams that
    neither has are reached by new back-off weights, as in SRILM's static mixture.
    """
    words = base.words + tuple(word for word in domain.words if word not in base.ids)
    one, other = _lift(domain, words), _lift(base, words)
    size = len(words)
    keys2, keys3 = _merge(other.keys2, one.keys2), _merge(other.keys3, one.keys3)
    h1, w2 = np.divmod(keys2, size)
    rest, w3 = np.divmod(keys3, size)
    g3, h3 = np.divmod(rest, size)
    p1 = weight * one.p1 + (1 - weight) * other.p1
    p2 = weight * one.probability2(h1, w2) + (1 - weight) * other.probability2(h1, w2)
    p3 = weight * one.probability3(g3, h3, w3) + (1 - weight) * other.probability3(g3, h3, w3)
    return with_backoffs(words, p1, (h1, w2, p2), (g3, h3, w3, p3))


def sentence_probabilities(model: NGrams, sentence: Sequence[str]) -> Array:
    """Probability of each word of a sentence and of its end. An unknown word has 0 and cuts the context, as in the decoder."""
    numbers = np.array([model.ids.get(word, -1) for word in [*sentence, END]])
    history = np.concatenate(([-1, model.ids[BEGIN]], numbers))
    g, h, w = history[:-2], history[1:-1], history[2:]
    found = np.zeros(len(numbers))
    known = w >= 0
    full, short, alone = known & (h >= 0) & (g >= 0), known & (h >= 0) & (g < 0), known & (h < 0)
    found[full] = model.probability3(g[full], h[full], w[full])
    found[short] = model.probability2(h[short], w[short])
    found[alone] = model.p1[w[alone]]
    return found


def _without_begin(words: tuple[str, ...], p1: Array) -> Array:
    """Unigrams that sum to 1; the mark of a sentence's begin is never predicted."""
    p1 = np.where(np.array([word == BEGIN for word in words]), 0.0, p1)
    normalised: Array = p1 / p1.sum()
    return normalised


def _merge(many: Array, few: Array) -> Array:
    """Union of two sorted arrays without sorting the larger one again."""
    _, found = _find(many, few)
    missing = few[~found]
    return np.insert(many, np.searchsorted(many, missing), missing)


def _lift(model: NGrams, words: tuple[str, ...]) -> NGrams:
    """The same model over more words; those that it does not know have probability 0."""
    numbers = {word: number for number, word in enumerate(words)}
    to = np.array([numbers[word] for word in model.words])
    p1, b1 = np.zeros(len(words)), np.ones(len(words))
    p1[to], b1[to] = model.p1, model.b1
    h1, w2, g3, h3, w3 = (to[column] for column in (model.h1, model.w2, model.g3, model.h3, model.w3))
    second = np.argsort(bigram_keys(len(words), h1, w2), kind="stable")  # fast where the order is kept, as for a base model
    third = np.argsort(trigram_keys(len(words), g3, h3, w3), kind="stable")
    return NGrams(
        words,
        p1,
        b1,
        h1[second],
        w2[second],
        model.p2[second],
        model.b2[second],
        g3[third],
        h3[third],
        w3[third],
        model.p3[third],
    )
