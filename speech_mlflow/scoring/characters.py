"""Character errors of normalised texts, by the same definition as word errors: fewest errors, then most hits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from speech_mlflow.scoring.alignment import SUB, edit_path
from speech_mlflow.scoring.normalize import Normalizer
from speech_mlflow.scoring.records import CountArrays

_LARGE = 1 << 24  # cells of the whole table, above which the band of `edit_path` is cheaper
_ERROR = 1 << 32  # see speech_mlflow.scoring.alignment
_WEIGHTS = (_ERROR, _ERROR, _ERROR + 1)


def character_counts(references: Sequence[str], hypotheses: Sequence[str], normalizer: Normalizer) -> CountArrays:
    """Counts per utterance, with characters in the place of words.

    The spaces between words count as characters, as in jiwer's character error rate; not so for normalisers of
    languages written without spaces, where the spaces are the normaliser's own.
    """
    space = " " if normalizer.spaced else ""
    counts = np.zeros((4, len(references)), dtype=np.int32)
    for index, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        first = space.join(normalizer(reference).split())
        second = space.join(normalizer(hypothesis).split())
        counts[0, index] = len(first)
        if first != second:
            counts[1:, index] = count_edits(first, second)
    return CountArrays(counts[0], counts[1], counts[2], counts[3])


def count_edits(reference: str, hypothesis: str) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions between two texts, character by character."""
    errors = Levenshtein.distance(reference, hypothesis)
    surplus = len(hypothesis) - len(reference)
    substitutions = errors - abs(surplus)
    if substitutions > 1:  # two of them may be had for a deletion and an insertion, with one more hit
        substitutions = _fewest_substitutions(reference, hypothesis)
    insertions = (errors - substitutions + surplus) // 2
    return substitutions, insertions - surplus, insertions


def _fewest_substitutions(reference: str, hypothesis: str) -> int:
    if len(reference) * len(hypothesis) > _LARGE:
        path = edit_path(list(map(ord, reference)), list(map(ord, hypothesis)))
        return sum(edit.op == SUB for edit in path)
    return int(Levenshtein.distance(reference, hypothesis, weights=_WEIGHTS)) % _ERROR
