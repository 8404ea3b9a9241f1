"""What is still at work, and waiting for it: for runs that were begun with ``wait=False`` or were interrupted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from speech_mlflow.errors import NotFoundError, OperationFailedError, SpeechMlflowError, TrackingError
from speech_mlflow.progress import Progress
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import models, runs, tags
from speech_mlflow.tracking.refusal import explained
from speech_mlflow.tracking.store import Store, is_missing, open_store
from speech_mlflow.workflow import finishing, registering, training
from speech_mlflow.workflow.failing import recorded

if TYPE_CHECKING:
    from mlflow.entities import Run

    from speech_mlflow.service.resource import Resource
    from speech_mlflow.workflow.training import TrainResult


_NAMES = (tags.REGISTERED_MODEL, tags.MODEL_ID)


@dataclass(frozen=True)
class Status:
    """An open or finished run and where the service is. ``service_status`` is None where the service was not asked yet, or has
    the entity no more. ``started`` is when the run began."""

    run_id: str
    kind: str
    name: str
    run_status: str
    entity_id: str | None
    service_status: str | None
    started: datetime | None = None
    registered_model: str | None = None

    @property
    def resumable(self) -> bool:
        """Whether the same call, or ``wait``, goes on with it."""
        return self.run_status in runs.OPEN

    @property
    def next_step(self) -> str | None:
        """The command that goes on with it."""
        if not self.resumable:
            return None
        if self.kind == tags.KIND_TRAIN and self.entity_id is not None:
            return f"speech-mlflow wait {self.run_id}"
        if self.kind == tags.KIND_PROMOTION:
            return f"speech-mlflow apply {self.registered_model}"
        if self.kind == tags.KIND_PIPELINE:
            return "speech-mlflow run"
        return "the command that began it, with the same arguments"


@dataclass(frozen=True)
class Waited:
    """What came of a wait: a trained model, with its version where it is registered, or an evaluation that is over.

    A test's numbers are made when the command that began it is repeated; ``done`` is False until then.
    """

    run_id: str
    kind: str
    name: str
    done: bool
    service_status: str
    model_id: str | None = None
    registered_model: str | None = None
    version: str | None = None


@explained
def status(
    speech: SpeechClient,
    run_id: str | None = None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> list[Status]:
    """Where one run is, or all open runs of the experiment and open promotions on this speech resource, oldest first."""
    store = open_store(tracking_uri, experiment=experiment)
    found = [_run(store, run_id)] if run_id is not None else runs.find_open(store, speech.resource)
    return [_status(speech, run) for run in found]


@explained
def wait(
    speech: SpeechClient,
    run_id: str,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Wait for a training that was begun earlier, and finish its run: log what the service says, register the model.

    Needs nothing but MLflow and the service. A test needs its data to be scored: repeat the call that began it. Raises
    OperationFailedError where the training failed (the run is then marked failed), TrackingError for other runs.
    """
    store = open_store(tracking_uri, registry_uri, experiment)
    run = _run(store, run_id)
    facts = run.data.tags
    if facts.get(tags.KIND) != tags.KIND_TRAIN:
        raise TrackingError(f"run {run_id} is no train run", hint="a test goes on when the same call is made again")
    if facts.get(tags.RESOURCE) != speech.resource:
        raise TrackingError(
            f"run {run_id} works on the speech resource {facts.get(tags.RESOURCE)!r}, not on {speech.resource!r}"
        )
    model_id = facts.get(tags.MODEL_ID)
    if model_id is None:
        raise TrackingError(f"run {run_id} has begun no training yet", hint="repeat the call that began it")
    model = speech.models.get(model_id)
    if run.info.status in runs.OPEN:
        begun = runs.Begun(run, "resumed")
        with recorded(store, begun) as failing:
            logged = models.begin_custom(store, run_id=run_id, name=str(run.info.run_name), model_tags={}, params={})
            failing.logged_model_id = logged
            model = speech.wait(model, progress=progress)
            finishing.finish(speech, store, run_id, model, logged)
    elif model.status != "Succeeded":
        model = speech.wait(model, progress=progress)  # raises for a training that failed
    name, version, logged = facts.get(tags.REGISTERED_MODEL), None, None
    if name:
        version, logged = registering.register_model(speech, store, model, name=name, run_id=run_id)
    return training.TrainResult(run_id, model, version, logged, run.info.status == "FINISHED", name)


