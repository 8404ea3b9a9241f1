"""Comparing recognisers on the same utterances: is the difference more than chance, and where does it come from?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import statistics
from speech_mlflow.scoring.comparable import UTTERANCE, GroupsLike, check_comparable, choose_groups, draw, segment_errors
from speech_mlflow.scoring.inputs import NO_LABEL
from speech_mlflow.scoring.records import FloatArray, Int64Array, rate
from speech_mlflow.scoring.scores import Score
from speech_mlflow.scoring.statistics import Interval, Mapsswe, PairedTest

FEW_GROUPS = 10
LEVEL = 0.95


@dataclass(frozen=True)
class ChangedUtterance:
    """An utterance on which two systems made a different number of errors."""

    index: int
    id: str
    words: int
    first_errors: int
    second_errors: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two scores on the same utterances. A difference is second less first: negative where the second is better.

    `interval` is of the difference, `first_interval` and `second_interval` of the two rates, all three from the same
    resamples, drawn by `resampled_by` (a group column, or "utterance"). `p_value` is two-tailed from the bootstrap and
    `p_improvement` the share of resamples in which the second is better, half of the ties included. `notes` say what
    to beware of. The tests are computed when asked for.
    """

    names: tuple[str, str]
    first: Score = field(repr=False)
    second: Score = field(repr=False)
    interval: Interval
    first_interval: Interval
    second_interval: Interval
    p_value: float
    p_improvement: float
    resampled_by: str
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        """WER of the second less that of the first, as a fraction."""
        # not one rate less the other, which are both infinite where the references have no words
        return rate(self.second.errors - self.first.errors, self.first.words)

    @property
    def relative_difference(self) -> float:
        """The difference as a share of the first WER."""
        return rate(self.second.errors - self.first.errors, self.first.errors)

    @property
    def significant(self) -> bool:
        """Whether the interval of the difference leaves out zero, and enough was drawn from to say so."""
        return 0.0 not in self.interval and self.p_value <= 1 - self.interval.level

    @cached_property
    def mapsswe(self) -> Mapsswe:
        """Matched pairs sentence segment word error test."""
        return statistics.mapsswe(*segment_errors(self.first.edits, self.second.edits))

    @cached_property
    def mcnemar(self) -> PairedTest:
        """McNemar's exact test on utterances that are entirely right."""
        return statistics.mcnemar(self.first.arrays.errors > 0, self.second.arrays.errors > 0)

    @cached_property
    def sign(self) -> PairedTest:
        """Exact sign test on the errors per utterance."""
        return statistics.sign_test(-self._change)

    @cached_property
    def wilcoxon(self) -> PairedTest:
        """Wilcoxon's signed rank test on the WER per utterance; utterances without reference words are left out."""
        words = self.first.arrays.words
        return statistics.wilcoxon(-self._change[words > 0] / words[words > 0])

    @cached_property
    def _change(self) -> Int64Array:
        """Errors of the second less those of the first, per utterance."""
        return self.second.arrays.errors.astype(np.int64) - self.first.arrays.errors

    @property
    def better_count(self) -> int:
        """Utterances in which the second made fewer errors."""
        return int(np.count_nonzero(self._change < 0))

    @property
    def worse_count(self) -> int:
        """Utterances in which the second made more errors."""
        return int(np.count_nonzero(self._change > 0))

    def better(self, count: int | None = 20) -> list[ChangedUtterance]:
        """Utterances that got better, the largest gain first."""
        return self._changed(self._change, count)

    def worse(self, count: int | None = 20) -> list[ChangedUtterance]:
        """Utterances that got worse, the largest loss first."""
        return self._changed(-self._change, count)

    def _changed(self, key: Int64Array, count: int | None) -> list[ChangedUtterance]:
        order = np.argsort(key, kind="stable")[: int(np.count_nonzero(key < 0))][:count]
        first, second = self.first.arrays, self.second.arrays
        return [
            ChangedUtterance(i, self.first.ids[i], int(first.words[i]), int(first.errors[i]), int(second.errors[i]))
            for i in order.tolist()
        ]

    def summary(self) -> dict[str, float]:
        """Numbers by name, as they are logged."""
        return {
            "wer_difference": self.difference,
            "wer_difference_low": self.interval.low,
            "wer_difference_high": self.interval.high,
            "p_value": self.p_value,
            "p_improvement": self.p_improvement,
            "mapsswe_z": self.mapsswe.z,
            "mapsswe_p_value": self.mapsswe.p_value,
            "mcnemar_p_value": self.mcnemar.p_value,
            "sign_p_value": self.sign.p_value,
            "better": self.better_count,
            "worse": self.worse_count,
        }

    def verdict(self) -> str:
        """The outcome in a sentence."""
        if not self.significant:
            return f"No difference beyond chance between {self.names[0]} and {self.names[1]} on these utterances."
        better, other = self.names[::-1] if self.difference < 0 else self.names
        return f"{better} is better than {other}."

    def _repr_html_(self) -> str:
        from speech_mlflow.scoring.report import comparison_html

        return comparison_html(self)

    def __str__(self) -> str:
        return "\n".join([self.verdict(), *self.details()])

    def details(self) -> list[str]:
        """What the verdict stands on, in lines, with what to beware of."""
        first, second = self.names
        lines = [
            f"WER {self.first.wer:.2%} ({first}) to {self.second.wer:.2%} ({second}): {points(self.difference)} points, "
            f"between {points(self.interval.low)} and {points(self.interval.high)} "
            f"({self.interval.level:.0%}, drawn by {self.resampled_by})",
            f"MAPSSWE z {self.mapsswe.z:.2f}, p {self.mapsswe.p_value:.3g}; "
            f"{self.better_count} utterance{'' if self.better_count == 1 else 's'} got better, {self.worse_count} worse",
        ]
        return [*lines, *(f"Note: {note}" for note in self.notes)]


