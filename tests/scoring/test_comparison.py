from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import Comparison, Score, compare, compare_all, score, statistics
from speech_mlflow.scoring.comparable import segment_errors
from speech_mlflow.scoring.comparison import ComparisonTable, wer_interval, wer_intervals_by
from tests.scoring.oracle import corpus, heard_again


def two(utterances: int = 400, seed: int = 1) -> tuple[Score, Score]:
    """Two recognisers on the same utterances, the second clearly better."""
    references, hypotheses = corpus(utterances, seed=seed, rate=0.2)
    return score(references, hypotheses), score(references, heard_again(references, seed + 1000, rate=0.12))


def plain_segments(first: Score, second: Score) -> list[tuple[int, int]]:
    """MAPSSWE segments as they are defined, word by word over the alignments."""
    segments = []
    for index in range(len(first)):
        size = len(first.reference_words(index))
        wrong: list[list[int]] = [[0] * size for _ in range(2)]
        gaps: list[list[int]] = [[0] * (size + 1) for _ in range(2)]
        for system, one in enumerate((first, second)):
            position = 0
            for step in one.alignment(index):
                if step.op == "ins":
                    gaps[system][position] += 1
                else:
                    wrong[system][position] += step.op != "hit"
                    position += 1
        slots: list[tuple[bool, int, int]] = []  # (is a word right in both, errors of either)
        for position in range(size + 1):
            if gaps[0][position] or gaps[1][position]:
                slots.append((False, gaps[0][position], gaps[1][position]))
            if position < size:
                bad = wrong[0][position], wrong[1][position]
                slots.append((not any(bad), *bad))
        good, current = 2, [0, 0]
        for right, one_errors, two_errors in [*slots, (True, 0, 0), (True, 0, 0)]:
            good = good + 1 if right else 0
            current = [current[0] + one_errors, current[1] + two_errors]
            if good >= 2 and any(current):
                segments.append((current[0], current[1]))
                current = [0, 0]
    return segments


def test_segments_as_defined() -> None:
    for seed in range(4):
        first, second = two(150, seed)
        found = list(zip(*(errors.tolist() for errors in segment_errors(first.edits, second.edits)), strict=True))
        assert found == plain_segments(first, second)


def test_segments_by_hand() -> None:
    #                  x     .  .  y  .  z          one word between y and z: one segment
    first = score(["a b c d e f g h"], ["x b c d e y g z"])
    second = score(["a b c d e f g h"], ["a b c d e f g h"])
    assert [errors.tolist() for errors in segment_errors(first.edits, second.edits)] == [[1, 2], [0, 0]]
    # an insertion takes no word: one right word on either side of it does not split
    inserted = score(["a b c"], ["a b x c"])
    deleted = score(["a b c"], ["b c"])
    assert [errors.tolist() for errors in segment_errors(inserted.edits, deleted.edits)] == [[1], [1]]
    # the end of an utterance does
    ends = score(["a", "b"], ["", ""])
    assert [errors.tolist() for errors in segment_errors(ends.edits, ends.edits)] == [[1, 1], [1, 1]]


def test_mapsswe() -> None:
    first, second = two()
    segments = np.array(plain_segments(first, second))
    found = compare(first, second, resamples=100).mapsswe
    difference = segments[:, 0] - segments[:, 1]
    assert found.segments == len(segments)
    assert found.mean == pytest.approx(difference.mean())
    assert found.std == pytest.approx(difference.std(ddof=1))
    assert found.z == pytest.approx(scipy.stats.ttest_1samp(difference, 0).statistic)


def test_interval_agrees_with_the_delta_method() -> None:
    """With many utterances the bootstrap comes close to the variance of a ratio in closed form."""
    first, second = two(2000)
    found = compare(first, second, resamples=4000, seed=3)
    words = first.arrays.words.astype(float)
    difference = second.arrays.errors - first.arrays.errors
    rate = difference.sum() / words.sum()
    deviation = math.sqrt(((difference - rate * words) ** 2).sum()) / words.sum()
    assert found.difference == pytest.approx(rate)
    low, high = rate - 1.96 * deviation, rate + 1.96 * deviation
    assert found.interval.low == pytest.approx(low, abs=0.15 * deviation)
    assert found.interval.high == pytest.approx(high, abs=0.15 * deviation)
    assert found.interval.method == "bootstrap by utterance"
    assert found.interval.units == 2000


