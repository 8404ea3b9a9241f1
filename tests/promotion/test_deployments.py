"""``mlflow deployments -t speech``, from Python and from the command line, against the service and a real registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from mlflow.deployments import get_deploy_client
from mlflow.deployments.cli import commands
from mlflow.exceptions import MlflowException

from speech_mlflow.connection import connect
from speech_mlflow.settings import Settings
from speech_mlflow.tracking import tags
from tests.promotion.world import NAME, WORDS, World, versions_served


@pytest.fixture
def deployed_to(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """A world whose service and registry are those of the settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, value in {
        "SPEECH_MLFLOW_ENDPOINT": world.service.address["url"],
        "SPEECH_MLFLOW_KEY": world.service.address["key"],
        "MLFLOW_TRACKING_URI": world.client.tracking_uri,
    }.items():
        monkeypatch.setenv(name, value)
    with connect(Settings.load()) as speech:
        yield World(world.service, speech, world.client)


@pytest.fixture
def client() -> Any:
    return get_deploy_client("speech")


def recording(folder: Path) -> Path:
    from tests.emulator.tone_plugin.tone_engine import speak

    path = folder / "call.wav"
    path.write_bytes(speak("call " + " ".join(WORDS)))
    return path


def test_a_deployment_lives_from_create_to_delete(deployed_to: World, client: Any, tmp_path: Path) -> None:
    world = deployed_to
    world.register()
    made = client.create_deployment(NAME, f"models:/{NAME}/1", config={"why": "the first"})
    assert (made["name"], made["version"], made["result"]) == (NAME, "1", "served")
    versions_served(world, "1")
    assert client.create_deployment(NAME, f"models:/{NAME}/Production")["result"] == "unchanged"
    with pytest.raises(MlflowException, match="update it") as raised:
        client.create_deployment(NAME, f"models:/{NAME}/2")
    assert raised.value.error_code == "RESOURCE_ALREADY_EXISTS"
    updated = client.update_deployment(NAME, f"models:/{NAME}/2")
    assert updated["endpoint_id"] == made["endpoint_id"]
    versions_served(world, "2")
    world.move("3")
    assert client.update_deployment(NAME)["version"] == "3"
    assert [one["version"] for one in client.list_deployments()] == ["3"]
    described = client.get_deployment(NAME)
    assert (described["status"], described["served_model_id"]) == ("Succeeded", world.models[2])
    heard = client.predict(NAME, [str(recording(tmp_path))])["predictions"]
    assert WORDS[2] in heard[0].lower()
    client.delete_deployment(NAME)
    assert world.endpoints() == []
    assert client.list_deployments() == []
    client.delete_deployment(NAME)  # it is gone, which is what was asked for
    for ask in (client.get_deployment, client.update_deployment, lambda name: client.predict(name, [])):
        with pytest.raises(MlflowException, match="nothing serves it") as raised:
            ask(NAME)
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    why = [run.data.params["why"] for run in world.runs()]
    assert why[:2] == ["the first", f"mlflow deployments: {NAME}/2"]
    assert why[-1] == f"deployment {NAME} deleted"


def test_the_gates_apply_and_an_override_is_recorded(deployed_to: World, client: Any) -> None:
    world = deployed_to
    world.register()
    Path("speech-mlflow.toml").write_text(f"[targets.{NAME}]\nmax_wer = 0.2\n", "utf-8")
    with pytest.raises(MlflowException, match="no word error rate of version 1 is known") as raised:
        client.create_deployment(NAME, f"models:/{NAME}/1")
    assert raised.value.error_code == "INVALID_STATE"
    assert world.endpoints() == []
    assert world.client.get_model_version(NAME, "1").current_stage == "None"
    client.create_deployment(NAME, f"models:/{NAME}/1", config={"override": "heard it myself"})
    versions_served(world, "1")
    assert "heard it myself" in str(world.tag("speech.override", "1"))
    assert world.runs()[-1].data.params["gate.max_wer"].startswith("no:")


def test_what_makes_no_sense_is_refused_with_a_reason(deployed_to: World, client: Any) -> None:
    world = deployed_to
    world.register()
    broken = world.add_version(NAME, world.service.broken)
    for ask, reason in (
        (lambda: client.create_deployment("other", f"models:/{NAME}/1"), f"--name {NAME}, not other"),
        (lambda: client.create_deployment(NAME, "runs:/abc/model"), "models:/NAME/VERSION"),
        (lambda: client.create_deployment(NAME, f"models:/{NAME}/77"), "there is no model version"),
        (lambda: client.create_deployment(NAME, f"models:/{NAME}/1", flavor="sklearn"), "the flavor is"),
        (lambda: client.create_deployment(NAME, f"models:/{NAME}/1", config={"instances": 3}), "unknown -C instances"),
        (lambda: client.create_deployment(NAME, f"models:/{NAME}/1", endpoint="e"), "no MLflow endpoints"),
        (lambda: client.create_deployment(NAME, f"models:/{NAME}/{broken}"), "cannot be loaded"),
        (lambda: client.get_deployment("nobody"), "no registered model named 'nobody'"),
        (lambda: client.predict(inputs=["a.wav"]), "needs the name"),
        (lambda: get_deploy_client("speech://westus"), "the target is speech"),
        (lambda: mlflow.deployments.run_local("speech", NAME, f"models:/{NAME}/1"), "cannot be run locally"),
    ):
        with pytest.raises(MlflowException, match=reason):
            ask()
    assert world.tag(tags.ENDPOINT_ID) is None


def test_the_command_line(deployed_to: World, tmp_path: Path) -> None:
    world = deployed_to
    world.register()

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(commands, [*arguments[:1], "-t", "speech", *arguments[1:]])
        assert done.exit_code == code, done.output + repr(done.exception)
        return done.output if code == 0 else str(done.exception)

    assert "run-local is not there" in run("help")
    created = run("create", "-m", f"models:/{NAME}/2", "--name", NAME, "-C", "why=by hand")
    assert f"speech_mlflow deployment {NAME} is created" in created
    versions_served(world, "2")
    assert "speech_mlflow" in run("update", "-m", f"models:/{NAME}/1", "--name", NAME)
    assert world.endpoint().id in run("list")
    assert f"model_uri: models:/{NAME}/1" in run("get", "--name", NAME)
    asked = tmp_path / "in.json"
    asked.write_text(json.dumps([{"audio": str(recording(tmp_path))}]), "utf-8")
    (heard,) = json.loads(run("predict", "--name", NAME, "-I", str(asked)))["predictions"]
    assert WORDS[0] in heard.lower()
    assert "cannot be run locally" in run("run-local", "-m", f"models:/{NAME}/1", "--name", NAME, code=1)
    assert f"{NAME} is deleted" in run("delete", "--name", NAME)
    assert world.endpoints() == []


def test_importing_the_module_brings_in_nothing_of_ours_but_the_package() -> None:
    code = (
        "import sys, mlflow.deployments; before = set(sys.modules); import speech_mlflow.mlflow_plugins.deployments; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (
        ["speech_mlflow", "speech_mlflow.mlflow_plugins", "speech_mlflow.mlflow_plugins.deployments"],
        ["speech_mlflow.mlflow_plugins", "speech_mlflow.mlflow_plugins.deployments"],
        ["speech_mlflow.mlflow_plugins.deployments"],
    )