def wait_all(
    speech: SpeechClient,
    references: Sequence[str],
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    progress: Progress | None = None,
) -> list[Waited]:
    """Wait for runs, or for all work on models: each reference is a run's id, or the name or id of a model.

    Of a name's trainings and tests all that are at work are waited for; where none is, the newest training is returned. Raises
    TrackingError, before any wait, where a reference leads to nothing, and what :func:`wait` raises for one that failed, after
    the others are over.
    """
    store = open_store(tracking_uri, registry_uri, experiment)
    wanted = {run.info.run_id: run for reference in references for run in _meant(store, speech, reference)}
    where = {"tracking_uri": tracking_uri, "registry_uri": registry_uri, "experiment": experiment}
    done: list[Waited] = []
    failed: list[SpeechMlflowError] = []
    for run in wanted.values():
        try:
            if run.data.tags.get(tags.KIND) == tags.KIND_TEST:
                done.append(_evaluated(speech, run, progress))
            else:
                done.append(_trained(run, wait(speech, run.info.run_id, progress=progress, **where)))
        except (OperationFailedError, NotFoundError) as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def _meant(store: Store, speech: SpeechClient, reference: str) -> list[Run]:
    """The runs that a reference means."""
    if re.fullmatch(r"[0-9a-f]{32}", reference):
        return [_run(store, reference)]
    name = reference.removeprefix("models:/").partition("/")[0]
    kinds = (tags.KIND_TRAIN, tags.KIND_TEST)
    at_work = [run for run in runs.find_open(store, speech.resource) if run.data.tags.get(tags.KIND) in kinds]
    meant = [run for run in at_work if _is_about(run, name)]
    if meant:
        return meant
    over = [run for tag in _NAMES for run in runs.find_by_tag(store, tags.KIND_TRAIN, tag, name)]
    if not over:
        raise TrackingError(f"nothing is at work for {reference!r}", hint="`speech-mlflow status` lists what is")
    return over[-1:]


def _is_about(run: Run, name: str) -> bool:
    facts = run.data.tags
    ids = facts.get(tags.MODEL_ID, "").split(",")
    labels = [label.rpartition(" v")[0] or label for label, _ in runs.models_of(run)]
    return name in {facts.get(tags.REGISTERED_MODEL), run.info.run_name, *ids, *labels}


def _trained(run: Run, trained: TrainResult) -> Waited:
    return Waited(
        trained.run_id,
        tags.KIND_TRAIN,
        str(run.info.run_name),
        trained.done,
        str(trained.model.status),
        trained.model.id,
        trained.registered_model,
        trained.version,
    )


def _evaluated(speech: SpeechClient, run: Run, progress: Progress | None) -> Waited:
    """Wait until the service has done with the evaluations of a test."""
    ids = [id_ for id_ in run.data.tags.get(tags.EVALUATION_ID, "").split(",") if id_]
    if not ids:
        raise TrackingError(f"run {run.info.run_id} has begun no evaluation yet", hint="repeat the call that began it")
    over = speech.wait_all([speech.evaluations.get(id_) for id_ in ids], progress=progress)
    finished = run.info.status == "FINISHED"
    return Waited(str(run.info.run_id), tags.KIND_TEST, str(run.info.run_name), finished, str(over[-1].status))


def _run(store: Store, run_id: str) -> Run:
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if is_missing(error):
            raise TrackingError(f"there is no run {run_id!r} in MLflow") from None
        raise


def _status(speech: SpeechClient, run: Run) -> Status:
    facts = run.data.tags
    kind = facts.get(tags.KIND, "")
    which = {tags.KIND_TEST: tags.EVALUATION_ID, tags.KIND_TRAIN: tags.MODEL_ID, tags.KIND_PROMOTION: tags.ENDPOINT_ID}
    entity_id = (facts.get(which[kind]) if kind in which else None) or None
    resources: dict[str, Resource[Any]] = {
        tags.KIND_TEST: speech.evaluations,
        tags.KIND_TRAIN: speech.models,
        tags.KIND_PROMOTION: speech.endpoints,
    }
    at_service: str | None = None
    if entity_id is not None:
        with suppress(NotFoundError):
            at_service = resources[kind].get(entity_id.partition(",")[0]).status
    return Status(
        str(run.info.run_id),
        kind,
        str(run.info.run_name),
        str(run.info.status),
        entity_id,
        at_service,
        datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc),
        facts.get(tags.REGISTERED_MODEL),
    )
