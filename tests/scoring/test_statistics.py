"""Statistics against what they are by definition: all outcomes counted, scipy, closed forms."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.scoring import statistics
from speech_mlflow.scoring.statistics import Interval


def all_resamples(values: list[tuple[int, ...]]) -> np.ndarray:
    """Column sums of every way to draw as many rows with replacement: each is equally likely."""
    rows = np.array(values)
    return np.array([rows[list(draw)].sum(axis=0) for draw in product(range(len(rows)), repeat=len(rows))])


def close_to_exact(samples: np.ndarray, exact: np.ndarray) -> None:
    """Same values, and each about as often as it should be (a chi-squared test that fails once in a million)."""
    keys, counts = np.unique(exact, axis=0, return_counts=True)
    expected = {tuple(key): count / len(exact) for key, count in zip(keys.tolist(), counts.tolist(), strict=True)}
    seen, times = np.unique(samples, axis=0, return_counts=True)
    observed = {tuple(key): count for key, count in zip(seen.tolist(), times.tolist(), strict=True)}
    assert set(observed) <= set(expected)
    statistic = sum((observed.get(key, 0) - p * len(samples)) ** 2 / (p * len(samples)) for key, p in expected.items())
    assert statistic < scipy.stats.chi2.isf(1e-6, max(1, len(expected) - 1))


@pytest.mark.parametrize(
    "values",
    [
        [(1, 2, 5), (0, 1, 4), (3, 3, 9), (0, 1, 4)],
        [(2, 7), (0, 3), (1, 1), (5, 9), (0, 2)],
        [(1, 1), (1, 1), (1, 1)],
    ],
)
def test_resamples_are_distributed_as_all_draws(values: list[tuple[int, ...]]) -> None:
    close_to_exact(statistics.resample_sums(np.array(values), 20_000, seed=1), all_resamples(values))


def test_common_and_rare_rows_together() -> None:
    """60 equal rows are drawn by the multinomial, 3 others one by one: together as drawing 63 rows one by one."""
    rows = np.array([(1, 4)] * 60 + [(2, 5), (9, 7), (0, 3)])
    sums = statistics.resample_sums(rows, 40_000, seed=2)
    generator = np.random.default_rng(3)
    plain = rows[generator.integers(0, len(rows), (40_000, len(rows)))].sum(axis=1)
    for column in range(2):
        assert scipy.stats.ks_2samp(sums[:, column], plain[:, column]).pvalue > 1e-6
    # mean and covariance of a sum of draws, in closed form
    assert sums.mean(axis=0) == pytest.approx(rows.sum(axis=0), rel=2e-3)
    assert np.cov(sums.T) == pytest.approx(np.cov(rows.T, ddof=0) * len(rows), rel=0.05)


def test_same_seed_same_resamples() -> None:
    rows = np.arange(60).reshape(20, 3)
    assert (statistics.resample_sums(rows, 50, seed=4) == statistics.resample_sums(rows, 50, seed=4)).all()
    assert (statistics.resample_sums(rows, 50, seed=4) != statistics.resample_sums(rows, 50, seed=5)).any()


def test_huge_counts_do_not_overflow() -> None:
    rows = np.array([(2**40, 2**41, 2**42), (1, 2, 3)])
    sums = statistics.resample_sums(rows, 200, seed=6)
    allowed = {tuple(row) for row in all_resamples([tuple(row) for row in rows.tolist()]).tolist()}
    assert {tuple(row) for row in sums.tolist()} == allowed


def test_percentiles_of_small_cases_are_exact() -> None:
    exact = np.sort(np.array([0.0, 1.0, 2.0, 3.0] * 250))
    assert statistics.percentiles(exact, 0.95) == (0.0, 3.0)
    assert statistics.percentiles(exact, 0.5) == (0.0, 2.0)
    assert statistics.percentiles(np.arange(1, 1001) / 1000, 0.9) == (0.05, 0.95)


def test_few_units_make_the_interval_as_wide_as_student_does() -> None:
    """The bootstrap of a mean is normal with `(n - 1) / n` of the variance that n values estimate; the interval is Student's."""
    for units in (3, 6, 20, 1000):
        resampled = scipy.stats.norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000, scale=math.sqrt((units - 1) / units))
        for level in (0.5, 0.8, 0.95):
            low, high = statistics.percentiles(resampled, level, units)
            expected = scipy.stats.t.ppf((1 + level) / 2, units - 1)
            if expected < 4:  # beyond that a million resamples are few
                assert (low, high) == pytest.approx((-expected, expected), rel=0.01)
    assert statistics.percentiles(np.arange(1000.0), 0.95, 1) == (0.0, 999.0)


def test_few_units_pass_for_a_difference_as_seldom_as_many() -> None:
    """Recognisers that are equally good, eight speakers: about 5 % are called different, not 10 %."""
    generator = np.random.default_rng(1)
    different = 0
    for trial in range(1000):
        words = generator.integers(50, 150, 8)
        rate, change = generator.normal(0.2, 0.02, 8), generator.normal(0, 0.03, 8)
        errors = [generator.binomial(words, (rate + sign * change).clip(0, 1)) for sign in (1, -1)]
        sums = statistics.resample_sums(np.column_stack([*errors, words]), 400, seed=trial)
        difference = statistics.ratios(sums[:, 1] - sums[:, 0], sums[:, 2])
        low, high = statistics.percentiles(difference, 0.95, 8)
        different += not low <= 0 <= high and statistics.bootstrap_p_value(difference, 8) <= 0.05
    # 50 expected; 71 is three standard deviations
    assert 20 <= different <= 71


def test_ratios() -> None:
    assert statistics.ratios([1, 0, 0, 2, -2], [2, 3, 0, 0, 0]).tolist() == [0.5, 0.0, 0.0, math.inf, -math.inf]


