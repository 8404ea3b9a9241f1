from __future__ import annotations

import multiprocessing

import pytest
from mlflow.entities import LoggedModelStatus

from speech_mlflow.errors import TrackingError
from speech_mlflow.service.entities import BaseModel, CustomModel
from speech_mlflow.tracking import models, registry, runs, tags
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import Store, open_store
from tests.fixtures.mlflow import MlflowStore

SELF = "https://speech.example/speechtotext/models/{}?api-version=2025-10-15"


@pytest.fixture
def store(mlflow_store: MlflowStore) -> Store:
    return open_store(mlflow_store.uri, experiment="speech")


def base(id_: str = "b1") -> BaseModel:
    return BaseModel.model_validate(
        {"self": SELF.format("base/" + id_), "displayName": "20250101", "locale": "en-US", "description": "Of 2025."}
    )


def custom(id_: str = "c1") -> CustomModel:
    return CustomModel.model_validate(
        {
            "self": SELF.format(id_),
            "displayName": "clinic 0123",
            "locale": "en-US",
            "baseModel": {"self": SELF.format("base/b1")},
        }
    )


def trained(store: Store, model: CustomModel) -> tuple[str, str | None]:
    run_id = runs.begin(store, Work(tags.KIND_TRAIN, model.id, "clinic")).id
    described = models.describe(model, "r1")
    logged = models.begin_custom(store, run_id=run_id, name="clinic", model_tags=described, params={"weight": 30})
    models.finish(store, logged, ready=True)
    return run_id, logged


def test_a_custom_model_is_pending_then_ready_and_has_one_logged_model(store: Store) -> None:
    run_id = runs.begin(store, Work(tags.KIND_TRAIN, "k", "clinic")).id
    first = models.begin_custom(store, run_id=run_id, name="a/b: 1.0", model_tags={tags.RESOURCE: "r1"}, params={"weight": 30})
    assert first == models.begin_custom(store, run_id=run_id, name="a/b: 1.0", model_tags={}, params={})
    assert first is not None
    pending = store.client.get_logged_model(first)
    assert (pending.status, pending.name) == (LoggedModelStatus.PENDING, "a-b- 1-0")
    assert pending.params == {"weight": "30"}
    store.client.set_logged_model_tags(first, {tags.MODEL_ID: "c1"})
    assert models.find(store, resource="r1", model_id="c1") is None, "a model that still trains cannot be tested"
    models.finish(store, first, ready=True, model_tags={tags.MODEL_ID: "c1"})
    found = models.find(store, resource="r1", model_id="c1")
    assert found is not None
    assert (found.model_id, found.status) == (first, LoggedModelStatus.READY)
    assert found.source_run_id == run_id


def test_a_failed_training_has_a_failed_model(store: Store) -> None:
    run_id = runs.begin(store, Work(tags.KIND_TRAIN, "k", "clinic")).id
    logged = models.begin_custom(store, run_id=run_id, name="clinic", model_tags={}, params={})
    models.finish(store, logged, ready=False)
    assert logged is not None
    assert store.client.get_logged_model(logged).status == LoggedModelStatus.FAILED


def test_a_base_model_has_one_logged_model_per_resource(store: Store) -> None:
    first = models.ensure(store, base(), resource="r1")
    assert first is not None
    assert first == models.ensure(store, base(), resource="r1")
    assert first != models.ensure(store, base(), resource="r2")
    assert first != models.ensure(store, base("b2"), resource="r1")
    logged = store.client.get_logged_model(first)
    assert logged.name == "base-20250101"
    assert logged.tags[models.EXTERNAL] == "true"
    assert logged.tags["mlflow.note.content"] == "Of 2025."
    assert logged.tags[tags.BASE_MODEL_ID] == logged.tags[tags.MODEL_ID] == "b1"


