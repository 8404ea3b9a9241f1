"""A test in MLflow: metrics on the logged models and the data set, the per-utterance table, the report, the service's files.

The number of requests does not depend on the number of utterances.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from speech_mlflow.errors import ServiceError
from speech_mlflow.scoring import Score
from speech_mlflow.scoring.comparison import Comparison, ComparisonTable
from speech_mlflow.scoring.evaluators import EvaluatorFailure, EvaluatorOutput
from speech_mlflow.scoring.report import figures
from speech_mlflow.service.entities import BaseModel, Evaluation
from speech_mlflow.tracking import models, registry, runs, tables, tags, values
from speech_mlflow.tracking.dataset import SpeechDataset
from speech_mlflow.tracking.runs import Measured
from speech_mlflow.tracking.store import Store, is_missing
from speech_mlflow.workflow import contamination, evaluating
from speech_mlflow.workflow.choosing import Chosen
from speech_mlflow.workflow.contamination import Contamination
from speech_mlflow.workflow.data import portable
from speech_mlflow.workflow.evaluating import Outcome, Side
from speech_mlflow.workflow.measuring import rising

TABLE = "utterances.json"
REPORT = "report.html"
FIGURES = "figures"
REFERENCE = "reference"
HYPOTHESIS = "hypothesis"
MODELS = "speech/test.json"
SIDES: tuple[Side, Side] = (1, 2)


@dataclass(frozen=True)
class Result:
    """One model on one test set: what the service counted, what we counted, what evaluators measured."""

    chosen: Chosen
    outcome: Outcome
    score: Score
    outputs: Mapping[str, EvaluatorOutput] = field(default_factory=dict)
    failures: Sequence[EvaluatorFailure] = ()

    @property
    def label(self) -> str:
        """The name under which the model's numbers stand."""
        return self.chosen.label

    @property
    def evaluated(self) -> dict[str, float]:
        """What evaluators measured, by name."""
        return {name: value for output in self.outputs.values() for name, value in output.metrics.items()}

    def metrics(self) -> dict[str, float | None]:
        """All numbers by name; None for what was not measured. Rates are fractions.

        ``wer`` is made from the service's counts; ``wer.recomputed`` from the transcripts under our normalisation.
        """
        score, counted = self.score, service_metrics(self.outcome)
        wer = counted["wer"]
        return {
            **counted,
            "wer.recomputed": score.wer,
            "wer.difference": score.wer - wer if wer is not None else None,
            "ser.recomputed": score.ser,
            **self.evaluated,
        }


@dataclass(frozen=True)
class Tested:
    """A test that is over, ready to be written down."""

    dataset: SpeechDataset
    locale: str
    results: Sequence[Result]
    comparison: Comparison | ComparisonTable | None
    evaluation_ids: Sequence[str]
    untested: Sequence[str] = ()
    service_files: Mapping[str, str | bytes] = field(default_factory=dict)
    contamination: Mapping[str, Contamination] = field(default_factory=dict)


def service_metrics(outcome: Outcome) -> dict[str, float | None]:
    """What the service counted for one model; rates are fractions, made from counts where there are any."""
    counts = outcome.counts
    return {
        "wer": counts.wer if counts is not None else None,
        "words": counts.words if counts else None,
        "hits": counts.hits if counts else None,
        "substitutions": counts.substitutions if counts else None,
        "deletions": counts.deletions if counts else None,
        "insertions": counts.insertions if counts else None,
        "ser": outcome.sentence_error_rate,
        "ter": outcome.token_error_rate,
    }


