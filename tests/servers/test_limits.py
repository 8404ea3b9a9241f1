"""What a database refuses that SQLite lets through: PostgreSQL knows how wide its columns are."""

from __future__ import annotations

import pytest

from speech_mlflow.tracking import models, registry, runs, tags
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import open_store
from tests.fixtures.mlflow_server import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_long_names_and_descriptions_are_taken(postgres_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # a refusal is an error 500, repeated for minutes
    store = open_store(postgres_server.uri, experiment="long")
    words = "base and " * 1000
    begun = runs.begin(store, Work(tags.KIND_TRAIN, "k", words, description=words))
    assert (len(begun.run.info.run_name), begun.run.info.run_name[-3:]) == (250, "...")
    long = {"data": words, "description": words}
    logged = models.begin_custom(store, run_id=begun.id, name="long", model_tags=long, params=long)
    models.finish(store, logged, ready=True, model_tags={**long, tags.MODEL_ID: "m"})
    version = registry.register(
        store, name="long", run_id=begun.id, logged_model_id=logged, version_tags={tags.MODEL_ID: "m"}, description=words
    )
    assert (len(version.description), version.description[-3:]) == (5000, "...")
