"""What is still at work, and waiting for it: for runs that were begun with ``wait=False`` or were interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from speech_mlflow.errors import NotFoundError, TrackingError
from speech_mlflow.progress import Progress
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import models, runs, tags
from speech_mlflow.tracking.store import Store, is_missing, open_store
from speech_mlflow.workflow import finishing, registering, training
from speech_mlflow.workflow.failing import recorded

if TYPE_CHECKING:
    from mlflow.entities import Run

    from speech_mlflow.workflow.training import TrainResult


@dataclass(frozen=True)
class Status:
    """An open or finished run and where the service is. ``service_status`` is None where the service was not asked yet, or has
    the entity no more."""

    run_id: str
    kind: str
    name: str
    run_status: str
    entity_id: str | None
    service_status: str | None

    @property
    def resumable(self) -> bool:
        """Whether the same call, or ``wait``, goes on with it."""
        return self.run_status in runs.OPEN


def status(
    speech: SpeechClient,
    run_id: str | None = None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> list[Status]:
    """Where one run is, or all open runs of the experiment that work on this speech resource, oldest first."""
    store = open_store(tracking_uri, experiment=experiment)
    found = [_run(store, run_id)] if run_id is not None else runs.find_open(store, speech.resource)
    return [_status(speech, run) for run in found]


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
    name, version, logged = facts.get(tags.REGISTERED_MODEL), None, None
    if name:
        version, logged = registering.register_model(speech, store, model, name=name, run_id=run_id)
    return training.TrainResult(run_id, model, version, logged, run.info.status == "FINISHED", name)


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
    entity_id = (facts.get(tags.EVALUATION_ID) if kind == tags.KIND_TEST else facts.get(tags.MODEL_ID)) or None
    at_service: str | None = None
    if entity_id is not None and kind in {tags.KIND_TRAIN, tags.KIND_TEST}:
        first = entity_id.partition(",")[0]
        try:
            found = speech.evaluations.get(first) if kind == tags.KIND_TEST else speech.models.get(first)
            at_service = found.status
        except NotFoundError:
            pass
    return Status(str(run.info.run_id), kind, str(run.info.run_name), str(run.info.status), entity_id, at_service)
