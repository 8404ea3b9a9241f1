"""Reading the tests of a version from MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from speech_mlflow.promotion.copies import trained_as
from speech_mlflow.promotion.evidence import EvidenceUnreadable, TestEvidence
from speech_mlflow.promotion.records import Version
from speech_mlflow.promotion.registry import search_runs
from speech_mlflow.tracking import tags, values

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

    from speech_mlflow.scoring import Score


def tests_of(client: MlflowClient, version: Version) -> tuple[TestEvidence, ...]:
    """The finished tests of a version's model, newest first. What they measured is read, their utterances when asked for."""
    model_id = trained_as(version)
    if model_id is None:
        return ()
    trained_on = _training_data(client, version)
    found = {run.info.run_id: run for run in _runs(client, version, model_id)}
    newest = sorted(found.values(), key=lambda run: run.info.start_time, reverse=True)
    return tuple(one for run in newest if (one := _evidence(client, run, model_id, trained_on)) is not None)


def author_of(client: MlflowClient, version: Version) -> str | None:
    """Who made a version. MLflow's own server keeps no user on versions, so that the training run is asked."""
    run_id = version.tags.get(tags.TRAIN_RUN_ID) or version.run_id
    if version.user or run_id is None:
        return version.user
    run = client.get_run(run_id)
    return run.data.tags.get("mlflow.user") or run.info.user_id or None


def _runs(client: MlflowClient, version: Version, model_id: str) -> Iterator[Run]:
    """The test runs in the experiments where the version was trained and last tested."""
    near = [client.get_run(run_id) for run_id in (version.tags.get(tags.TEST_RUN_ID), version.run_id) if run_id]
    for experiment_id in dict.fromkeys(run.info.experiment_id for run in near):
        where = f"tags.`{tags.KIND}` = '{tags.KIND_TEST}' and attributes.status = 'FINISHED'"
        if quoted := values.literal(f"%{model_id}%"):
            where += f" and tags.`{tags.MODEL_ID}` LIKE {quoted}"
        yield from search_runs(client, experiment_id, where)


def _evidence(client: MlflowClient, run: Run, model_id: str, trained_on: frozenset[str]) -> TestEvidence | None:
    label = _label(run, model_id)
    given = _testing_data(run)
    if label is None or given is None:
        return None
    metrics = run.data.metrics
    words = metrics.get(values.name(f"words/{label}"))
    content = _content(given)
    return TestEvidence(
        run_id=run.info.run_id,
        dataset=given.dataset.name,
        digest=given.dataset.digest,
        content=content,
        fingerprint=_fingerprint(given),
        wer=metrics.get(values.name(f"wer/{label}")),
        words=int(words) if words is not None else None,
        contaminated=_contaminated(run, label, content, trained_on),
        load=partial(_score, client, run, label),
    )


def _contaminated(run: Run, label: str, content: str, trained_on: frozenset[str]) -> int | None:
    """Test utterances in the training data: as the test counted them, else all where the model was trained on the test data."""
    counted = run.data.metrics.get(values.name(f"contaminated/{label}"))
    if counted is not None:
        return int(counted)
    if not trained_on:
        return None
    return int(run.data.metrics.get("utterances") or 1) if content in trained_on else 0


def _label(run: Run, model_id: str) -> str | None:
    """The name of the model in the run's metrics: the run keeps ids and names in the same order."""
    ids = run.data.tags.get(tags.MODEL_ID, "").split(",")
    try:
        labels = json.loads(run.data.params.get("models", "[]"))
        return str(labels[ids.index(model_id)])
    except (ValueError, IndexError, TypeError):
        return None


def _testing_data(run: Run) -> DatasetInput | None:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return next(iter(inputs), None)


def _training_data(client: MlflowClient, version: Version) -> frozenset[str]:
    """The contents that a version was trained on."""
    run_id = version.tags.get(tags.TRAIN_RUN_ID) or version.run_id
    if run_id is None:
        return frozenset()
    run = client.get_run(run_id)
    return frozenset(_content(given) for given in (run.inputs.dataset_inputs if run.inputs else []))


def _content(given: DatasetInput) -> str:
    from speech_mlflow.tracking.dataset import content_part

    return content_part(_fingerprint(given) or given.dataset.digest)


def _fingerprint(given: DatasetInput) -> str | None:
    return next((tag.value for tag in given.tags if tag.key == tags.FINGERPRINT), None)


def _score(client: MlflowClient, run: Run, label: str) -> Score | None:
    from speech_mlflow.errors import TrackingError
    from speech_mlflow.tracking.store import Store
    from speech_mlflow.workflow.recording import TABLE
    from speech_mlflow.workflow.results import read_test

    try:
        return read_test(Store(client, run.info.experiment_id), run.info.run_id, run=run).scores().get(label)
    except TrackingError as error:
        try:
            there = any(file.path == TABLE for file in client.list_artifacts(run.info.run_id))
        except Exception:  # the store of artifacts is not there, whatever its client raises
            there = True
        if there:
            raise EvidenceUnreadable(str(error)) from error
        return None
