"""What is there already, and what therefore is to be done, with the reason: nothing here writes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from speech_mlflow.errors import NotFoundError, PromotionError
from speech_mlflow.pipeline.records import Outlook
from speech_mlflow.pipeline.world import World
from speech_mlflow.promotion import registry as promotion_registry
from speech_mlflow.promotion import usecases
from speech_mlflow.promotion.reading import PROMOTION_RUN_ID
from speech_mlflow.tracking import registry, runs, tags, values
from speech_mlflow.workflow import choosing
from speech_mlflow.workflow.testing import test_key
from speech_mlflow.workflow.training import train_key

if TYPE_CHECKING:
    from mlflow.entities import Run

    from speech_mlflow.corpus import Corpus
    from speech_mlflow.pipeline.declared import Pipeline
    from speech_mlflow.promotion.plan import Plan
    from speech_mlflow.service.entities import BaseModel, CustomModel
    from speech_mlflow.tracking.store import Store


@dataclass(frozen=True)
class Training:
    """A model of the pipeline: what it is made from, and what there is of it."""

    outlook: Outlook
    corpora: tuple[Corpus, ...] = ()
    base: BaseModel | None = None
    model: CustomModel | None = None
    version: str | None = None


@dataclass(frozen=True)
class Job:
    """A test to be there: of a model of the pipeline, or (``champion``) of the version that is served."""

    test: str
    model: str
    version: str | None
    champion: bool = False

    def title(self, registered_model: str) -> str:
        """What the step is called."""
        return f"{self.test}: {registered_model} v{self.version} (served)" if self.champion else f"{self.test}: {self.model}"

    def concerned(self, pipeline: Pipeline) -> tuple[str, ...]:
        """The models of the pipeline whose gates look at it."""
        if not self.champion:
            return (self.model,)
        mine = pipeline.registered(self.model)
        return tuple(model for model in pipeline.tested(self.test) if pipeline.registered(model) == mine)


def size(corpus: Corpus) -> str:
    """Kind and size of data, for people."""
    count = len(corpus.utterances) or len(corpus.lines)
    return f"{corpus.kind}, {count:,} {'recording' if corpus.utterances else 'line'}{'' if count == 1 else 's'}"


def training(world: World, name: str) -> Training:
    """Whether a model is trained, and if not, why it is to be."""
    declared, registered = world.pipeline.models[name], world.pipeline.registered(name)
    unfit = [data for data in declared.train if not world.fit(data, "training")]
    if unfit:
        return Training(Outlook("train", name, "skipped", f"needs data {', '.join(unfit)}"))
    corpora = tuple(world.data(data, "training") for data in declared.train)
    base = world.base_model(name)
    key = train_key(world.speech, corpora, base, locale=world.settings.locale, weight_percent=declared.weight_percent)
    store = world.store_to_look_in()
    found = runs.find(store, tags.KIND_TRAIN, key) if store else []
    gone = False
    for run in reversed([run for run in found if run.info.status == "FINISHED"]):
        model = _model(world, run)
        if model is None:
            gone = True
            continue
        versions = registry.versions_of_model(world.client, registered, model.id)
        version = str(versions[0].version) if versions else None
        why = (
            f"version {version}, trained in run {run.info.run_id}"
            if version
            else f"trained, not yet registered as {registered}"
        )
        outlook = Outlook("train", name, "done" if version else "new", why, str(run.info.run_id))
        return Training(outlook, corpora, base, model, version)
    state, why = _open_or_new(found)
    if state == "new":
        why = "the service has its model no more" if gone else why or _why_trained(world, store, name, corpora, base)
    return Training(Outlook("train", name, state, why, _open_id(found)), corpora, base)


def jobs(world: World, versions: dict[str, str | None]) -> list[Job]:
    """The tests to be there: each test set with each model, and with what is served where that is another version."""
    wanted = []
    for test in world.pipeline.tests:
        for model in world.pipeline.tested(test):
            wanted.append(Job(test, model, versions.get(model)))
        for model in world.pipeline.tested(test):
            served = champion(world, world.pipeline.registered(model))
            job = Job(test, model, served, champion=True)
            others = {(world.pipeline.registered(one.model), one.version) for one in wanted if one.test == test}
            if served is not None and (world.pipeline.registered(model), served) not in others:
                wanted.append(job)
    return wanted


def testing(world: World, job: Job) -> Outlook:
    """Whether a test was made, and if not, why it is to be."""
    registered = world.pipeline.registered(job.model)
    title, declared = job.title(registered), world.pipeline.tests[job.test]
    data = world.pipeline.testing_data(job.test)
    if not world.fit(data, "testing"):
        return Outlook("test", title, "skipped", f"needs data {data}")
    if job.version is None:
        return Outlook("test", title, "later", f"after train {job.model}")
    corpus, store = world.data(data, "testing"), world.store_to_look_in()
    if store is None:
        return Outlook("test", title, "new", "not tested before")
    chosen = choosing.choose(
        world.speech, store, [*declared.against, f"{registered}/{job.version}"], locale=world.settings.locale
    )
    found = runs.find(store, tags.KIND_TEST, test_key(world.speech, corpus, chosen, normalizer=declared.normalizer))
    finished = [run for run in found if run.info.status == "FINISHED"]
    if finished:
        run_id = str(finished[-1].info.run_id)
        return Outlook("test", title, "done", f"tested in run {run_id}", run_id)
    state, why = _open_or_new(found)
    if state == "new":
        why = why or _why_tested(store, corpus, chosen)
    return Outlook("test", title, state, why, _open_id(found))


def champion(world: World, registered_model: str) -> str | None:
    """The version that is served now; None before the first deployment."""
    plan = _plan(world, registered_model)
    if plan is None:
        return None
    model = promotion_registry.read(world.client, registered_model)
    published = model.version(plan.observed.published_version)
    if published is None and plan.observed.endpoint is not None:
        published = model.version_of_model(plan.observed.endpoint.model_id, tags.MODEL_ID)
    return (
        published.number
        if published and published.tags.get(tags.RESOURCE, world.speech.resource) == world.speech.resource
        else None
    )


def promotion(world: World, model: str, version: str) -> Outlook:
    """Whether a version is served, and if not, whether it is to be."""
    registered = world.pipeline.registered(model)
    plan = _plan(world, registered)
    if plan is None:
        return Outlook("promote", model, "new", "nothing is served yet")
    endpoint = plan.observed.endpoint.id if plan.observed.endpoint else None
    if plan.desired.version == version:
        behind = [] if plan.changes else _regions_behind(world, registered, plan)
        if behind:
            return Outlook("promote", model, "open", f"version {version} is not yet served in {', '.join(behind)}")
        if not plan.changes:
            return Outlook("promote", model, "done", f"version {version} is served by endpoint {endpoint}")
        return Outlook("promote", model, "open", f"version {version} is in the registry as to be served, and is not yet")
    record = promotion_registry.read(world.client, registered).version(version)
    served = plan.observed.published_version
    if record is not None and PROMOTION_RUN_ID in record.tags:
        why = (
            f"version {version} was served before, and version {served or plan.desired.version} was put in its place since; "
            f"`speech-mlflow promote {registered}/{version}` moves it back"
        )
        return Outlook("promote", model, "kept", why)
    return Outlook("promote", model, "new", f"version {served} is served" if served else "nothing is served yet")


def _plan(world: World, registered_model: str) -> Plan | None:
    try:
        return usecases.plan_for(world.speech, world.client, registered_model, world.target(registered_model), ask_gates=False)
    except PromotionError:  # no such registered model yet
        return None


def _regions_behind(world: World, registered_model: str, plan: Plan) -> list[str]:
    """The other resources of the target in which something is to be done."""
    plans = world.regions.plans(world.client, registered_model, plan.target)
    return [region for region, one in zip(plan.target.regions, plans, strict=True) if one.changes]


def _model(world: World, run: Run) -> CustomModel | None:
    try:
        return world.speech.models.get(run.data.tags[tags.MODEL_ID])
    except NotFoundError:
        return None


def _open_or_new(found: Sequence[Run]) -> tuple[Literal["open", "new"], str]:
    """Whether one of the runs is at work; where none is, why the newest ended, if there is any."""
    at_work = [run for run in found if run.info.status in runs.OPEN]
    if at_work:
        return "open", f"begun in run {at_work[0].info.run_id}"
    failed = [run for run in found if run.info.status == "FAILED"]
    return "new", f"run {failed[-1].info.run_id} failed: {failed[-1].data.tags.get(tags.ERROR, 'unknown')}" if failed else ""


def _open_id(found: Sequence[Run]) -> str | None:
    return next((str(run.info.run_id) for run in found if run.info.status in runs.OPEN), None)


def _why_trained(world: World, store: Store | None, name: str, corpora: Sequence[Corpus], base: BaseModel) -> str:
    """What is new since the model was trained last, under this name."""
    quoted = values.literal(name)
    wanted = f"tags.`{tags.KIND}` = '{tags.KIND_TRAIN}' and attributes.run_name = {quoted}"
    last = _last(store, wanted) if quoted else None
    if last is None:
        return "not trained before"
    inputs = last.inputs.dataset_inputs if last.inputs else []
    before = {next((tag.value for tag in one.tags if tag.key == tags.FINGERPRINT), ""): one.dataset.name for one in inputs}
    now = {corpus.fingerprint: corpus.name for corpus in corpora}
    words = {
        "changed data": [one for content, one in now.items() if content not in before and one in before.values()],
        "new data": [one for content, one in now.items() if content not in before and one not in before.values()],
        "without data": [one for content, one in before.items() if content not in now and one not in now.values()],
    }
    changes = [f"{word} {', '.join(names)}" for word, names in words.items() if names]
    if last.data.tags.get(tags.BASE_MODEL_ID) != base.id:
        changes.append(f"base model {base.display_name} instead of {last.data.params.get('base_model', 'another')}")
    weight = world.pipeline.models[name].weight_percent
    if last.data.params.get("weight_percent") != (None if weight is None else str(weight)):
        changes.append(f"weight_percent {weight} instead of {last.data.params.get('weight_percent', 'the default')}")
    if last.data.tags.get(tags.RESOURCE) != world.speech.resource:
        changes.append(f"the speech resource is {world.speech.resource}")
    return "; ".join(changes) or f"run {last.info.run_id} did not finish"


def _why_tested(store: Store, corpus: Corpus, chosen: Sequence[choosing.Chosen]) -> str:
    ids = ",".join(one.entity.id for one in chosen)
    last = _last(store, f"tags.`{tags.KIND}` = '{tags.KIND_TEST}' and tags.`{tags.MODEL_ID}` = '{ids}'")
    if last is None:
        return "not tested before"
    others = runs.find_by_tag(store, tags.KIND_TEST, tags.MODEL_ID, ids)
    if all(run.data.tags.get(tags.FINGERPRINT) != corpus.fingerprint for run in others):
        return "other test data than before"
    return "another normaliser or other evaluators than before"


def _last(store: Store | None, wanted: str) -> Run | None:
    if store is None:
        return None
    found = store.client.search_runs([store.experiment_id], wanted, max_results=1, order_by=["attributes.start_time DESC"])
    return found[0] if found else None
