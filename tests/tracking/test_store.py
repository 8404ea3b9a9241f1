from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest

from speech_mlflow.errors import SettingsError, TrackingError
from speech_mlflow.tracking.store import open_client, open_store
from tests.fixtures.mlflow import MlflowStore


def test_nothing_global_is_read_or_written_where_a_store_is_named(mlflow_store: MlflowStore) -> None:
    before = mlflow.get_tracking_uri()
    store = open_store(mlflow_store.uri, experiment="speech")
    assert store.tracking_uri == mlflow_store.uri
    assert store.client._registry_uri == mlflow_store.uri
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None


def test_the_settings_then_mlflows_own_choice(mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store.uri)
    assert open_client().tracking_uri == mlflow_store.uri
    other = mlflow_store.database.with_name("other.db")
    shutil.copyfile(mlflow_store.database, other)
    monkeypatch.setenv("SPEECH_MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert open_client().tracking_uri == f"sqlite:///{other}"


def test_a_relative_database_is_the_same_from_another_directory(
    monkeypatch: pytest.MonkeyPatch, mlflow_store: MlflowStore
) -> None:
    monkeypatch.chdir(mlflow_store.database.parent)
    assert open_client("sqlite:///mlflow.db").tracking_uri == mlflow_store.uri


def test_the_experiment_is_made_once_and_a_deleted_one_is_named(mlflow_store: MlflowStore) -> None:
    first = open_store(mlflow_store.uri, experiment="clinic")
    made = first.client.get_experiment(first.experiment_id)
    assert made.tags["mlflow.experimentKind"] == "custom_model_development"
    assert open_store(mlflow_store.uri, experiment="clinic").experiment_id == first.experiment_id
    first.client.delete_experiment(first.experiment_id)
    with pytest.raises(TrackingError, match="the MLflow experiment 'clinic' was deleted") as raised:
        open_store(mlflow_store.uri, experiment="clinic")
    assert "restore it" in str(raised.value.hint)


def test_the_experiment_that_mlflow_was_told_in_the_environment(
    mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert open_store(mlflow_store.uri).experiment_id == "0"
    monkeypatch.setenv("SPEECH_MLFLOW_EXPERIMENT", "named")
    assert open_store(mlflow_store.uri).experiment_id != "0"


def test_a_registry_of_its_own(mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = mlflow_store.database.with_name("registry.db")
    shutil.copyfile(mlflow_store.database, registry)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{registry}")
    client = open_client()
    assert (client.tracking_uri, client._registry_uri) == (mlflow_store.uri, f"sqlite:///{registry}")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert open_client()._registry_uri == mlflow_store.uri
    assert open_client(mlflow_store.uri, f"sqlite:///{registry}")._registry_uri == f"sqlite:///{registry}"


def test_a_broken_settings_file_does_not_matter_where_the_store_is_named(
    mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "speech-mlflow.toml").write_text("this is = no = toml")
    monkeypatch.chdir(tmp_path)
    assert open_store(mlflow_store.uri, experiment="speech").experiment_id
    with pytest.raises(SettingsError):
        open_store()


def test_artifacts_lie_beside_the_database_of_a_folder_with_a_space(
    mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "my größte project"
    folder.mkdir()
    shutil.copyfile(mlflow_store.database, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    quoted = f"sqlite:///{quote(str(folder / 'mlflow.db'))}"  # as MLflow writes its own default
    for uri in (quoted, "sqlite:///mlflow.db"):
        store = open_store(uri, experiment=f"by {uri[-30:]}")
        run = store.client.create_run(store.experiment_id)
        store.client.log_text(run.info.run_id, "x", "a.txt")
    assert len(list((folder / "mlartifacts").rglob("a.txt"))) == 2
