"""The language model of a custom model: the domain's sentences mixed into the base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speech_mlflow.emulator.sphinx.domain import estimate
from speech_mlflow.emulator.sphinx.ngrams import (
    BEGIN,
    END,
    Array,
    NGrams,
    interpolate,
    most_frequent,
    prune,
    sentence_probabilities,
)

FOLDS = 5
"""Parts of the text, each of which is predicted from the others to find out how much the domain helps."""
LEAST, MOST = 0.5, 0.95
"""Bounds of the weight that is chosen: narrow text alone would ask for all of it, and lose the general vocabulary."""
TERMS_WEIGHT = 0.02
"""Weight of words that came without a sentence, as in pronunciation data alone."""
BASE_VOCABULARY = 20_000


@dataclass(frozen=True)
class Mixed:
    """The mixed model, the weight that was used (0 to 1), the general words kept, and what was measured on unseen parts of the text."""

    model: NGrams
    weight: float
    base_vocabulary: int
    metrics: dict[str, float]


def mix(
    base: NGrams,
    sentences: Sequence[Sequence[str]],
    terms: Sequence[str],
    *,
    weight: float | None,
    base_vocabulary: int | None,
) -> Mixed:
    """Mix sentences and single terms into a base model.

    Without a ``weight`` it is the one under which each fifth of the sentences is likeliest given the others, between LEAST and MOST.
    The base model keeps its ``base_vocabulary`` likeliest words and those of the domain.
    """
    count = BASE_VOCABULARY if base_vocabulary is None else base_vocabulary
    spoken = {word for sentence in sentences for word in sentence}
    kept = prune(base, most_frequent(base, count) | spoken | set(terms) | {BEGIN, END})
    if not sentences:
        used = TERMS_WEIGHT if terms else 0.0
        model = interpolate(estimate([], terms), kept, used) if terms else kept
        return Mixed(model, used, len(kept.words) - 2, {})
    held = _held_out(sentences, kept)
    chosen = min(MOST, max(LEAST, best_weight(*held))) if weight is None else weight
    model = interpolate(estimate(sentences, terms), kept, chosen)
    return Mixed(model, chosen, len(kept.words) - 2, _metrics(*held, chosen))


def best_weight(domain: Array, base: Array, rounds: int = 50) -> float:
    """The weight of ``domain`` that makes the mixture of two lists of word probabilities likeliest (expectation maximisation)."""
    known = (domain > 0) | (base > 0)
    if not known.any():
        return 0.5
    domain, base, weight = domain[known], base[known], 0.5
    for _ in range(rounds):
        share = weight * domain
        weight = float((share / (share + (1 - weight) * base)).mean())
    return weight


def _held_out(sentences: Sequence[Sequence[str]], base: NGrams) -> tuple[Array, Array]:
    """Probability of each word of the sentences, in a model of the other sentences and in the base model; 0 for unknown words."""
    domain_found, base_found = [], []
    folds = min(FOLDS, len(sentences))
    for fold in range(folds):
        held = sentences[fold::folds]
        model = estimate([sentence for n, sentence in enumerate(sentences) if n % folds != fold])
        domain_found += [sentence_probabilities(model, sentence) for sentence in held]
        base_found += [sentence_probabilities(base, sentence) for sentence in held]
    return np.concatenate(domain_found), np.concatenate(base_found)


def _metrics(domain: Array, base: Array, weight: float) -> dict[str, float]:
    """Perplexity of base and mixture over the words that the base model knows, and the share of those that it does not."""
    known = base > 0
    metrics = {"base_oov_rate": float(1 - known.mean())}
    if known.any():
        mixture = weight * domain[known] + (1 - weight) * base[known]
        metrics["base_perplexity"] = float(np.exp(-np.log(base[known]).mean()))
        if (mixture > 0).all():
            metrics["custom_perplexity"] = float(np.exp(-np.log(mixture).mean()))
    return metrics