def test_interval_of_a_small_case_is_that_of_all_resamples() -> None:
    references = ["a b c d", "e f", "g h i", "j", "k l m n o"]
    first = score(references, ["a b c d", "x f", "g h", "j", "k x x n o"])
    second = score(references, ["a b x d", "e f", "g h i", "j", "k l x n o"])
    values = np.column_stack([first.arrays.errors, second.arrays.errors, first.arrays.words])
    draws = values[np.array(np.meshgrid(*[range(5)] * 5)).reshape(5, -1).T].sum(axis=1)
    exact = (draws[:, 1] - draws[:, 0]) / draws[:, 2]
    found = compare(first, second, resamples=40_000, level=0.8)
    # of five utterances the interval is wider by what Student's t says
    tail = scipy.stats.norm.cdf(math.sqrt(5 / 4) * scipy.stats.t.ppf(0.1, 4))
    low, high = np.quantile(exact, [tail, 1 - tail], method="inverted_cdf")
    assert found.interval.low == pytest.approx(low, abs=0.01)
    assert found.interval.high == pytest.approx(high, abs=0.01)
    assert found.p_improvement == pytest.approx((exact < 0).mean() + 0.5 * (exact == 0).mean(), abs=0.01)


def test_drawing_by_speaker_is_wider_where_errors_go_together() -> None:
    references = ["a b c d"] * 400
    labels = [f"speaker{index // 20}" for index in range(400)]
    heard = ["x y z d" if index // 20 % 2 else "a b c d" for index in range(400)]
    first = score(references, references, groups={"speaker": labels})
    second = score(references, heard, groups={"speaker": labels})
    by_speaker = compare(first, second)
    by_utterance = compare(first, second, groups=False)
    assert by_speaker.resampled_by == "speaker"
    assert by_speaker.interval.units == 20
    assert by_utterance.resampled_by == "utterance"
    width = by_speaker.interval.high - by_speaker.interval.low
    narrow = by_utterance.interval.high - by_utterance.interval.low
    # each of 20 speakers is 0 or 3/4: the deviation of the mean of 20 against that of 400
    assert width / narrow == pytest.approx(math.sqrt(20), rel=0.15)


@pytest.mark.parametrize(
    ("columns", "given", "drawn"),
    [
        ({}, None, "utterance"),
        ({"file": 1, "speaker": 1}, None, "speaker"),
        ({"device": 1, "file": 1}, None, "file"),
        ({"device": 1}, None, "utterance"),
        ({"file": 1, "speaker_id": 1}, None, "speaker_id"),
        ({"device": 1}, "device", "device"),
        ({"speaker": 0}, None, "utterance"),
        ({"speaker": 1}, False, "utterance"),
        ({"speaker": 1}, {"room": 1, "file": 1}, "file"),
        ({}, ["x", "y", "z"], "group"),
    ],
)
def test_what_is_drawn(columns: dict[str, int], given: object, drawn: str) -> None:
    labels = {0: ["same"] * 3, 1: ["x", "y", "z"]}
    groups = {name: labels[kind] for name, kind in columns.items()}
    first = score(["a b", "c", "d"], ["a b", "x", "d"], groups=groups)
    chosen = dict.fromkeys(given, labels[1]) if isinstance(given, dict) else given
    assert compare(first, first, groups=chosen, resamples=10).resampled_by == drawn  # type: ignore[arg-type]


def test_references_without_words_compare_by_their_errors() -> None:
    """Noise alone: all rates are infinite, and the one that hears less is better."""
    noise = {heard: score([""] * 20, [heard] * 20) for heard in ("x y", "x", "")}
    found = compare(noise["x y"], noise["x"], resamples=200)
    assert found.difference == -math.inf
    assert found.relative_difference == -0.5
    assert found.verdict() == "second is better than first."
    assert compare(noise["x"], noise["x y"], resamples=200).verdict() == "first is better than second."
    table = compare_all(noise, resamples=200)
    assert table.best() == ""
    assert table.matrix() == [[0, math.inf, math.inf], [-math.inf, 0, math.inf], [-math.inf, -math.inf, 0]]


def test_two_functions_of_one_name_are_two_normalisers() -> None:
    first = score(["a b"], ["a b"], normalizer=lambda text: text)
    second = score(["a b"], ["a b"], normalizer=lambda text: text.replace(" ", ""))
    with pytest.raises(ScoringError, match="1 references that differ"):
        compare(first, second)


def test_few_speakers_prove_nothing() -> None:
    """All resamples of three speakers that got better say better; that is no evidence, and it is said."""
    labels = ["ann", "bob", "cec"] * 20
    first = score(["a b c"] * 60, ["a b x"] * 60, groups={"speaker": labels})
    second = score(["a b c"] * 60, ["a b c"] * 60, groups={"speaker": labels})
    found = compare(first, second)
    assert found.interval.high < 0
    assert not found.significant
    assert found.p_value == 0.25
    assert "too few" in found.notes[0]
    assert compare(first, second, groups=False).significant


def test_utterances_without_a_speaker_are_told() -> None:
    labels = [f"s{index}" for index in range(30)] + [None, None, None]
    first = score(["a b"] * 33, ["a c"] * 33, groups={"speaker": labels})
    found = compare(first, first, resamples=50)
    assert found.interval.units == 31
    assert found.notes == ("3 utterances have no speaker and are drawn together, as if they had one",)


def test_better_and_worse_utterances() -> None:
    first = score(["a b c", "d e", "f", "g"], ["x y c", "d e", "f", "g"], ids=["p", "q", "r", "s"])
    second = score(["a b c", "d e", "f", "g"], ["a b c", "d", "f x x", "g"], ids=["p", "q", "r", "s"])
    found = compare(first, second, resamples=100)
    assert [(one.id, one.first_errors, one.second_errors) for one in found.better()] == [("p", 2, 0)]
    assert [(one.id, one.words, one.second_errors) for one in found.worse()] == [("r", 1, 2), ("q", 2, 1)]
    assert found.worse(1)[0].id == "r"
    assert (found.better_count, found.worse_count) == (1, 2)
    assert (found.sign.first_better, found.sign.second_better) == (2, 1)
    assert (found.mcnemar.first_better, found.mcnemar.second_better) == (2, 1)


def test_tests_of_a_comparison() -> None:
    first, second = two(300, seed=9)
    found = compare(first, second, resamples=200)
    rates = (first.arrays.errors - second.arrays.errors) / first.arrays.words
    assert found.wilcoxon.p_value == pytest.approx(scipy.stats.wilcoxon(rates, method="approx").pvalue)
    changed = np.sign(first.arrays.errors - second.arrays.errors)
    expected = scipy.stats.binomtest(int((changed > 0).sum()), int((changed != 0).sum())).pvalue
    assert found.sign.p_value == pytest.approx(expected)
    assert found.relative_difference == pytest.approx(second.wer / first.wer - 1)


def test_same_hypotheses_are_no_difference() -> None:
    first, _ = two(100)
    found = compare(first, first, resamples=500)
    assert found.difference == 0
    assert not found.significant
    assert found.p_value == found.mapsswe.p_value == found.mcnemar.p_value == found.wilcoxon.p_value == 1.0
    assert found.p_improvement == 0.5
    assert "No difference" in found.verdict()


def test_swapping_turns_signs() -> None:
    first, second = two(200)
    found, back = compare(first, second, resamples=500), compare(second, first, resamples=500)
    assert found.difference == -back.difference
    assert found.mapsswe.z == pytest.approx(-back.mapsswe.z)
    assert found.verdict() == "second is better than first."
    assert back.verdict() == "first is better than second."


def test_same_seed_same_interval() -> None:
    first, second = two(200)
    assert compare(first, second, seed=1).interval == compare(first, second, seed=1).interval
    assert compare(first, second, seed=1).interval != compare(first, second, seed=2).interval


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: score(["a b", "c"], ["a", "c"], normalizer="en-US"), "normalisers none and en-US"),
        (lambda: score(["a b"], ["a"]), "2 and 1 utterances"),
        (lambda: score(["a b", "d"], ["a", "c"]), "1 references that differ: 1"),
    ],
)
def test_what_cannot_be_compared(change: Callable[[], Score], words: str) -> None:
    with pytest.raises(ScoringError, match=words):
        compare(score(["a b", "c"], ["a", "c"]), change())


