"""Bring what a speech resource holds already into MLflow: models, evaluations and their data, as if they had been made here.

A custom model becomes a train run, a logged model and a registered version; an evaluation a test run with the metrics on the
logged models; their data sets become inputs. The runs have the dates of the service's entities. Nothing is written to the
service, and what MLflow knows already is left as it is: a second import makes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import groupby
from typing import Literal

from mlflow.exceptions import MlflowException

from speech_mlflow.errors import NotFoundError, SpeechMlflowError
from speech_mlflow.progress import Progress, ProgressEvent, silent
from speech_mlflow.scoring import get_normalizer
from speech_mlflow.scoring.evaluators import evaluators
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import API_VERSION, BaseModel, CustomModel, Dataset, Evaluation
from speech_mlflow.tracking import models, registry, runs, tags, values
from speech_mlflow.tracking.refusal import explained, refusal
from speech_mlflow.tracking.runs import Begun, Measured, Work
from speech_mlflow.tracking.store import Store, open_store
from speech_mlflow.workflow import choosing, existing, finishing, recording, registering
from speech_mlflow.workflow.assessing import assess
from speech_mlflow.workflow.choosing import Chosen
from speech_mlflow.workflow.data import Uploaded, content_key, lines
from speech_mlflow.workflow.reporting import render
from speech_mlflow.workflow.servicedata import DataOfService, Known

Outcome = Literal["imported", "to be imported", "present", "skipped", "failed"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One entity of the service and what became of it. ``reason`` says why it was skipped or failed, or what is missing."""

    kind: Literal["model", "evaluation", "data set"]
    id: str
    name: str
    created: datetime | None
    outcome: Outcome
    reason: str | None = None
    run_id: str | None = None
    version: str | None = None


@explained
def import_existing(
    speech: SpeechClient,
    *,
    models: Sequence[str] = (),
    project: str | None = None,
    registered_model: str | None = None,
    dry_run: bool = False,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    artifact_location: str | None = None,
    progress: Progress | None = None,
) -> list[Item]:
    """Bring models and evaluations of the resource into MLflow, oldest first; what became of each.

    ``models`` (ids) and ``project`` (an id or a name) choose; without them everything is brought. Models are registered under
    ``registered_model``, by default each under its own name in the service. ``dry_run`` only says what would be done. One that
    cannot be imported is reported as failed, leaves nothing in MLflow, and does not stop the rest.

    The data sets are read, so that they are known by their content: the same content is the same data set, however it came here.
    """
    registry.check_name(registered_model)
    store = open_store(tracking_uri, registry_uri, experiment, artifact_location=artifact_location)
    there = existing.scope(speech, models=models, project=project)
    known = existing.known(store, speech.resource)
    importing = _Importing(speech, store, registered_model, progress or silent)
    items = [_left(model, "model", known.models.get(model.id)) for model in there.models]
    items += [_left(one, "evaluation", known.evaluations.get(one.id)) for one in there.evaluations]
    if not dry_run:
        items = importing.all(items, [*there.models, *there.evaluations])
    unused = "no model or evaluation of this import uses it"
    return items + [_item(dataset, "data set", "skipped", reason=unused) for dataset in there.unused]


