"""The statistics of word errors: intervals and tests, each a function from arrays to a record.

What is random is which utterances (or whose) were recorded; the recogniser is taken as it is. Errors of one speaker go
together, so an interval that draws speakers is honest where one that draws utterances is several times too narrow
(Liu and Peng, "Statistical testing on ASR performance via blockwise bootstrap", 2020). Drawing with replacement
follows Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", 2004.

Resamples of few speakers vary too little: by the factor `(n - 1) / n` in the variance, and as if it were known and not
estimated from them. Intervals and p values make up for both (the expanded percentile interval of Hesterberg, "What teachers
should know about the bootstrap", 2015); without that, differences that are chance pass for more than twice as often as they
should where there are six or seven speakers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speech_mlflow.scoring.records import BoolArray, FloatArray, Int64Array

_RARE = 12
"""Rows that occur less often than this are drawn one by one: about where a binomial number costs as much as a draw."""

_CELLS = 1 << 20  # numbers drawn at once


@dataclass(frozen=True)
class Interval:
    """A confidence interval. `method` says how it came about, `units` how many things were drawn from."""

    low: float
    high: float
    level: float
    method: str
    units: int

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:.2%} to {self.high:.2%} ({self.level:.0%}, {self.method})"


@dataclass(frozen=True)
class Mapsswe:
    """Matched pairs sentence segment word error test (Gillick and Cox, 1989), as NIST's sc_stats defines it.

    `segments` with an error of either system were compared; `mean` and `std` are of the difference of their errors
    (first less second), `z` is `mean / (std / sqrt(segments))` and `p_value` two-tailed from the normal distribution.
    """

    segments: int
    mean: float
    std: float
    z: float
    p_value: float


@dataclass(frozen=True)
class PairedTest:
    """A test on the utterances in which two systems differ.

    `first_better` and `second_better` count those utterances; `p_value` is two-tailed. `method` tells exact from
    approximate.
    """

    first_better: int
    second_better: int
    p_value: float
    method: str


# --- bootstrap --------------------------------------------------------------------------------------------------


def resample_sums(values: npt.ArrayLike, resamples: int, seed: int) -> Int64Array:
    """Column sums of `resamples` draws of all rows with replacement: shape (resamples, columns).

    Exact, not an approximation: rows that are equal are drawn together by a multinomial distribution over the
    distinct rows, rare rows one by one. `values` are not negative integers of shape (rows, columns).
    """
    rows = np.atleast_2d(np.asarray(values, dtype=np.int64))
    distinct, counts = _distinct(rows)
    order = np.argsort(-counts, kind="stable")
    distinct, counts = distinct[order], counts[order]
    common = int(np.count_nonzero(counts >= _RARE))
    total, generator = len(rows), np.random.default_rng(seed)
    rare = int(counts[common:].sum())
    probabilities = np.append(counts[:common], rare) / total
    pool = np.repeat(distinct[common:], counts[common:], axis=0)
    sums = np.empty((resamples, rows.shape[1]), dtype=np.int64)
    step = max(1, _CELLS // (len(probabilities) + rare + 1))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.multinomial(total, probabilities, size=size)
        # float64 is exact here: all sums are far below 2 ** 53
        part = drawn[:, :common].astype(np.float64) @ distinct[:common].astype(np.float64)
        sums[start : start + size] = part.astype(np.int64)
        if rare:
            sums[start : start + size] += _draw_rare(generator, pool, drawn[:, common])
    return sums


def _distinct(rows: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Distinct rows and how often each occurs."""
    width = rows.max(axis=0, initial=0) + 1
    if float(np.prod(width.astype(np.float64))) >= 2.0**62:
        distinct, counts = np.unique(rows, axis=0, return_counts=True)
        return distinct, counts
    key = np.zeros(len(rows), dtype=np.int64)
    for column, size in enumerate(width.tolist()):
        key = key * size + rows[:, column]
    _, first, counts = np.unique(key, return_index=True, return_counts=True)
    return rows[first], counts


def _draw_rare(generator: np.random.Generator, pool: Int64Array, sizes: Int64Array) -> Int64Array:
    """Sums of `sizes[k]` rows drawn from `pool`, for each k."""
    index = generator.integers(0, len(pool), size=int(sizes.sum()), dtype=np.uint32)
    ends = np.cumsum(sizes)
    sums = np.empty((len(sizes), pool.shape[1]), dtype=np.int64)
    for column in range(pool.shape[1]):
        running = np.concatenate([[0], np.cumsum(pool[:, column][index])])
        sums[:, column] = running[ends] - running[ends - sizes]
    return sums


def group_sums(values: Int64Array, labels: Sequence[str]) -> Int64Array:
    """Column sums of `values` per distinct label: shape (labels, columns)."""
    number: dict[str, int] = {}
    index = np.fromiter((number.setdefault(label, len(number)) for label in labels), dtype=np.int64, count=len(labels))
    sums = np.zeros((len(number), values.shape[1]), dtype=np.int64)
    for column in range(values.shape[1]):
        # exact: bincount adds in float64, and sums of counts are far below 2 ** 53
        sums[:, column] = np.bincount(index, weights=values[:, column], minlength=len(number)).astype(np.int64)
    return sums


