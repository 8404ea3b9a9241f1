"""The evaluator on alignments made by the package, checked against counts made by hand and against chance itself."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence

import pytest
import speech_mlflow_group_fairness as plugin

from speech_mlflow.scoring.alignment import align
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, Evaluator, EvaluatorInput, EvaluatorOutput, run_evaluators

WORDS = tuple("abcdefghij")


def utterance(number: int, errors: int, **groups: str) -> EvaluatedUtterance:
    """Ten words, the first of which are wrong."""
    heard = tuple("x" if index < errors else word for index, word in enumerate(WORDS))
    return EvaluatedUtterance(f"{number}.wav", " ".join(WORDS), " ".join(heard), align(WORDS, heard), groups)


def given(utterances: Sequence[EvaluatedUtterance]) -> EvaluatorInput:
    return EvaluatorInput("custom", "en-US", utterances, lambda name: None)


def of_accents(**errors: Sequence[int]) -> EvaluatorInput:
    return given([utterance(i, e, accent=accent) for accent, each in errors.items() for i, e in enumerate(each)])


def table(output: EvaluatorOutput) -> list[dict[str, str]]:
    text = output.artifacts["groups.csv"]
    assert isinstance(text, str)
    return list(csv.DictReader(text.splitlines()))


def test_gap_and_ratio_are_those_of_the_worst_and_the_best_group() -> None:
    output = plugin.evaluate(of_accents(north=[1] * 20, south=[4] * 20, west=[2] * 20))
    metrics = output.metrics
    assert metrics["wer_gap.accent"] == metrics["wer_gap"] == pytest.approx(0.3)
    assert metrics["wer_ratio.accent"] == metrics["wer_ratio"] == pytest.approx(4)
    assert metrics["wer_gap.accent.low"] == metrics["wer_gap.accent.high"] == pytest.approx(0.3), "no spread within a group"
    assert metrics["wer_gap.accent.p_value"] == 1 / 2001
    assert metrics["wer_gap.accent.by_chance"] < 0.15
    assert [(row["group"], row["words"], row["errors"]) for row in table(output)] == [
        ("south", "200", "80"),
        ("west", "200", "40"),
        ("north", "200", "20"),
    ]
    assert output.greater_is_better["wer_gap"] is False
    assert output.greater_is_better["wer_gap.accent.p_value"] is True


def test_ratio_is_left_out_where_the_best_group_has_no_error() -> None:
    metrics = plugin.evaluate(of_accents(north=[0] * 20, south=[1] * 20)).metrics
    assert metrics["wer_gap"] == pytest.approx(0.1)
    assert not [name for name in metrics if "ratio" in name]


def test_interval_holds_what_a_plain_bootstrap_gives() -> None:
    chance = random.Random(1)
    north, south = ([chance.randint(0, 4) for _ in range(40)] for _ in range(2))
    metrics = plugin.evaluate(of_accents(north=north, south=south)).metrics
    gaps = sorted(abs(sum(chance.choices(north, k=40)) - sum(chance.choices(south, k=40))) / 400 for _ in range(4000))
    assert metrics["wer_gap.accent.low"] == pytest.approx(gaps[100], abs=0.012)
    assert metrics["wer_gap.accent.high"] == pytest.approx(gaps[3900], abs=0.012)


def test_alike_groups_are_told_from_unlike_ones_as_often_as_the_p_value_says() -> None:
    chance = random.Random(2)
    small = 0
    for _ in range(60):
        errors = {name: [chance.randint(0, 4) for _ in range(12)] for name in ("north", "south", "west")}
        small += plugin.evaluate(of_accents(**errors)).metrics["wer_gap.accent.p_value"] <= 0.1
    assert small <= 14, "about 6 of 60 by chance"


def test_speakers_are_drawn_whole_where_the_data_name_them() -> None:
    def data(**more: str) -> list[EvaluatedUtterance]:
        rows = []
        for number in range(80):
            accent, speaker = ("north", "south")[number % 2], number % 8
            rows.append(utterance(number, 3 if speaker in (1, 3) else 1, accent=accent, speaker=f"s{speaker}", **more))
        return rows

    whole, apart = (
        plugin.evaluate(given(data())),
        plugin.evaluate(
            given([utterance(n, 3 if n % 8 in (1, 3) else 1, accent=("north", "south")[n % 2]) for n in range(80)])
        ),
    )
    assert {row["drawn by"] for row in table(whole)} == {"speaker"}
    assert {row["units"] for row in table(whole)} == {"4"}
    assert {row["drawn by"] for row in table(apart)} == {"utterance"}
    assert whole.metrics["wer_gap"] == apart.metrics["wer_gap"] == pytest.approx(0.1)
    spread = [one["wer_gap.accent.high"] - one["wer_gap.accent.low"] for one in (whole.metrics, apart.metrics)]
    assert spread[0] > 2 * spread[1], "two of four speakers make the gap"
    assert whole.metrics["wer_gap.accent.p_value"] > 0.1 > apart.metrics["wer_gap.accent.p_value"]


def test_small_groups_units_and_missing_labels_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [utterance(n, 1, accent="north", speaker="a", age="") for n in range(5)]
    rows += [utterance(10 + n, 5, accent="south", speaker="b", age="old") for n in range(2)]
    with pytest.raises(ValueError, match="no group column has two groups with 30 words or more"):
        plugin.evaluate(given(rows))
    rows += [utterance(20, 5, accent="south", speaker="b", age="old")]
    rows += [utterance(30, 9, accent="(none)", speaker="c")]
    assert {name.split(".")[1] for name in plugin.evaluate(given(rows)).metrics if "." in name} == {"accent"}
    monkeypatch.setenv(plugin.COLUMNS, "speaker")
    assert "wer_gap.speaker" in plugin.evaluate(given(rows)).metrics
    monkeypatch.setenv(plugin.COLUMNS, "speaker, gender")
    with pytest.raises(ValueError, match="names gender; the data have: accent, speaker, age"):
        plugin.evaluate(given(rows))


def test_it_is_registered_and_fails_by_name_alone() -> None:
    registered: list[Evaluator] = []
    plugin.register_evaluators(registered.append)
    outputs, failures = run_evaluators(given([utterance(0, 1)]), {one.name: one for one in registered})
    assert outputs == {}
    assert [failure.name for failure in failures] == ["group-fairness"]