def test_a_version_stands_for_one_service_model_and_is_made_once(store: Store, mlflow_store: MlflowStore) -> None:
    run_id, logged = trained(store, custom())
    given = {**models.describe(custom(), "r1"), tags.TRAIN_RUN_ID: run_id}
    first = registry.register(store, name="clinic", run_id=run_id, logged_model_id=logged, version_tags=given)
    before = store.client.get_registered_model("clinic").last_updated_timestamp
    again = registry.register(store, name="clinic", run_id=run_id, logged_model_id=logged, version_tags=given)
    assert first.version == again.version
    after = store.client.get_registered_model("clinic").last_updated_timestamp
    assert after == before, "promotion goes by when a model was last changed"
    version = mlflow_store.client.get_model_version("clinic", "1")
    assert (version.source, version.run_id) == (f"models:/{logged}", run_id)
    assert version.tags == {
        tags.MODEL_ID: "c1",
        tags.BASE_MODEL_ID: "b1",
        tags.RESOURCE: "r1",
        tags.LOCALE: "en-US",
        tags.DISPLAY_NAME: "clinic 0123",
        tags.TRAIN_RUN_ID: run_id,
    }
    assert logged is not None
    assert store.client.get_logged_model(logged).tags[models.VERSIONS] == '[{"name": "clinic", "version": "1"}]'
    registered = mlflow_store.client.get_registered_model("clinic")
    assert len(registered.tags[tags.UID]) == 32
    assert registered.tags[tags.LOCALE] == "en-US"


def test_a_registered_model_that_was_there_keeps_its_id(store: Store) -> None:
    store.client.create_registered_model("theirs", tags={"owner": "x"})
    first = registry.ensure_registered_model(store.client, "theirs")
    second = registry.ensure_registered_model(store.client, "theirs")
    assert first.tags[tags.UID] == second.tags[tags.UID]
    assert first.tags["owner"] == "x"


def _register(uri: str, run_id: str, logged: str, ready: object, results: object) -> None:
    store = open_store(uri, experiment="speech")
    ready.wait()  # type: ignore[attr-defined]
    given = models.describe(custom(), "r1")
    version = registry.register(store, name="clinic", run_id=run_id, logged_model_id=logged, version_tags=given)
    results.put(str(version.version))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_four_processes_that_register_at_once_agree_on_one_version(store: Store) -> None:
    run_id, logged = trained(store, custom())
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(4), context.Queue()
    started = [context.Process(target=_register, args=(store.tracking_uri, run_id, logged, ready, results)) for _ in range(4)]
    for process in started:
        process.start()
    agreed = {results.get(timeout=120) for _ in started}
    for process in started:
        process.join()
    assert agreed == {str(version.version) for version in registry.versions(store.client, "clinic")}
    assert len(agreed) == 1


def test_a_version_is_found_by_number_stage_alias_and_as_the_newest(store: Store) -> None:
    for number in ("c1", "c2"):
        run_id, logged = trained(store, custom(number))
        given = models.describe(custom(number), "r1")
        registry.register(store, name="clinic", run_id=run_id, logged_model_id=logged, version_tags=given)
    registry.set_stage(store.client, "clinic", "1", "Production")
    store.client.set_registered_model_alias("clinic", "champion", "1")
    found = {
        reference: str(registry.find_version(store.client, reference).version)
        for reference in ("clinic/2", "models:/clinic/1", "clinic/production", "clinic@champion", "clinic", "clinic/latest")
    }
    assert found == {
        "clinic/2": "2",
        "models:/clinic/1": "1",
        "clinic/production": "1",
        "clinic@champion": "1",
        "clinic": "2",
        "clinic/latest": "2",
    }
    for missing in ("clinic/9", "clinic/Staging", "clinic@nobody", "nothing", "nothing/1"):
        with pytest.raises(TrackingError):
            registry.find_version(store.client, missing)


def test_moving_to_production_archives_the_others_without_a_warning(store: Store) -> None:
    for number in ("c1", "c2"):
        run_id, logged = trained(store, custom(number))
        given = models.describe(custom(number), "r1")
        registry.register(store, name="clinic", run_id=run_id, logged_model_id=logged, version_tags=given)
    registry.set_stage(store.client, "clinic", "1", "Production")
    registry.set_stage(store.client, "clinic", "2", "Production")
    stages = {str(version.version): version.current_stage for version in registry.versions(store.client, "clinic")}
    assert stages == {"1": "Archived", "2": "Production"}
    registry.set_stage(store.client, "clinic", "2", "None")  # asking MLflow to archive others here would hang for minutes
    assert store.client.get_model_version("clinic", "2").current_stage == "None"