@dataclass(frozen=True, eq=False)
class ComparisonTable:
    """Any number of scores on the same utterances, every pair compared.

    `pairs` holds the comparison of each pair of names, the earlier name first. `p_values` (bootstrap) and
    `mapsswe_p_values` are corrected by Holm's method for the number of pairs.
    """

    scores: Mapping[str, Score] = field(repr=False)
    pairs: Mapping[tuple[str, str], Comparison]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.scores)

    @cached_property
    def p_values(self) -> dict[tuple[str, str], float]:
        return self._adjusted([pair.p_value for pair in self.pairs.values()])

    @cached_property
    def mapsswe_p_values(self) -> dict[tuple[str, str], float]:
        return self._adjusted([pair.mapsswe.p_value for pair in self.pairs.values()])

    @property
    def notes(self) -> tuple[str, ...]:
        """What to beware of, the same for all pairs: they are drawn alike."""
        return next(iter(self.pairs.values())).notes

    def matrix(self) -> list[list[float]]:
        """Difference of WER: row name less column name."""
        scores = list(self.scores.values())
        return [[rate(row.errors - column.errors, row.words) for column in scores] for row in scores]

    def best(self) -> str:
        """The name with the lowest WER, the earlier one among equals."""
        return min(self.scores, key=lambda name: self.scores[name].errors)  # of the same words

    def significant(self, names: tuple[str, str]) -> bool:
        """Whether the difference of a pair is more than chance, after correction for the number of pairs."""
        pair = self.pairs[names]
        return pair.significant and self.p_values[names] <= 1 - pair.interval.level

    def verdict(self, names: tuple[str, str]) -> str:
        """The outcome for a pair in a sentence."""
        pair = self.pairs[names]
        if self.significant(names) or not pair.significant:
            return pair.verdict()
        return f"No difference beyond chance between {names[0]} and {names[1]}, corrected for {len(self.pairs)} comparisons."

    def _adjusted(self, p_values: Sequence[float]) -> dict[tuple[str, str], float]:
        return dict(zip(self.pairs, statistics.holm(p_values), strict=True))

    def _repr_html_(self) -> str:
        from speech_mlflow.scoring.report import table_html

        return table_html(self)

    def __str__(self) -> str:
        lines = [f"{name}: {score}" for name, score in self.scores.items()]
        for (first, second), pair in self.pairs.items():
            lines.append(
                f"{second} against {first}: {points(pair.difference)} points "
                f"(between {points(pair.interval.low)} and {points(pair.interval.high)}), "
                f"p {self.p_values[first, second]:.3g} after correction"
            )
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def points(difference: float) -> str:
    """A difference of rates in percentage points: 0.3 to 0.25 is -5.00."""
    return f"{100 * difference:+.2f}"