def record(
    store: Store,
    run_id: str,
    tested: Tested,
    *,
    report: Callable[[Tested], str] | None,
    resource: str,
    known: Run | None = None,
    at: int | None = None,
) -> None:
    """Write a test into its run and close the run, now or ``at`` a time in the past (milliseconds since 1970). ``known`` is the
    run as it was when the work was begun or resumed."""
    facts = known.data.tags if known is not None else {}
    logged = {result.label: models.ensure(store, result.chosen.entity, resource=resource) for result in tested.results}
    used = [model_id for model_id in logged.values() if model_id is not None]
    runs.log_inputs(store, run_id, [tested.dataset], tags.CONTEXT_TESTING, logged_models=used)
    files: dict[str, str | bytes] = {TABLE: tables.table(table(tested)), MODELS: _models(tested), **tested.service_files}
    if report is not None:
        files[REPORT] = report(tested)
    files |= _figures(tested)
    for result in tested.results:
        for name, output in result.outputs.items():
            files |= {f"evaluators/{name}/{result.label}/{file}": content for file, content in output.artifacts.items()}
    runs.log_files(store, run_id, files)
    runs.log(
        store,
        run_id,
        measured=_measured(tested, logged),
        run_tags={
            tags.EVALUATION_ID: values.ids(tested.evaluation_ids),
            tags.FAILED_EVALUATORS: _failures(tested),
            tags.GREATER_IS_BETTER: _rising(tested),
            tables.LOGGED_ARTIFACTS: tables.mark(facts.get(tables.LOGGED_ARTIFACTS), [TABLE]),
            runs.DESCRIPTION: facts.get(runs.DESCRIPTION) or _about(tested),
        },
        known=known,
        at=at,
    )
    tag_versions(store, run_id, [(result.chosen, result.metrics()["wer"]) for result in tested.results], at=at)
    runs.finish(store, run_id, at=at)


def record_counts(
    store: Store,
    run_id: str,
    models_: Sequence[Chosen],
    evaluation: Evaluation,
    dataset: SpeechDataset | None,
    *,
    resource: str,
    at: int | None = None,
) -> None:
    """Write what the service counted in an evaluation into its run and close the run: no utterances, no report.

    Raises ServiceError where the service counted nothing.
    """
    counted = {one.label: evaluating.outcome(evaluation, side, {}) for side, one in zip(SIDES, models_, strict=False)}
    if all(outcome.counts is None for outcome in counted.values()):
        raise ServiceError(f"the service counted nothing in evaluation {evaluation.id}, and its files cannot be read")
    logged = {one.label: models.ensure(store, one.entity, resource=resource) for one in models_}
    if dataset is not None:
        used = [model_id for model_id in logged.values() if model_id is not None]
        runs.log_inputs(store, run_id, [dataset], tags.CONTEXT_TESTING, logged_models=used)
    measured = []
    for step, (label, outcome) in enumerate(counted.items()):
        metrics = service_metrics(outcome)
        measured.append(Measured(metrics, logged[label], dataset, step))
        measured.append(Measured({f"{name}/{label}": value for name, value in metrics.items()}))
    runs.log_files(store, run_id, {"service/evaluation-1.json": json.dumps(portable(evaluation), indent=1)})
    runs.log(store, run_id, measured=measured, at=at)
    tag_versions(store, run_id, [(one, service_metrics(counted[one.label])["wer"]) for one in models_], at=at)
    runs.finish(store, run_id, at=at)


def table(tested: Tested) -> dict[str, list[Any]]:
    """One row for each utterance: id, groups, reference, and for each model hypothesis, errors and evaluators' columns."""
    first = tested.results[0].score
    references = first.texts()[0]
    columns: dict[str, list[Any]] = {"id": list(first.ids)}
    columns |= {name: list(labels) for name, labels in first.groups.items()}
    columns[REFERENCE] = list(references)
    columns["words"] = first.arrays.words.tolist()
    for result in tested.results:
        arrays, label = result.score.arrays, result.label
        columns[f"{HYPOTHESIS} ({label})"] = list(result.score.texts()[1])
        columns[f"errors ({label})"] = arrays.errors.tolist()
        columns[f"substitutions ({label})"] = arrays.substitutions.tolist()
        columns[f"deletions ({label})"] = arrays.deletions.tolist()
        columns[f"insertions ({label})"] = arrays.insertions.tolist()
        for name, output in result.outputs.items():
            columns |= {f"{name}: {column} ({label})": list(cells) for column, cells in output.columns.items()}
        if (known := tested.contamination.get(label)) is not None and known.ids:
            columns[f"{contamination.COLUMN} ({label})"] = known.column(first.ids)
    return columns


