"""What a comparison starts from: scores that fit together, what is drawn in the bootstrap, segments with errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import statistics
from speech_mlflow.scoring.alignment import INS
from speech_mlflow.scoring.inputs import DEFAULT_COLUMN, listed, read_groups
from speech_mlflow.scoring.records import Edits, Int64Array
from speech_mlflow.scoring.scores import Score

DRAWN_COLUMNS = ("speaker", "speaker_id", "file", DEFAULT_COLUMN)
"""Group columns to draw by where nobody says which, the first that is there. Others (a device, a kind of noise) are not
units that the test set is a sample of; they are drawn by only when asked for."""

UTTERANCE = "utterance"

GroupsLike = str | Iterable[str | None] | Mapping[str, Iterable[str | None]] | bool | None


def draw(values: Int64Array, labels: Sequence[str] | None, resamples: int, seed: int) -> tuple[Int64Array, int]:
    """Resampled column sums, by utterance or by label, and the number of things drawn from."""
    if not len(values):
        raise ScoringError("there are no utterances to compare")
    if resamples < 1:
        raise ScoringError(f"resamples must be at least 1, not {resamples}")
    units = values if labels is None else statistics.group_sums(values, labels)
    return statistics.resample_sums(units, resamples, seed), len(units)


def choose_groups(first: Score, second: Score, groups: GroupsLike) -> tuple[str, Sequence[str] | None]:
    """The name of what is drawn, and the labels, None for utterances."""
    if groups is False:
        return UTTERANCE, None
    known = {**second.groups, **first.groups}
    if isinstance(groups, str):
        if groups not in known:
            raise ScoringError(f"there is no group column {groups!r}", hint=f"columns: {', '.join(known) or 'none'}")
        column: str | None = groups
    else:
        if groups is not None and groups is not True:
            known = dict(read_groups(groups, len(first)))
        column = next((name for name in DRAWN_COLUMNS if name in known), None)
    if column is None or len(set(known[column])) < 2:
        return UTTERANCE, None
    return column, known[column]


def check_comparable(first: Score, second: Score, names: tuple[str, str] = ("first", "second")) -> None:
    """Raise ScoringError unless both scores are of the same utterances under the same normaliser."""
    problems = []
    if first.normalizer.label != second.normalizer.label:
        problems.append(f"normalisers {first.normalizer.label} and {second.normalizer.label}")
    if len(first) != len(second):
        problems.append(f"{len(first)} and {len(second)} utterances")
    elif first.given_ids and second.given_ids and first.given_ids != second.given_ids:
        other = [f"{a}/{b}" for a, b in zip(first.given_ids, second.given_ids, strict=True) if a != b]
        problems.append(f"{len(other)} ids that differ or are in another order: {listed(other)}")
    elif not problems and (differing := _different_references(first, second)):
        ids = [first.ids[index] for index in differing]
        problems.append(f"{len(differing)} references that differ: {listed(ids)}")
    if problems:
        raise ScoringError(
            f"{names[0]} and {names[1]} cannot be compared, they have " + "; ".join(problems),
            hint="score both with the same references, in the same order, and the same normaliser",
        )


def segment_errors(first: Edits, second: Edits) -> tuple[Int64Array, Int64Array]:
    """Errors of two systems in each segment with errors.

    A segment is a run of errors, of either system, without two consecutive reference words between them that both
    systems got right; it ends with its utterance.
    """
    utterance = np.concatenate([first.utterance, second.utterance])
    start = np.concatenate([first.reference, second.reference])
    operation = np.concatenate([first.operation, second.operation])
    end = start + (operation != INS)  # an insertion covers no reference word
    is_second = np.repeat([False, True], [len(first), len(second)])
    order = np.lexsort((end, start, utterance))
    utterance, start, end, is_second = utterance[order], start[order], end[order], is_second[order]
    opens = np.ones(len(order), dtype=np.bool_)
    opens[1:] = (utterance[1:] != utterance[:-1]) | (start[1:] - end[:-1] >= 2)
    segment = np.cumsum(opens) - 1
    count = int(segment[-1]) + 1 if len(segment) else 0
    return np.bincount(segment[~is_second], minlength=count), np.bincount(segment[is_second], minlength=count)


def _different_references(first: Score, second: Score) -> list[int]:
    if first.references is None or second.references is None:
        return [int(i) for i in np.flatnonzero(first.arrays.words != second.arrays.words)]
    if first.references == second.references and first.normalizer == second.normalizer:
        return []
    return [i for i in range(len(first)) if first.reference_words(i) != second.reference_words(i)]