def ratios(errors: npt.ArrayLike, words: npt.ArrayLike) -> FloatArray:
    """Errors per word; 0 where there are neither, infinite for errors without words."""
    top, bottom = np.asarray(errors, dtype=np.float64), np.asarray(words, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.where(top == 0, 0.0, np.sign(top) * np.inf))


def percentiles(samples: FloatArray, level: float, units: int | None = None) -> tuple[float, float]:
    """The central interval that holds `level` of the samples; of few `units` drawn from, more of them (see above)."""
    tail = (1 - level) / 2
    if units is not None:
        tail = _expanded(tail, units)
    low, high = np.quantile(samples, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def bootstrap_p_value(samples: FloatArray, units: int) -> float:
    """Two-tailed: how often the resampled difference lies on the other side of zero, counting the data themselves.

    Where no resample does, the normal distribution says how often one would. Never below what so many resamples can tell, nor
    below `least_p_value`: resamples of a few units that all point one way would seem to prove anything.
    """
    fewer = min(int(np.count_nonzero(samples <= 0)), int(np.count_nonzero(samples >= 0)))
    tail = min(0.5, (fewer + 1) / (len(samples) + 1))
    if not fewer:
        tail = min(tail, _normal_tail(samples))
    return max(2 * _contracted(tail, units), 2 / (len(samples) + 1), least_p_value(units))


def _normal_tail(samples: FloatArray) -> float:
    """The share of a normal distribution, with the mean and deviation of the samples, beyond zero."""
    from scipy.special import ndtr

    if not np.isfinite(samples).all():
        return 0.5
    std = float(samples.std())
    return float(ndtr(-abs(float(samples.mean())) / std)) if std else 0.0


def _expanded(tail: float, units: int) -> float:
    """The share of resamples in the tail beyond which lies what is as rare as `tail`."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(math.sqrt(units / (units - 1)) * stdtrit(units - 1, tail))) if units > 1 else 0.0


def _contracted(tail: float, units: int) -> float:
    """How rare that is beyond which the share `tail` of the resamples lies: the inverse of `_expanded`."""
    from scipy.special import ndtri, stdtr

    return float(stdtr(units - 1, math.sqrt((units - 1) / units) * ndtri(tail))) if units > 1 else 0.5


def least_p_value(units: int) -> float:
    """The smallest two-tailed p value that a sign test on so many units can reach: all of them point one way."""
    return 2.0 ** (1 - units)


# --- tests ------------------------------------------------------------------------------------------------------


def mapsswe(first: FloatArray | Int64Array, second: FloatArray | Int64Array) -> Mapsswe:
    """The test on errors per segment; segments in which neither system erred are not counted."""
    difference = (first - second)[(first != 0) | (second != 0)].astype(np.float64)
    count = len(difference)
    mean = float(difference.mean()) if count else 0.0
    std = float(difference.std(ddof=1)) if count > 1 else 0.0
    if std == 0.0:
        # no spread: no difference at all, or the same one everywhere, on which the test has nothing to say
        return Mapsswe(count, mean, std, 0.0, 1.0)
    z = mean / (std / math.sqrt(count))
    return Mapsswe(count, mean, std, z, math.erfc(abs(z) / math.sqrt(2)))


def exact_sign(first_better: int, second_better: int) -> PairedTest:
    """Two-tailed exact binomial test of equal chances; ties are left out.

    On counts of utterances right under one system only this is McNemar's exact test.
    """
    from scipy.special import bdtr

    total, fewer = first_better + second_better, min(first_better, second_better)
    p_value = min(1.0, 2 * float(bdtr(fewer, total, 0.5))) if total else 1.0
    return PairedTest(first_better, second_better, p_value, "exact")


def mcnemar(first_wrong: BoolArray, second_wrong: BoolArray) -> PairedTest:
    """McNemar's test, exact: utterances entirely right under one system only."""
    return exact_sign(int(np.count_nonzero(~first_wrong & second_wrong)), int(np.count_nonzero(first_wrong & ~second_wrong)))


def sign_test(difference: Int64Array) -> PairedTest:
    """Sign test, exact: utterances with fewer errors under one system. `difference` is first less second."""
    return exact_sign(int(np.count_nonzero(difference < 0)), int(np.count_nonzero(difference > 0)))


def wilcoxon(difference: FloatArray) -> PairedTest:
    """Wilcoxon's signed rank test on the difference of the rates (first less second), zeros left out.

    Exact for up to 50 utterances without ties, else normal with the correction for ties.
    """
    nonzero = difference[difference != 0]
    better, worse = int(np.count_nonzero(nonzero < 0)), int(np.count_nonzero(nonzero > 0))
    if not len(nonzero):
        return PairedTest(0, 0, 1.0, "exact")
    from scipy.stats import wilcoxon as scipy_wilcoxon

    tied = len(np.unique(np.abs(nonzero))) < len(nonzero)
    method = "exact" if len(nonzero) <= 50 and not tied else "approx"
    p_value = float(scipy_wilcoxon(nonzero, method=method).pvalue)
    return PairedTest(better, worse, p_value, "exact" if method == "exact" else "normal approximation")


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for having been looked at together (Holm, 1979)."""
    count = len(p_values)
    adjusted, highest = [0.0] * count, 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