def _measured(tested: Tested, logged: Mapping[str, str | None]) -> list[Measured]:
    """Each model's metrics under plain names on its logged model (the run itself shows the last model's, the candidate's), and
    under ``name/label`` on the run."""
    measured = []
    for step, result in enumerate(tested.results):
        known = tested.contamination.get(result.label)
        metrics = result.metrics() | (known.metrics() if known is not None else {})
        measured.append(Measured(metrics, logged[result.label], tested.dataset, step))
        measured.append(Measured({f"{name}/{result.label}": value for name, value in metrics.items()}))
    whole: dict[str, float | None] = {
        "utterances": len(tested.results[0].score),
        "utterances.untested": len(tested.untested),
    }
    if isinstance(tested.comparison, Comparison):
        whole |= {f"comparison.{name}": value for name, value in tested.comparison.summary().items()}
    return [*measured, Measured(whole)]


def _figures(tested: Tested) -> dict[str, str]:
    """The plots as images: WER with its interval, over all and by group, differences, kinds of errors."""
    scores = {result.label: result.score for result in tested.results}
    drawn = figures(scores, comparison=as_table(scores, tested.comparison))
    return {f"{FIGURES}/{name}.svg": image for name, image in drawn.items()}


def as_table(scores: Mapping[str, Score], comparison: Comparison | ComparisonTable | None) -> ComparisonTable | None:
    """A comparison of two as a table of one pair, so that it is not drawn twice."""
    return ComparisonTable(scores, {comparison.names: comparison}) if isinstance(comparison, Comparison) else comparison


def _about(tested: Tested) -> str | None:
    """What came out, for the top of the run's page."""
    rates = [(result.label, result.metrics()["wer"]) for result in tested.results]
    known = [f"{wer:.2%} ({label})" for label, wer in rates if wer is not None]
    return f"WER on {tested.dataset.name}: {', '.join(known)}" if known else None


def _models(tested: Tested) -> str:
    """What the run was about, for whoever reads its table again."""
    document = {
        "locale": tested.locale,
        "normalizer": tested.results[0].score.normalizer.name,
        "models": [
            {"label": result.label, "model_id": result.chosen.entity.id, "name": result.chosen.entity.display_name}
            for result in tested.results
        ],
        "untested": list(tested.untested),
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _rising(tested: Tested) -> str | None:
    names = dict.fromkeys(values.name(name) for result in tested.results for name in rising(result.outputs))
    return json.dumps(list(names)) if names else None


def _failures(tested: Tested) -> str | None:
    failures = {f"{failure.name} ({result.label})": failure.reason for result in tested.results for failure in result.failures}
    return json.dumps(failures, ensure_ascii=False) if failures else None


def tag_versions(store: Store, run_id: str, wers: Sequence[tuple[Chosen, float | None]], *, at: int | None = None) -> None:
    """Write the newest WER on the registered versions of the models tested, where people choose what to promote. A test that
    was over ``at`` a time in the past does not displace a later one's."""
    for chosen, wer in wers:
        if isinstance(chosen.entity, BaseModel):
            continue  # no version stands for one
        for version in registry.versions_of_model(store.client, None, chosen.entity.id):
            if at is not None and _tested_later(store, version.tags.get(tags.TEST_RUN_ID), run_id, at):
                continue
            registry.set_version_tags(
                store.client, version, {tags.WER: None if wer is None else repr(wer), tags.TEST_RUN_ID: run_id}
            )


def _tested_later(store: Store, known: str | None, run_id: str, at: int) -> bool:
    if known is None or known == run_id:
        return False
    try:
        return bool((store.client.get_run(known).info.end_time or 0) > at)
    except MlflowException as error:
        if is_missing(error):
            return False
        raise
