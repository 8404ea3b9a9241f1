"""What is at work, and going on with it: by the library, and from a terminal."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.emulator.faults import Fault
from speech_mlflow.emulator.options import StateProgress
from speech_mlflow.errors import NotFoundError, OperationFailedError, TrackingError
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import runs, tags
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import open_store
from tests.cli.contract import STATUS
from tests.cli.tools import answer, invoke, where
from tests.fixtures.emulator import RunningEmulator, StartEmulator
from tests.workflow.tools import Mlflow

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def environ(emulator: RunningEmulator, mlflow: Mlflow) -> dict[str, str]:
    return where(emulator.state_dir, mlflow.uri)


def models_named(speech: SpeechClient, name: str) -> list[str]:
    return [model.id for model in speech.models.list() if str(model.display_name).startswith(f"{name} [")]


def test_a_training_that_was_not_waited_for_is_shown_and_finished_from_a_terminal(
    speech: SpeechClient, text: Path, mlflow: Mlflow, environ: dict[str, str]
) -> None:
    assert invoke("status", **environ).stdout == "nothing is at work\n"
    begun = answer("train", str(text), "--name", "terminal", "--no-wait", **environ)
    assert begun["version"] is None
    (shown,) = answer("status", **environ)
    assert (shown["run_id"], shown["kind"], shown["entity_id"]) == (begun["run_id"], "train", begun["model_id"])
    assert shown["model_id"] == begun["model_id"]
    assert set(STATUS) <= set(shown)
    assert shown["service_status"] in {"NotStarted", "Running", "Succeeded"}
    assert shown["resumable"]
    assert shown["age_seconds"] >= 0
    assert shown["next"] == f"speech-mlflow wait {begun['run_id']}"
    line = next(line for line in invoke("status", **environ).stdout.splitlines() if line.strip().startswith("train"))
    assert shown["next"] in line

    (done,) = answer("wait", "terminal", **environ)
    assert (done["run_id"], done["model_id"], done["version"]) == (begun["run_id"], begun["model_id"], "1")
    assert answer("wait", begun["run_id"], begun["model_id"], **environ)[0]["version"] == "1"
    assert invoke("wait", "terminal", **environ).stdout == f"trained: terminal/1, MLflow run {begun['run_id']}\n"
    assert answer("status", **environ) == []
    assert [run.info.status for run in mlflow.runs()] == ["FINISHED"]
    assert models_named(speech, "terminal") == [begun["model_id"]], "trained once"


@pytest.mark.slow
def test_a_repeated_force_goes_on_with_the_training_it_began(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    """The same command, --force and all, run again after an interrupt trains nothing twice."""
    given = {"name": "forced", "data": [text], **mlflow.where}
    workflow.train(speech, **given)
    first = workflow.train(speech, force=True, wait=False, **given)
    second = workflow.train(speech, force=True, **given)
    assert (second.run_id, second.model.id) == (first.run_id, first.model.id)
    assert len(mlflow.runs("train")) == 2


def test_a_test_is_waited_for_and_scored_by_the_command_that_began_it(
    start_emulator: StartEmulator, testing: Corpus, mlflow: Mlflow, environ: dict[str, str]
) -> None:
    slow = start_emulator(progress=StateProgress("reads", 1))  # so that the test is not over before anybody looks
    environ = {**environ, "SPEECH_MLFLOW_ENDPOINT": slow.url, "SPEECH_MLFLOW_KEY": slow.key.get_secret_value()}
    speech = SpeechClient(slow.url, slow.key)
    command = ("test", str(testing.source), "--model", "base", "--name", "half", "--force")
    printed = invoke(*command, "--no-wait", **environ).stdout
    assert "run the same command again" in printed
    assert "WER" not in printed, "nothing was measured yet"
    (shown,) = answer("status", **environ)
    assert (shown["kind"], shown["name"]) == ("test", "half")
    (evaluated,) = answer("wait", "half", **environ)
    assert (evaluated["kind"], evaluated["done"], evaluated["service_status"]) == ("test", False, "Succeeded")
    evaluations = len(list(speech.evaluations.list()))
    scored = answer(*command, **environ)
    assert (scored["run_id"], scored["done"]) == (shown["run_id"], True)
    assert len(list(speech.evaluations.list())) == evaluations
    assert answer("status", **environ) == []
    assert answer("wait", shown["run_id"], **environ)[0]["done"]
    speech.close()


def test_an_open_promotion_is_shown_with_its_endpoint(speech: SpeechClient, mlflow: Mlflow) -> None:
    promotions = open_store(mlflow.uri, experiment="speech promotions")
    facts = {tags.RESOURCE: speech.resource, tags.REGISTERED_MODEL: "clinic", tags.ENDPOINT_ID: "e" * 8}
    begun = runs.begin(promotions, Work(tags.KIND_PROMOTION, "p", "clinic 1", facts))
    runs.begin(open_store(mlflow.uri, experiment="another"), Work(tags.KIND_TRAIN, "k", "of others", facts))
    runs.begin(promotions, Work(tags.KIND_PROMOTION, "q", "elsewhere", {**facts, tags.RESOURCE: "another resource"}))
    (shown,) = workflow.status(speech, **mlflow.where)
    assert (shown.run_id, shown.kind, shown.service_status) == (begun.id, "promotion", None)
    assert shown.next_step == "speech-mlflow apply clinic"


def test_what_cannot_be_waited_for_is_named_and_one_that_is_gone_does_not_hide_the_others(
    speech: SpeechClient, text: Path, mlflow: Mlflow
) -> None:
    with pytest.raises(TrackingError, match="nothing is at work for 'nobody'"):
        workflow.wait_all(speech, ["nobody"], **mlflow.where)
    with pytest.raises(TrackingError, match="no run 'ffff"):
        workflow.wait_all(speech, ["f" * 32], **mlflow.where)
    good = workflow.train(speech, name="terminal", data=[text], registered_model="terminal", wait=False, **mlflow.where)
    store = open_store(mlflow.uri, experiment="speech")
    facts = {tags.RESOURCE: speech.resource, tags.MODEL_ID: str(uuid.uuid4())}
    bad = runs.begin(store, Work(tags.KIND_TRAIN, "bad", "bad", facts))
    with pytest.raises(NotFoundError):
        workflow.wait_all(speech, [bad.id, good.run_id], **mlflow.where)
    statuses = {run.info.run_id: run.info.status for run in mlflow.runs()}
    assert statuses == {bad.id: "RUNNING", good.run_id: "FINISHED"}


def test_a_training_that_failed_is_said_each_time_and_never_registered(
    start_emulator: StartEmulator, text: Path, mlflow: Mlflow
) -> None:
    service = start_emulator()
    with SpeechClient(service.url, service.key, resource=service.resource) as speech:
        begun = workflow.train(speech, name="bad", data=[text], registered_model="bad", wait=False, **mlflow.where)
        record = {**begun.model.to_json(), "status": "Failed"}
        record["properties"] = {**record.get("properties", {}), "error": {"code": "PipelineError", "message": "it broke"}}
        assert service.faults is not None
        service.faults.add(
            Fault("body", "GET", f"/models/{begun.model.id}$", None, body=json.dumps(record).encode(), headers=JSON)
        )
        for reference in (begun.run_id, "bad"):  # the second time the run has failed already
            with pytest.raises(OperationFailedError, match="it broke"):
                workflow.wait_all(speech, [reference], **mlflow.where)
    assert [run.info.status for run in mlflow.runs()] == ["FAILED"]
    assert list(mlflow.client.search_registered_models()) == []
