"""The evaluator on alignments made by the package, checked against counts made by hand."""

from __future__ import annotations

import csv

import pytest
import speech_mlflow_number_errors as plugin

from speech_mlflow.scoring.alignment import align
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, Evaluator, EvaluatorInput, EvaluatorOutput, run_evaluators


def given(*pairs: tuple[str, str], locale: str = "en-US") -> EvaluatorInput:
    utterances = [
        EvaluatedUtterance(f"{n}.wav", reference, hypothesis, align(reference.split(), hypothesis.split()))
        for n, (reference, hypothesis) in enumerate(pairs)
    ]
    return EvaluatorInput("custom", locale, utterances, lambda name: None)


def table(output: EvaluatorOutput) -> dict[tuple[str, str], int]:
    text = output.artifacts["numbers.csv"]
    assert isinstance(text, str)
    return {(row["said"], row["heard"]): int(row["count"]) for row in csv.DictReader(text.splitlines())}


def found(text: str, locale: str = "en-US") -> list[str]:
    steps = align(text.split(), text.split())
    return [plugin.text(steps[span], "reference") for span in plugin.numbers(steps, "reference", plugin.language_of(locale))]


def test_right_wrong_and_false_numbers_are_counted() -> None:
    output = plugin.evaluate(
        given(
            ("take forty milligrams", "take forty milligrams"),
            ("take forty milligrams", "take fourteen milligrams"),
            ("take forty milligrams", "take fourteen milligrams"),
            ("take some for him", "take some four him"),
        )
    )
    assert output.metrics == {
        "number_count": 3,
        "number_recall": 1 / 3,
        "number_error_rate": 3 / 3,
        "number_word_error_rate": 2 / 3,
        "number_precision": 1 / 4,
    }
    assert output.columns["numbers wrong"] == ["", "forty → fourteen", "forty → fourteen", "(nothing) → four"]
    assert table(output) == {("forty", "fourteen"): 2, ("(nothing)", "four"): 1}
    assert list(table(output)) == [("forty", "fourteen"), ("(nothing)", "four")], "the most frequent first"


@pytest.mark.parametrize(
    ("said", "heard", "instead"),
    [
        ("take forty now", "take forty five now", "forty five"),
        ("take forty five now", "take forty now", "forty"),
        ("take forty five now", "take five now", "five"),
        ("take forty now", "take now", "(nothing)"),
        ("take two hundred now", "take two a hundred now", "two a hundred"),
        ("take two hundred and five now", "take two hundred five now", "two hundred five"),
        ("in nineteen now", "in nine teen now", "nine teen"),
    ],
)
def test_a_number_is_right_as_a_whole_or_wrong(said: str, heard: str, instead: str) -> None:
    output = plugin.evaluate(given((said, heard)))
    assert output.metrics["number_recall"] == 0
    assert [other for _, other in table(output)] == [instead]


def test_what_is_a_number() -> None:
    text = "give 3.5 or twenty five and then two hundred and five at one oh four on the twenty second for $40 and half of 12th"
    assert found(text) == ["3.5", "twenty five", "two hundred and five", "one oh four", "twenty", "$40 and half", "12th"]
    assert found("wait a second and go on and on") == []
    assert found("and two and") == ["two"]
    german = "nimm zweiundzwanzig oder drei komma fünf und eine von hunderttausend und 40"
    assert found(german, "de-DE") == ["zweiundzwanzig", "drei komma fünf", "hunderttausend und 40"]
    assert found("prenez deux ou 12,5", "fr-FR") == ["12,5"]


def test_direction_is_named_for_every_metric() -> None:
    better = plugin.evaluate(given(("forty", "forty"))).greater_is_better
    assert {name for name, higher in better.items() if higher} == {"number_count", "number_recall", "number_precision"}
    assert better["number_error_rate"] is False


def test_precision_is_left_out_where_no_number_was_heard() -> None:
    assert "number_precision" not in plugin.evaluate(given(("forty", "for tea"))).metrics


def test_it_is_registered_and_fails_by_name_alone() -> None:
    registered: list[Evaluator] = []
    plugin.register_evaluators(registered.append)
    outputs, failures = run_evaluators(given(("good morning", "forty")), {one.name: one for one in registered})
    assert outputs == {}
    assert [(failure.name, failure.reason) for failure in failures] == [
        ("number-errors", "ValueError: no reference holds a number, in en-US")
    ]
