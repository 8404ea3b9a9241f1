"""Finished tests, read back from MLflow: the stored transcripts are scored again, so that nothing has to be measured twice."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from speech_mlflow.errors import NotFoundError, TrackingError
from speech_mlflow.scoring import Score, score
from speech_mlflow.scoring.evaluators import EvaluatorFailure
from speech_mlflow.tracking import tables, tags, values
from speech_mlflow.tracking.store import Store, is_missing, open_store
from speech_mlflow.workflow.contamination import COLUMN, Contamination
from speech_mlflow.workflow.recording import HYPOTHESIS, MODELS, REFERENCE, TABLE

if TYPE_CHECKING:
    from mlflow.entities import Run

    from speech_mlflow.service import SpeechClient
    from speech_mlflow.service.entities import Evaluation
    from speech_mlflow.workflow.testing import TestResult


@dataclass(frozen=True)
class StoredTest:
    """A test run's transcripts: ids, references, and by label the hypotheses; ``digest`` names the data set."""

    run_id: str
    digest: str
    dataset: str
    locale: str
    normalizer: str
    ids: Sequence[str]
    references: Sequence[str]
    hypotheses: dict[str, Sequence[str]]
    groups: dict[str, Sequence[str | None]]
    contamination: dict[str, Contamination] = field(default_factory=dict)

    def scores(self, normalizer: str | None = None) -> dict[str, Score]:
        """The scores by label, under the run's normaliser or another."""
        return {
            label: score(
                self.references,
                hypotheses,
                ids=self.ids,
                groups=self.groups or None,
                normalizer=normalizer or self.normalizer,
            )
            for label, hypotheses in self.hypotheses.items()
        }


def load_test(
    run_id: str,
    *,
    store: Store | None = None,
    tracking_uri: str | None = None,
    speech: SpeechClient | None = None,
    normalizer: str | None = None,
    reused: bool = True,
) -> TestResult:
    """The result of a finished test run. ``normalizer`` scores the stored transcripts under another one.

    Raises TrackingError where the run is no finished test run.
    """
    from speech_mlflow.workflow.assessing import compare_scores
    from speech_mlflow.workflow.testing import TestResult

    store = open_store(tracking_uri) if store is None else store
    run = finished_test(store, run_id)
    stored = read_test(store, run_id, run=run)
    scores = stored.scores(normalizer)
    failures = json.loads(run.data.tags.get(tags.FAILED_EVALUATORS, "{}"))
    return TestResult(
        run_id,
        scores,
        compare_scores(scores),
        _evaluation(run, speech),
        reused,
        {label: wer for label in scores if (wer := run.data.metrics.get(values.name(f"wer/{label}"))) is not None},
        [EvaluatorFailure(name, reason) for name, reason in failures.items()],
        stored.contamination,
        {label: _evaluated(run, label) for label in scores},
    )


def _evaluated(run: Run, label: str) -> dict[str, float]:
    """What evaluators measured of a model: all of its metrics that are not ours."""
    from speech_mlflow.workflow.measuring import RESERVED

    named = {key.removesuffix(f"/{label}"): value for key, value in run.data.metrics.items() if key.endswith(f"/{label}")}
    return {name: value for name, value in named.items() if name not in RESERVED}


def read_test(store: Store, run_id: str, *, run: Run | None = None) -> StoredTest:
    """The transcripts of a finished test run. Raises TrackingError where the run has none."""
    run = finished_test(store, run_id) if run is None else run
    try:
        with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
            about = _json(store, run_id, MODELS, folder)
            columns = tables.read_table(_text(store, run_id, TABLE, folder))
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"the table of test run {run_id} cannot be read: {error}", hint="test again with --force"
        ) from error
    labels = [str(model["label"]) for model in about["models"]]
    datasets = [given.dataset for given in (run.inputs.dataset_inputs if run.inputs else [])]
    known = {"id", REFERENCE, "words"}
    first_of_models = next((name for name in columns if name.endswith(f"({labels[0]})")), None)
    before = list(columns)[: list(columns).index(first_of_models)] if first_of_models else []
    return StoredTest(
        run_id,
        str(datasets[0].digest) if datasets else "",
        str(datasets[0].name) if datasets else "",
        str(about["locale"]),
        str(about["normalizer"]),
        _texts(columns["id"]),
        _texts(columns[REFERENCE]),
        {label: _texts(columns[f"{HYPOTHESIS} ({label})"]) for label in labels},
        {name: _texts(columns[name]) for name in before if name not in known},
        _contamination(run, labels, columns),
    )


def _contamination(run: Run, labels: Sequence[str], columns: Mapping[str, Sequence[object]]) -> dict[str, Contamination]:
    """What the test found in the training data of each model; nothing of a model for which it did not look."""
    ids = _texts(columns["id"])
    counted = [label for label in labels if values.name(f"contaminated/{label}") in run.data.metrics]
    nothing = [""] * len(ids)
    return {label: Contamination.of_column(ids, _texts(columns.get(f"{COLUMN} ({label})", nothing))) for label in counted}


def finished_test(store: Store, run_id: str) -> Run:
    """A run that is a finished test. Raises TrackingError where it is not."""
    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if is_missing(error):
            raise TrackingError(f"there is no run {run_id!r} in MLflow") from None
        raise
    if run.data.tags.get(tags.KIND) != tags.KIND_TEST:
        raise TrackingError(f"run {run_id} is not a test of speech models")
    if run.info.status != "FINISHED":
        raise TrackingError(
            f"test run {run_id} is {run.info.status}", hint="the same `speech-mlflow test` goes on with an open one"
        )
    return run


def _evaluation(run: Run, speech: SpeechClient | None) -> Evaluation | None:
    """The service's evaluation, as long as it is kept there."""
    first = run.data.tags.get(tags.EVALUATION_ID, "").partition(",")[0]
    if speech is None or not first:
        return None
    try:
        return speech.evaluations.get(first)
    except NotFoundError:
        return None


def _text(store: Store, run_id: str, path: str, folder: str) -> str:
    return Path(store.client.download_artifacts(run_id, path, folder)).read_text("utf-8")


def _json(store: Store, run_id: str, path: str, folder: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_text(store, run_id, path, folder))
    return document


def _texts(column: Sequence[object]) -> list[str]:
    return ["" if cell is None else str(cell) for cell in column]
