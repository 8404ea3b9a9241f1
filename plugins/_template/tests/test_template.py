from __future__ import annotations

import pytest
import speech_mlflow_template as plugin

from speech_mlflow.scoring.alignment import align
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, Evaluator, EvaluatorInput, run_evaluators


def given(reference: str, hypothesis: str) -> EvaluatorInput:
    alignment = align(reference.split(), hypothesis.split())
    return EvaluatorInput("custom", "en-US", [EvaluatedUtterance("a.wav", reference, hypothesis, alignment)], lambda name: None)


def test_long_words_are_counted() -> None:
    evaluators: list[Evaluator] = []
    plugin.register_evaluators(evaluators.append)
    found = {evaluator.name: evaluator for evaluator in evaluators}
    outputs, failures = run_evaluators(given("give metoprolol and pantoprazole", "give metoprolol and pan"), found)
    assert failures == []
    assert outputs["template"].metrics == {"long_word_error_rate": 0.5}
    assert outputs["template"].columns == {"long words missed": ["pantoprazole"]}


def test_nothing_is_measured_without_a_long_word() -> None:
    with pytest.raises(ValueError, match="no reference has a word of 8 letters"):
        plugin.evaluate(given("good morning", "good morning"))