class _Importing:
    """One import: its connections, and the data sets read so far."""

    def __init__(self, speech: SpeechClient, store: Store, registered_model: str | None, progress: Progress) -> None:
        self._speech = speech
        self._store = store
        self._registered_model = registered_model
        self._progress = progress
        self._data = DataOfService(speech)

    def all(self, items: Sequence[Item], entities: Sequence[CustomModel | Evaluation]) -> list[Item]:
        """Import those that are to be, models first; the items in the order given."""
        done = {item.id: item for item in items}
        wanted = [entity for entity in entities if done[entity.id].outcome == "to be imported"]
        begun = self._begin(wanted)
        try:
            for number, (entity, run) in enumerate(self._ordered(begun), 1):
                item = done[entity.id]
                self._progress(ProgressEvent("import", number, len(begun), "entities", item.name))
                done[entity.id] = self._one(item, entity, run)
        finally:
            self._data.close()
        return [done[item.id] for item in items]

    def _begin(self, entities: Sequence[CustomModel | Evaluation]) -> list[tuple[CustomModel | Evaluation, Begun]]:
        """A run for each; of two imports at once, one goes on with each."""
        begun = [(entity, runs.begin(self._store, _work(self._speech, entity))) for entity in entities]
        return [(entity, runs.settle(self._store, run)) for entity, run in begun]

    def _ordered(
        self, begun: Sequence[tuple[CustomModel | Evaluation, Begun]]
    ) -> Iterator[tuple[CustomModel | Evaluation, Begun]]:
        """Models by age, then evaluations by data set, so that one data set at a time is on disk."""
        yield from (one for one in begun if isinstance(one[0], CustomModel))
        tests = [one for one in begun if isinstance(one[0], Evaluation)]

        def of(one: tuple[CustomModel | Evaluation, Begun]) -> str:
            entity = one[0]
            return entity.dataset.id if isinstance(entity, Evaluation) and entity.dataset else ""

        for _, group in groupby(sorted(tests, key=of), key=of):
            yield from group
            self._data.close()

    def _one(self, item: Item, entity: CustomModel | Evaluation, begun: Begun) -> Item:
        try:
            if isinstance(entity, CustomModel):
                version, lacking = self._model(entity, begun)
            else:
                version, lacking = None, self._evaluation(entity, begun)
        except (SpeechMlflowError, MlflowException) as error:
            self._take_back(begun)
            return replace(item, outcome="failed", reason=str(refusal(error) or error))
        return replace(item, outcome="imported", run_id=begun.id, version=version, reason="; ".join(lacking) or None)

    def _take_back(self, begun: Begun) -> None:
        """Half an import is none: the run goes, and its logged model."""
        try:
            for logged in models.of_run(self._store, begun.id):
                self._store.client.delete_logged_model(logged)
            self._store.client.delete_run(begun.id)
        except MlflowException as trouble:  # the reason why it failed is what is to be told
            log.warning("run %s of a failed import could not be deleted: %s", begun.id, trouble)

    def _model(self, model: CustomModel, begun: Begun) -> tuple[str | None, list[str]]:
        """Write a model into its run, make its logged model and its version; returns what the service did not give."""
        speech, store, lacking = self._speech, self._store, list[str]()
        read = [known for of in model.datasets or () if (known := self._known(of.id, lacking)) is not None]
        base = self._base_name(model, lacking)
        params = {
            "name": _plain_name(model),
            "locale": model.locale,
            "base_model": base,
            "data": [f"{one.record.name} ({one.record.kind})" for one in read],
        }
        if read:
            runs.log_inputs(store, begun.id, [one.record for one in read], tags.CONTEXT_TRAINING)
        described = models.describe(model, speech.resource)
        logged = models.begin_custom(store, run_id=begun.id, name=_plain_name(model), model_tags=described, params=params)
        counted, sums = lines([one.entity for one in read])
        parts = [Measured(counted[step], logged, one.record, step) for step, one in enumerate(read)]
        hours = [hours for one in read if (hours := _spoken(one.entity)["data.hours"]) is not None]
        sums |= {"data.hours": sum(hours)} if hours else {}
        runs.log(
            store,
            begun.id,
            measured=[*parts, Measured(sums, step=len(read))],
            params=params,
            run_tags={tags.DATASET_IDS: values.ids(of.id for of in model.datasets or ()), tags.MODEL_ID: model.id},
            known=begun.run,
            at=existing.ended(model),
        )
        finishing.finish(speech, store, begun.id, model, logged, at=existing.ended(model))
        name = self._registered_model or _registered_name(model)
        version, _ = registering.register_model(speech, store, model, name=name, run_id=begun.id)
        return f"{name}/{version}", lacking

    def _evaluation(self, evaluation: Evaluation, begun: Begun) -> list[str]:
        """Write an evaluation into its run: utterance by utterance where data and results can be read, else what was counted."""
        store, lacking, at = self._store, list[str](), existing.ended(evaluation)
        chosen = self._chosen(evaluation, lacking)
        known = self._known(evaluation.dataset.id, lacking) if evaluation.dataset else None
        self._about(evaluation, begun, chosen, known)
        corpus = self._data.corpus(known.entity.id) if known is not None else None
        if corpus is not None and known is not None:
            try:
                uploaded = Uploaded(corpus, known.entity, known.record)
                tested = assess(self._speech, uploaded, chosen, [evaluation], normalizer=corpus.locale)
            except SpeechMlflowError as error:
                lacking.append(f"no table of utterances: {error}")
            else:
                recording.record(
                    store,
                    begun.id,
                    tested,
                    report=lambda over: render(over, corpus),
                    resource=self._speech.resource,
                    at=at,
                    known=begun.run,
                )
                return lacking
        record = known.record if known is not None else None
        recording.record_counts(store, begun.id, chosen, evaluation, record, resource=self._speech.resource, at=at)
        return lacking

    def _about(self, evaluation: Evaluation, begun: Begun, chosen: Sequence[Chosen], known: Known | None) -> None:
        """What was tested on what, as a test of ours notes it."""
        record = known.record if known is not None else None
        runs.log(
            self._store,
            begun.id,
            measured=[Measured(_spoken(known.entity if known else None))],
            params={
                "locale": evaluation.locale,
                "data": f"{record.name} ({record.digest})" if record else None,
                "models": [one.label for one in chosen],
                "normalizer": get_normalizer(str(evaluation.locale)).label,
                "evaluators": sorted(evaluators()),
            },
            run_tags={tags.FINGERPRINT: record.fingerprint if record else None, tags.EVALUATION_ID: evaluation.id},
            known=begun.run,
            at=existing.ended(evaluation),
        )

    def _chosen(self, evaluation: Evaluation, lacking: list[str]) -> list[Chosen]:
        """The models tested. One that the service has no more is known by its id."""
        entities: list[CustomModel | BaseModel] = []
        for model in existing.tested(evaluation):
            is_base = "/models/base/" in model.self_
            try:
                entities.append(self._speech.models.get_base(model) if is_base else self._speech.models.get(model))
            except NotFoundError:
                lacking.append(f"model {model.id} is no more in the service")
                gone = {"self": model.self_, "displayName": model.id, "locale": evaluation.locale}
                entities.append((BaseModel if is_base else CustomModel).model_validate(gone))
        return choosing.choose(self._speech, self._store, entities, locale=str(evaluation.locale))

    def _known(self, dataset_id: str, lacking: list[str]) -> Known | None:
        try:
            known = self._data.know(dataset_id)
        except NotFoundError:
            lacking.append(f"data set {dataset_id} is no more in the service")
            return None
        if known.lacking:
            lacking.append(f"data set {known.record.name}: {known.lacking}")
        return known

    def _base_name(self, model: CustomModel, lacking: list[str]) -> str | None:
        if model.base_model is None:
            return None
        try:
            return self._speech.models.get_base(model.base_model).display_name
        except NotFoundError:
            lacking.append(f"base model {model.base_model.id} is no more in the service")
            return model.base_model.id