def test_group_sums() -> None:
    values = np.array([(1, 10), (2, 20), (3, 30)])
    assert statistics.group_sums(values, ["a", "b", "a"]).tolist() == [[4, 40], [2, 20]]


@given(st.integers(0, 40), st.integers(0, 40))
def test_exact_sign_test(first: int, second: int) -> None:
    found = statistics.exact_sign(first, second)
    total = first + second
    expected = scipy.stats.binomtest(first, total, 0.5).pvalue if total else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert found.method == "exact"


def test_exact_sign_test_by_counting_all_outcomes() -> None:
    for total in range(1, 9):
        outcomes = [sum(one) for one in product((0, 1), repeat=total)]
        for first in range(total + 1):
            as_far = sum(abs(count - total / 2) >= abs(first - total / 2) for count in outcomes)
            assert statistics.exact_sign(first, total - first).p_value == pytest.approx(as_far / len(outcomes))


def test_mcnemar_counts_utterances_right_under_one_only() -> None:
    first = np.array([True, True, False, False, True, False])
    second = np.array([True, False, True, False, False, True])
    found = statistics.mcnemar(first, second)
    assert (found.first_better, found.second_better) == (2, 2)
    assert found.p_value == 1.0
    # 11 against 21: where a well-known tool is far off
    assert statistics.exact_sign(11, 21).p_value == pytest.approx(0.110, abs=5e-4)


def test_sign_test_counts_fewer_errors() -> None:
    found = statistics.sign_test(np.array([1, 2, -1, 0, 0, 3]))
    assert (found.first_better, found.second_better) == (1, 3)


def test_wilcoxon_exact_on_small_cases() -> None:
    """All ways to give signs to the ranks, counted."""
    for difference in ([1.0, 2.0, -3.0], [0.1, -0.2, 0.4, 0.8, 1.6], [-1.0, -2.0, -3.0, -4.0, 0.0]):
        nonzero = np.array([value for value in difference if value])
        ranks = scipy.stats.rankdata(np.abs(nonzero))
        observed = ranks[nonzero > 0].sum()
        sums = [
            sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in product((0, 1), repeat=len(ranks))
        ]
        low = np.mean([value <= observed for value in sums])
        high = np.mean([value >= observed for value in sums])
        found = statistics.wilcoxon(np.array(difference))
        assert found.p_value == pytest.approx(min(1.0, 2 * min(low, high)))
        assert found.method == "exact"


def test_wilcoxon_with_ties_corrects_the_variance() -> None:
    generator = np.random.default_rng(7)
    difference = generator.integers(-3, 5, 200).astype(float)
    nonzero = difference[difference != 0]
    ranks = scipy.stats.rankdata(np.abs(nonzero))
    count = len(nonzero)
    _, ties = np.unique(np.abs(nonzero), return_counts=True)
    variance = count * (count + 1) * (2 * count + 1) / 24 - (ties**3 - ties).sum() / 48
    z = (ranks[nonzero > 0].sum() - count * (count + 1) / 4) / math.sqrt(variance)
    found = statistics.wilcoxon(difference)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(z)), rel=1e-9)
    assert found.method == "normal approximation"
    assert statistics.wilcoxon(np.zeros(5)).p_value == 1.0


def test_mapsswe_is_the_paired_t_statistic_with_a_normal_tail() -> None:
    generator = np.random.default_rng(8)
    first, second = generator.integers(0, 4, 300), generator.integers(0, 3, 300)
    some = (first > 0) | (second > 0)
    expected = scipy.stats.ttest_rel(first[some], second[some]).statistic
    found = statistics.mapsswe(first, second)
    assert found.segments == some.sum()
    assert found.z == pytest.approx(expected)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(expected)))


def test_mapsswe_without_spread() -> None:
    assert statistics.mapsswe(np.array([]), np.array([])).p_value == 1.0
    assert statistics.mapsswe(np.array([1, 1]), np.array([0, 0])).p_value == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=60)
def test_holm_by_its_definition(p_values: list[float]) -> None:
    """The adjusted value of a hypothesis is the smallest level at which the step-down procedure rejects it."""
    adjusted = statistics.holm(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for level in [0.01, 0.05, 0.2, 0.5, 0.9]:
        rejected = set()
        for rank, index in enumerate(order):
            if p_values[index] * (len(p_values) - rank) > level:
                break
            rejected.add(index)
        assert {index for index, value in enumerate(adjusted) if value <= level} == rejected


def test_holm_example() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []


def test_bootstrap_p_value() -> None:
    assert statistics.bootstrap_p_value(np.array([-1.0] * 999), units=100) == 2 / 1000
    assert statistics.bootstrap_p_value(np.array([-1.0, 1.0] * 500), units=100) == 1.0
    # the value at which the interval just leaves out zero
    normal = scipy.stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000, scale=math.sqrt(19 / 20))
    shifted = normal + scipy.stats.t.ppf(0.975, 19)
    assert statistics.bootstrap_p_value(shifted, units=20) == pytest.approx(0.05, rel=0.01)
    # beyond what a thousand resamples reach, as Student's t goes on
    further = normal[50::100] + scipy.stats.t.ppf(0.9985, 19)
    assert statistics.bootstrap_p_value(further, units=20) == pytest.approx(0.003, rel=0.1)
    # five of five units one way is 1 in 16, however many resamples say the same
    assert statistics.bootstrap_p_value(np.array([-1.0] * 999), units=5) == 1 / 16


def test_interval() -> None:
    interval = Interval(-0.02, 0.01, 0.95, "bootstrap by speaker", 20)
    assert 0.0 in interval
    assert 0.02 not in interval
    assert str(interval) == "-2.00% to 1.00% (95%, bootstrap by speaker)"
