"""The evaluator on alignments made by the package, checked against counts made by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import speech_mlflow_domain_terms as plugin
from speech_mlflow_domain_terms import Term

from speech_mlflow.scoring.alignment import align
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, Evaluator, EvaluatorInput, EvaluatorOutput, run_evaluators

TERMS = [Term("apixaban", "drugs"), Term("atrial fibrillation", "findings"), Term("Fibrillation", "findings")]


def given(*pairs: tuple[str, str]) -> EvaluatorInput:
    utterances = [
        EvaluatedUtterance(f"{n}.wav", reference, hypothesis, align(reference.split(), hypothesis.split()))
        for n, (reference, hypothesis) in enumerate(pairs)
    ]
    return EvaluatorInput("custom", "en-US", utterances, lambda name: None)


def table(output: EvaluatorOutput) -> dict[str, dict[str, str]]:
    text = output.artifacts["terms.csv"]
    assert isinstance(text, str)
    return {row["term"]: row for row in csv.DictReader(text.splitlines())}


def test_found_missed_and_false_terms_are_counted() -> None:
    output = plugin.evaluate(
        given(
            ("start apixaban today", "start apixaban today"),
            ("start apixaban today", "start a picks a ban today"),
            ("start aspirin today", "start apixaban today"),
        ),
        TERMS,
    )
    assert output.metrics == {
        "term_count": 2,
        "term_recall": 1 / 2,
        "term_error_rate": 2 / 2,
        "term_precision": 1 / 2,
        "term_recall.drugs": 1 / 2,
        "term_word_error_rate": 1 / 2,
    }
    assert output.columns == {"terms missed": ["", "apixaban", ""], "terms false": ["", "", "apixaban"]}
    assert table(output)["apixaban"] == {
        "term": "apixaban",
        "category": "drugs",
        "found": "1",
        "missed": "1",
        "false": "1",
        "heard instead": "a picks a ban (1)",
    }


def test_longest_term_wins_and_does_not_overlap() -> None:
    output = plugin.evaluate(given(("atrial fibrillation and fibrillation", "atrial fibrillation and")), TERMS)
    rows = table(output)
    assert rows["atrial fibrillation"]["found"] == "1"
    assert (rows["Fibrillation"]["found"], rows["Fibrillation"]["missed"]) == ("0", "1")
    assert rows["Fibrillation"]["heard instead"] == "(nothing) (1)"
    assert output.metrics["term_word_error_rate"] == 1 / 3


def test_a_word_inserted_inside_a_term_breaks_it() -> None:
    output = plugin.evaluate(given(("atrial fibrillation", "atrial the fibrillation")), TERMS)
    assert output.metrics["term_recall"] == 0
    assert output.metrics["term_word_error_rate"] == 0  # its words were heard, the term was not
    assert output.columns["terms missed"] == ["atrial fibrillation"]


def test_terms_are_normalised_as_the_words_are() -> None:
    output = plugin.evaluate(given(("fibrillation", "fibrillation")), [Term("Fibrillation,")])
    assert output.metrics["term_recall"] == 1


def test_precision_is_left_out_where_no_term_was_heard() -> None:
    output = plugin.evaluate(given(("apixaban", "ban")), TERMS)
    assert "term_precision" not in output.metrics
    assert output.metrics["term_error_rate"] == 1


def test_direction_is_named_for_every_metric() -> None:
    better = plugin.evaluate(given(("apixaban", "apixaban")), TERMS).greater_is_better
    assert {name for name, higher in better.items() if higher} == {
        "term_count",
        "term_recall",
        "term_precision",
        "term_recall.drugs",
    }
    assert better["term_error_rate"] is False
    assert better["term_word_error_rate"] is False


def test_references_without_a_term_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="none of the 3 terms is in a reference"):
        plugin.evaluate(given(("good morning", "apixaban")), TERMS)


def test_list_of_terms_has_categories_comments_and_ignores_spoken_forms(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("\ufeffaspirin # old\n\n[drugs]\r\napixaban\ta picks a ban\napixaban\n# none\n", encoding="utf-8")
    assert plugin.read_terms(path) == [Term("aspirin"), Term("apixaban", "drugs")]
    path.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no terms"):
        plugin.read_terms(path)


def test_evaluator_reads_the_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Evaluator] = []
    plugin.register_evaluators(registered.append)
    chosen = {evaluator.name: evaluator for evaluator in registered}
    utterances = given(("start apixaban", "start apixaban"))

    monkeypatch.delenv(plugin.VARIABLE, raising=False)
    outputs, failures = run_evaluators(utterances, chosen)
    assert outputs == {}
    assert [(failure.name, "DOMAIN_TERMS" in failure.reason) for failure in failures] == [("domain-terms", True)]

    path = tmp_path / "terms.txt"
    path.write_text("apixaban\n", encoding="utf-8")
    monkeypatch.setenv(plugin.VARIABLE, str(path))
    outputs, failures = run_evaluators(utterances, chosen)
    assert failures == []
    assert outputs["domain-terms"].metrics["term_recall"] == 1
