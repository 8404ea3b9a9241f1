from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from speech_mlflow import connection
from speech_mlflow.connection import connect, ensure_project, mlflow_client
from speech_mlflow.errors import AuthenticationError, SettingsError, TrackingError
from speech_mlflow.settings import Settings
from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow import MlflowStore


def test_without_an_endpoint_the_offline_service_is_meant(emulator: RunningEmulator) -> None:
    with connect(Settings(state_dir=emulator.state_dir)) as speech:
        assert speech.endpoint == emulator.url
        assert speech.resource == emulator.resource
        assert list(speech.models.list_base())


def test_a_configured_endpoint_is_entered_with_its_key(emulator: RunningEmulator) -> None:
    with connect(Settings(endpoint=emulator.url, key=emulator.key)) as speech:
        assert list(speech.models.list_base())
        assert emulator.key.get_secret_value() not in repr(speech)
    with (
        connect(Settings(endpoint=emulator.url, key=SecretStr("0" * 32))) as speech,
        pytest.raises(AuthenticationError),
    ):
        list(speech.models.list_base())


def test_without_a_key_entra_is_meant_which_a_regional_endpoint_does_not_take() -> None:
    with pytest.raises(SettingsError, match="regional endpoint"):
        connect(Settings(endpoint="https://westus.api.cognitive.microsoft.com"))


def test_a_project_is_made_once(emulator: RunningEmulator) -> None:
    settings = Settings(state_dir=emulator.state_dir, project="Anna's clinic")
    with connect(settings) as speech:
        first = ensure_project(speech, settings)
        assert first is not None
        assert ensure_project(speech, settings) == first
        assert speech.projects.get(first).display_name == "Anna's clinic"
        assert ensure_project(speech, Settings(state_dir=emulator.state_dir)) is None


def test_mlflow_of_the_settings(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    settings = Settings(
        tracking_uri=mlflow_store.uri,
        experiment="clinic",
        artifact_location=(tmp_path / "there").as_uri(),
    )
    assert mlflow_client(settings).tracking_uri == mlflow_store.uri
    store = connection.mlflow_store(settings)
    run = store.client.create_run(store.experiment_id)
    store.client.log_text(run.info.run_id, "x", "a.txt")
    assert [path.name for path in (tmp_path / "there").rglob("*.txt")] == ["a.txt"]


def test_the_experiment_that_mlflow_was_told_is_that_of_commands_too(
    mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = mlflow_store.client.create_experiment("told", (mlflow_store.artifacts / "told").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", told)
    flags = {"tracking_uri": mlflow_store.uri}
    assert connection.mlflow_store(Settings.load(flags)).experiment_id == told
    assert connection.mlflow_store(Settings.load({**flags, "experiment": "named"})).experiment_id != told
    assert connection.mlflow_store(Settings(tracking_uri=mlflow_store.uri, experiment="named")).experiment_id != told
    mlflow_store.client.delete_experiment(told)
    with pytest.raises(TrackingError, match="was deleted"):
        connection.mlflow_store(Settings.load(flags))