def compare(
    first: Score,
    second: Score,
    *,
    groups: GroupsLike = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = LEVEL,
    names: tuple[str, str] = ("first", "second"),
) -> Comparison:
    """Compare two scores of the same utterances.

    groups: what to draw by in the bootstrap. None takes the column "speaker", else "speaker_id", "file" or "group" of the
        scores, else utterances; a name takes that column; labels (one per utterance, or columns of them) are taken in the place
        of the scores' own; False draws utterances whatever is known.
    resamples, seed: of the bootstrap; the same seed gives the same intervals.
    level: of the intervals.

    Raises ScoringError where the scores are not of the same utterances under the same normaliser, naming what differs.
    """
    check_comparable(first, second, names)
    column, labels = choose_groups(first, second, groups)
    errors = [score.arrays.errors.astype(np.int64) for score in (first, second)]
    values = np.column_stack([*errors, first.arrays.words])
    sums, units = draw(values, labels, resamples, seed)
    rates = [statistics.ratios(sums[:, index], sums[:, 2]) for index in (0, 1)]
    difference = statistics.ratios(sums[:, 1] - sums[:, 0], sums[:, 2])
    improved = np.count_nonzero(difference < 0) + 0.5 * np.count_nonzero(difference == 0)
    method = f"bootstrap by {column}"

    def interval(samples: FloatArray) -> Interval:
        return Interval(*statistics.percentiles(samples, level, units), level, method, units)

    return Comparison(
        names,
        first,
        second,
        interval(difference),
        interval(rates[0]),
        interval(rates[1]),
        statistics.bootstrap_p_value(difference, units),
        float(improved / resamples),
        column,
        resamples,
        seed,
        _notes(column, labels, units, level),
    )


def compare_all(
    scores: Mapping[str, Score],
    *,
    groups: GroupsLike = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = LEVEL,
) -> ComparisonTable:
    """Compare every pair of two or more scores of the same utterances; see `compare`."""
    if len(scores) < 2:
        raise ScoringError(f"comparing needs at least two scores, not {len(scores)}")
    pairs = {
        names: compare(
            scores[names[0]],
            scores[names[1]],
            groups=groups,
            resamples=resamples,
            seed=seed,
            level=level,
            names=names,
        )
        for names in combinations(scores, 2)
    }
    return ComparisonTable(dict(scores), pairs)


def wer_interval(
    score: Score, *, groups: GroupsLike = None, resamples: int = 10_000, seed: int = 0, level: float = LEVEL
) -> Interval:
    """The confidence interval of a single WER; arguments as in `compare`."""
    column, labels = choose_groups(score, score, groups)
    values = np.column_stack([score.arrays.errors.astype(np.int64), score.arrays.words])
    sums, units = draw(values, labels, resamples, seed)
    low, high = statistics.percentiles(statistics.ratios(sums[:, 0], sums[:, 1]), level, units)
    return Interval(low, high, level, f"bootstrap by {column}", units)


def wer_intervals_by(
    score: Score,
    column: Sequence[str],
    labels: Iterable[str],
    *,
    groups: GroupsLike = None,
    resamples: int = 1_000,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """The confidence interval of the WER of each group: `column` holds one label per utterance, `labels` are those wanted.

    Drawn within a group is what `wer_interval` draws, utterances where the group has only one of these.
    """
    drawn, units = choose_groups(score, score, groups)
    values = np.column_stack([score.arrays.errors.astype(np.int64), score.arrays.words])
    members = np.asarray(column, dtype=object)
    found = {}
    for label in labels:
        rows = np.flatnonzero(members == label)
        inside = None if units is None else [units[row] for row in rows.tolist()]
        inside = None if inside is None or len(set(inside)) < 2 else inside
        sums, count = draw(values[rows], inside, resamples, seed)
        low, high = statistics.percentiles(statistics.ratios(sums[:, 0], sums[:, 1]), level, count)
        found[label] = Interval(low, high, level, f"bootstrap by {UTTERANCE if inside is None else drawn}", count)
    return found


def _notes(column: str, labels: Sequence[str] | None, units: int, level: float) -> tuple[str, ...]:
    if labels is None:
        return (f"only {units} utterance{'' if units == 1 else 's'}: the interval is rough",) if units < 30 else ()
    notes = []
    if statistics.least_p_value(units) > 1 - level:
        alone = f"draw by utterance (groups=False) to speak of these only and not of any {column}"
        notes.append(f"only {units} different values of {column}, too few to tell a difference from chance: {alone}")
    elif units < FEW_GROUPS:
        notes.append(f"only {units} different values of {column}: the interval is rough")
    if (unknown := labels.count(NO_LABEL)) > 1:
        notes.append(f"{unknown} utterances have no {column} and are drawn together, as if they had one")
    return tuple(notes)
