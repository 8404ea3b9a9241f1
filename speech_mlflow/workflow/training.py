"""Train a custom model: one MLflow run, one logged model, one registered version, however often it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speech_mlflow.corpus import Corpus
from speech_mlflow.corpus.records import AUDIO_KINDS
from speech_mlflow.errors import NotFoundError
from speech_mlflow.progress import Progress
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.choose import choose_base_model
from speech_mlflow.service.entities import API_VERSION, BaseModel, CustomModel, by_age
from speech_mlflow.tracking import models, registry, runs, tags
from speech_mlflow.tracking.refusal import explained
from speech_mlflow.tracking.runs import Begun, Measured, Work
from speech_mlflow.tracking.store import Store, open_store
from speech_mlflow.workflow import contamination, finishing, registering
from speech_mlflow.workflow import data as data_
from speech_mlflow.workflow.data import Uploaded
from speech_mlflow.workflow.failing import recorded

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """A trained model, or one in training where it was not waited for (``version`` is None then).

    ``reused`` says that nothing was trained: the finished run and model of the same content were found.
    """

    run_id: str
    model: CustomModel
    version: str | None
    logged_model_id: str | None
    reused: bool
    registered_model: str | None = None

    @property
    def done(self) -> bool:
        """Whether the model can be tested and deployed."""
        return self.model.status == "Succeeded"


@dataclass(frozen=True)
class _Training:
    """What decides the outcome, and under which names it is kept."""

    speech: SpeechClient
    store: Store
    name: str
    corpora: Sequence[Corpus]
    base: BaseModel
    locale: str
    weight_percent: int | None
    project: str | None
    registered_model: str | None
    progress: Progress | None

    @property
    def key(self) -> str:
        return train_key(self.speech, self.corpora, self.base, locale=self.locale, weight_percent=self.weight_percent)


def train_key(
    speech: SpeechClient, corpora: Sequence[Corpus], base: BaseModel, *, locale: str, weight_percent: int | None
) -> str:
    """The content key of a training: equal for two that would make the same model."""
    return data_.content_key(
        kind=tags.KIND_TRAIN,
        resource=speech.resource,
        locale=locale,
        base_model=base.id,
        weight_percent=weight_percent,
        data=sorted([corpus.kind, corpus.fingerprint] for corpus in corpora),
    )


@explained
def train(
    speech: SpeechClient,
    *,
    name: str,
    data: Sequence[Corpus | str | Path],
    registered_model: str | None = None,
    base_model: BaseModel | str | None = None,
    locale: str = "en-US",
    weight_percent: int | None = None,
    project: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    artifact_location: str | None = None,
    parent_run_id: str | None = None,
    description: str | None = None,
    force: bool = False,
    wait: bool = True,
    progress: Progress | None = None,
) -> TrainResult:
    """Fine-tune a base model with ``data`` (corpora, paths of them, or ``dataset:ID``) and register the result.

    The same data, base model, options and resource are trained once: a finished run is found and returned, one that was
    interrupted is gone on with where the service is. ``force`` trains again what was trained. ``base_model`` (or its id) is by default the
    newest that takes the kinds of data given; ``weight_percent`` (1 to 100) is the share of the new data in the mix, by default
    the service's choice; ``project`` is the id of a project. With ``wait=False`` the training is begun and left to the service;
    the same call, or :func:`speech_mlflow.workflow.wait`, finishes the run later.

    Raises SettingsError where a registered model cannot have that name, CorpusError with everything that is wrong with the data,
    OperationFailedError where the service cannot train (the run is then marked failed), WaitTimeoutError and TransportError with
    the run left open to be gone on with.
    """
    registry.check_name(registered_model)
    store = open_store(tracking_uri, registry_uri, experiment, artifact_location=artifact_location)
    corpora = data_.read_all(data, locale=locale, speech=speech, purpose="training")
    base = _base_model(speech, base_model, locale, corpora)
    training = _Training(speech, store, name, corpora, base, locale, weight_percent, project, registered_model, progress)
    begun, model = _begin(training, force=force, parent_run_id=parent_run_id, description=description)
    if begun.state == "finished" and model is not None:
        return _registered(training, begun.id, model, reused=True)
    with recorded(store, begun) as failing:
        uploaded = data_.upload_all(speech, corpora, project=project, progress=progress)
        begun = runs.settle(store, begun)
        failing.run_id = begun.id
        failing.logged_model_id = logged = _note_inputs(training, begun, uploaded)
        model = _find(training, begun) or _create(training, begun, uploaded)
        runs.log(store, begun.id, run_tags={tags.MODEL_ID: model.id})
        if not wait and model.status != "Succeeded":
            return TrainResult(begun.id, model, None, logged, False, registered_model)
        model = model if model.status == "Succeeded" else speech.wait(model, progress=progress)
        finishing.finish(speech, store, begun.id, model, logged)
    return _registered(training, begun.id, model, reused=False)


def _begin(
    training: _Training, *, force: bool, parent_run_id: str | None, description: str | None
) -> tuple[Begun, CustomModel | None]:
    """The run to go on with; a finished one comes with its model, unless the service has it no more."""
    key, speech = training.key, training.speech
    work = Work(
        tags.KIND_TRAIN,
        key,
        training.name,
        tags={
            tags.RESOURCE: speech.resource,
            tags.API_VERSION: API_VERSION,
            tags.LOCALE: training.locale,
            tags.BASE_MODEL_ID: training.base.id,
            tags.PROJECT_ID: training.project,
            tags.REGISTERED_MODEL: training.registered_model,
        },
        description=description,
        parent_run_id=parent_run_id,
    )
    gone: list[str] = []
    while True:
        begun = runs.begin(training.store, work, again=force, without=gone)
        if begun.state != "finished":
            return begun, None
        try:
            return begun, speech.models.get(begun.run.data.tags[tags.MODEL_ID])
        except NotFoundError:
            log.warning("the model of the finished run %s is no more in the service; training it again", begun.id)
            gone.append(begun.id)


def _note_inputs(training: _Training, begun: Begun, uploaded: Sequence[Uploaded]) -> str | None:
    """Log data, parameters and what they cost, and begin the logged model; returns its id."""
    store = training.store
    params: dict[str, object] = {
        "name": training.name,
        "locale": training.locale,
        "base_model": training.base.display_name,
        "weight_percent": training.weight_percent,
        "data": [f"{one.record.name} ({one.corpus.kind})" for one in uploaded],
        "charge_for_adaptation": training.base.properties.charge_for_adaptation if training.base.properties else None,
    }
    runs.log_inputs(store, begun.id, [one.record for one in uploaded], tags.CONTEXT_TRAINING)
    runs.log_files(store, begun.id, {contamination.FILE: contamination.marks(training.corpora, training.locale)})
    logged = models.begin_custom(
        store,
        run_id=begun.id,
        name=training.name,
        model_tags={
            tags.RESOURCE: training.speech.resource,
            tags.LOCALE: training.locale,
            tags.BASE_MODEL_ID: training.base.id,
            tags.KEY: training.key,
        },
        params=params,
    )
    runs.log(
        store,
        begun.id,
        measured=_amounts(uploaded, logged),
        params=params,
        run_tags={
            tags.DATASET_IDS: ",".join(one.entity.id for one in uploaded),
            tags.DISPLAY_NAME: begun.run.data.tags.get(tags.DISPLAY_NAME) or _name_for(training, begun),
        },
        known=begun.run,
    )
    return logged


def _find(training: _Training, begun: Begun) -> CustomModel | None:
    """The model that this run has begun, where it has: by the id in the run, else by its name, proven by the content key."""
    models_ = training.speech.models
    known = begun.run.data.tags.get(tags.MODEL_ID)
    if known is not None:
        try:
            return models_.get(known)
        except NotFoundError:
            log.warning("model %s of the open run %s is no more in the service", known, begun.id)
    named = models_.list(filters.eq("displayName", _name_for(training, begun)))
    proven = [model for model in named if _proof(model) == training.key]
    return min(proven, key=by_age, default=None)


def _create(training: _Training, begun: Begun, uploaded: Sequence[Uploaded]) -> CustomModel:
    properties = {
        tags.PROPERTY_MANAGED_BY: tags.MANAGED_BY,
        tags.PROPERTY_FINGERPRINT: training.key,
        tags.PROPERTY_RUN_ID: begun.id,
    }
    if training.registered_model:
        properties[tags.PROPERTY_REGISTERED_MODEL] = training.registered_model[:256]
    made = training.speech.models.create(
        display_name=_name_for(training, begun),
        locale=training.locale,
        datasets=[one.entity for one in uploaded],
        base_model=training.base,
        custom_model_weight_percent=training.weight_percent,
        description=f"Trained by speech_mlflow; MLflow run {begun.id}",
        project=training.project,
        custom_properties=properties,
    )
    return _find(training, begun) or made  # of two made at the same moment, the older one stands


def _name_for(training: _Training, begun: Begun) -> str:
    """The model's displayName; a run that was begun under another name keeps it."""
    return begun.run.data.tags.get(tags.DISPLAY_NAME) or data_.display_name(training.name, training.key, begun.attempt)