def _work(speech: SpeechClient, entity: CustomModel | Evaluation) -> Work:
    """The run of an entity. Its key is the entity itself: what it was made from cannot always be read."""
    is_model = isinstance(entity, CustomModel)
    kind = tags.KIND_TRAIN if is_model else tags.KIND_TEST
    facts: dict[str, object] = {
        tags.RESOURCE: speech.resource,
        tags.API_VERSION: API_VERSION,
        tags.LOCALE: entity.locale,
        tags.PROJECT_ID: entity.project.id if entity.project else None,
        tags.DISPLAY_NAME: entity.display_name,
        tags.IMPORTED: datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if isinstance(entity, CustomModel):
        facts[tags.BASE_MODEL_ID] = entity.base_model.id if entity.base_model else None
    else:
        models_ = existing.tested(entity)
        facts[tags.MODEL_ID] = values.ids(model.id for model in models_)
        facts[tags.BASE_MODEL_ID] = next((model.id for model in models_ if "/models/base/" in model.self_), None)
        facts[tags.DATASET_IDS] = entity.dataset.id if entity.dataset else None
    key = content_key(kind="import", entity=kind, resource=speech.resource, id=entity.id)
    return Work(kind, key, _plain_name(entity), facts, description=entity.description, started=existing.began(entity))


def _left(entity: CustomModel | Evaluation, kind: Literal["model", "evaluation"], run_id: str | None) -> Item:
    """What is to be done with an entity."""
    if run_id is not None:
        return replace(_item(entity, kind, "present"), run_id=run_id)
    if entity.status != "Succeeded":
        why = f": {entity.error.message or entity.error.code}" if entity.error else ""
        return _item(entity, kind, "skipped", reason=f"it is {entity.status} in the service{why}")
    if isinstance(entity, Evaluation) and (entity.properties is None or entity.properties.counts(1) is None):
        return _item(entity, kind, "skipped", reason="the service counted nothing: its data has no transcripts")
    return _item(entity, kind, "to be imported")


def _item(
    entity: CustomModel | Evaluation | Dataset,
    kind: Literal["model", "evaluation", "data set"],
    outcome: Outcome,
    *,
    reason: str | None = None,
) -> Item:
    return Item(kind, entity.id, _plain_name(entity), entity.created_date_time, outcome, reason)


def _ours(entity: CustomModel | Evaluation | Dataset) -> bool:
    return (entity.custom_properties or {}).get(tags.PROPERTY_MANAGED_BY) == tags.MANAGED_BY


def _plain_name(entity: CustomModel | Evaluation | Dataset) -> str:
    """An entity's name; without the content key where we made it (for another MLflow, which is gone)."""
    name = entity.display_name or entity.id
    return name.partition(" [")[0] if _ours(entity) else name


def _registered_name(model: CustomModel) -> str:
    """A name that MLflow takes for a registered model."""
    given = (model.custom_properties or {}).get(tags.PROPERTY_REGISTERED_MODEL) if _ours(model) else None
    return "".join("-" if character in "/:'" else character for character in given or _plain_name(model)).strip() or model.id


def _spoken(dataset: Dataset | None) -> dict[str, float | None]:
    properties = dataset.properties if dataset is not None else None
    milliseconds = properties.duration_milliseconds if properties else None
    return {"data.hours": None if milliseconds is None else milliseconds / 3_600_000}
