"""What an evaluator may give back: all else is its own failure, by name, before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from speech_mlflow.scoring.evaluators import (
    EvaluatedUtterance,
    Evaluator,
    EvaluatorFailure,
    EvaluatorInput,
    EvaluatorOutput,
    run_evaluators,
)

GIVEN = EvaluatorInput("model", "en-US", [EvaluatedUtterance("one", "a", "a", ())], lambda name: None)


def run(output: Any) -> tuple[dict[str, EvaluatorOutput], list[EvaluatorFailure]]:
    return run_evaluators(GIVEN, {"mine": Evaluator("mine", lambda given: output)})


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"rate": float("nan")}, "not finite numbers: rate"),
        ({"rate": "high"}, "could not convert"),
        (None, "NoneType"),
        (EvaluatorOutput({}, columns={"c": [1, 2]}), "one value for each of 1 utterances: c"),
        (EvaluatorOutput({}, greater_is_better=None), "NoneType"),  # type: ignore[arg-type]
        (EvaluatorOutput({}, artifacts={"a.json": {"b": 1}}), "a.json is dict, neither text nor bytes"),  # type: ignore[dict-item]
        (EvaluatorOutput({}, artifacts={"a.txt": "\ud800"}), "surrogates not allowed"),
        (EvaluatorOutput({}, artifacts={"../report.html": "mine"}), "a path below the run's folder"),
        (EvaluatorOutput({}, artifacts={"/etc/passwd": "mine"}), "a path below the run's folder"),
        (EvaluatorOutput({}, artifacts={"": "mine"}), "a path below the run's folder"),
    ],
)
def test_what_cannot_be_written_down_fails_by_name(output: Any, reason: str) -> None:
    outputs, failures = run(output)
    assert outputs == {}
    assert [failure.name for failure in failures] == ["mine"]
    assert reason in failures[0].reason


def test_what_can() -> None:
    given = EvaluatorOutput({"rate": 1}, {"rate": True}, {"c": iter(["x"])}, {"a/b.txt": "é", "c.bin": b"\xff"})  # type: ignore[dict-item]
    outputs, failures = run(given)
    assert failures == []
    assert outputs["mine"] == EvaluatorOutput({"rate": 1.0}, {"rate": True}, {"c": ["x"]}, {"a/b.txt": "é", "c.bin": b"\xff"})