def _registered(training: _Training, run_id: str, model: CustomModel, *, reused: bool) -> TrainResult:
    version, logged = None, None
    if training.registered_model is not None:
        version, logged = registering.register_model(
            training.speech, training.store, model, name=training.registered_model, run_id=run_id
        )
    elif found := models.find(training.store, resource=training.speech.resource, model_id=model.id):
        logged = str(found.model_id)
    return TrainResult(run_id, model, version, logged, reused, training.registered_model)


def _base_model(speech: SpeechClient, given: BaseModel | str | None, locale: str, corpora: Sequence[Corpus]) -> BaseModel:
    if given is None:
        return choose_base_model(speech, locale, sorted({corpus.kind for corpus in corpora}))
    return speech.models.get_base(given) if isinstance(given, str) else given


def _amounts(uploaded: Sequence[Uploaded], logged_model_id: str | None) -> list[Measured]:
    """What training is charged and judged by: hours of audio, recordings, lines that the service took and refused.

    What of each data set could be used ties it to the logged model, on whose page it is; the last step is the sum, which the run
    shows.
    """
    sums = {"data.hours": 0.0, "data.utterances": 0.0, "data.text_lines": 0.0, "data.words": 0.0}
    for one in uploaded:
        profile = one.corpus.profile()
        spoken = one.corpus.kind in AUDIO_KINDS
        sums["data.utterances" if spoken else "data.text_lines"] += profile.get("utterances", 0)
        sums["data.hours"] += profile.get("hours", 0)
        sums["data.words"] += profile.get("words", 0)
    counted, lines = data_.lines([one.entity for one in uploaded])
    parts = [
        Measured(counts, logged_model_id, one.record, step)
        for step, (one, counts) in enumerate(zip(uploaded, counted, strict=True))
    ]
    return [*parts, Measured(sums | lines, step=len(uploaded))]


def _proof(model: CustomModel) -> str | None:
    return (model.custom_properties or {}).get(tags.PROPERTY_FINGERPRINT)