def test_other_ids_cannot_be_compared() -> None:
    with pytest.raises(ScoringError, match="2 ids that differ or are in another order: x/y, y/x"):
        compare(score(["a", "a"], ["a", "a"], ids=["x", "y"]), score(["a", "a"], ["a", "a"], ids=["y", "x"]))


def test_references_may_differ_where_the_normaliser_makes_them_equal() -> None:
    first = score(["Hello, World"], ["hello"], normalizer="en-US")
    second = score(["hello world"], ["hello world"], normalizer="en-US")
    assert compare(first, second, resamples=10).difference == -0.5


def test_bad_arguments() -> None:
    one = score(["a"], ["b"])
    with pytest.raises(ScoringError, match="column"):
        compare(one, one, groups="speaker")
    with pytest.raises(ScoringError, match="resamples"):
        compare(one, one, resamples=0)
    with pytest.raises(ScoringError, match="no utterances"):
        compare(score([], []), score([], []))
    with pytest.raises(ScoringError, match="two"):
        compare_all({"one": one})


def test_many_models() -> None:
    first, second = two(300)
    third = score(first.references, second.hypotheses)  # type: ignore[arg-type]
    table = compare_all({"a": first, "b": second, "c": third}, resamples=1000)
    assert list(table.pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert table.names == ("a", "b", "c")
    assert table.best() == "b"
    assert table.matrix()[1][0] == pytest.approx(second.wer - first.wer)
    assert table.p_values == dict(
        zip(table.pairs, statistics.holm([pair.p_value for pair in table.pairs.values()]), strict=True)
    )
    assert table.p_values["a", "b"] == pytest.approx(3 * table.pairs["a", "b"].p_value)
    assert table.mapsswe_p_values["b", "c"] == 1.0
    assert "b against a" in str(table)


def test_a_verdict_among_many_is_corrected_for_their_number() -> None:
    scores = {name: score(["a b"] * 60, [heard] * 60) for name, heard in (("x", "a c"), ("y", "a b"), ("z", "a b"))}
    table = compare_all(scores, resamples=200)
    assert table.significant(("x", "y"))
    assert not table.significant(("y", "z"))
    assert table.verdict(("x", "y")) == "y is better than x."
    rough = ComparisonTable(scores, {names: replace(pair, p_value=0.03) for names, pair in table.pairs.items()})
    assert rough.pairs["x", "y"].significant
    assert not rough.significant(("x", "y")), "0.03 three times is 0.09"
    assert rough.verdict(("x", "y")) == "No difference beyond chance between x and y, corrected for 3 comparisons."


def test_interval_of_one_score_holds_the_truth_as_often_as_it_says() -> None:
    """Coverage: of 300 test sets drawn from one distribution, about 90 % of the intervals hold its rate."""
    generator = np.random.default_rng(5)
    inside = 0
    for trial in range(300):
        wrong = generator.random(120) < 0.2
        found = score(["a"] * 120, ["b" if one else "a" for one in wrong])
        inside += 0.2 in wer_interval(found, resamples=400, level=0.9, seed=trial)
    # 270 expected; 30 is five standard deviations
    assert 240 <= inside <= 300


def test_interval_of_a_group_is_that_of_its_utterances_alone() -> None:
    first, _ = two(300)
    devices = ["phone" if index % 3 else "desk" for index in range(300)]
    speakers = [f"s{index % 20}" for index in range(299)] + ["alone"]
    given = score(*first.texts(), groups={"device": devices, "speaker": speakers})
    found = wer_intervals_by(given, devices, ["phone", "desk"], resamples=500)
    for label, interval in found.items():
        rows = [index for index in range(300) if devices[index] == label]
        references, hypotheses = ([column[row] for row in rows] for column in given.texts())
        alone = score(references, hypotheses, groups={"speaker": [speakers[row] for row in rows]})
        assert interval == wer_interval(alone, resamples=500)
        assert interval.method == "bootstrap by speaker"
    assert wer_intervals_by(given, speakers, ["alone"])["alone"].method == "bootstrap by utterance"


def test_streamed_scores_compare() -> None:
    from speech_mlflow.scoring import score_stream

    first, second = two(200)
    assert first.references is not None
    streamed = [score_stream(zip(first.references, one.hypotheses or (), strict=True)) for one in (first, second)]
    whole, kept = compare(first, second), compare(*streamed)
    assert kept.interval == whole.interval
    assert kept.mapsswe == whole.mapsswe


def test_text_of_a_comparison() -> None:
    first, second = two(200)
    found: Comparison = compare(first, second, names=("base", "custom"))
    text = str(found)
    assert text.startswith("custom is better than base.")
    assert "MAPSSWE" in text
    assert set(found.summary()) >= {"wer_difference", "p_value", "mapsswe_z", "better", "worse"}
