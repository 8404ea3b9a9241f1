"""Runs one can trust: what did the work, where, on how much data, at which cost; and no secret among it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow.entities import Run

import speech_mlflow
from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import tags
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import Mlflow


@pytest.fixture
def trained_and_tested(speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow) -> dict[str, Run]:
    """A finished train run, a train run with recordings that is still at work, and a test run."""
    given = {"weight_percent": 90, "registered_model": "clinic", **mlflow.where}
    trained = workflow.train(speech, name="first", data=[text], **given)
    spoken = workflow.train(speech, name="spoken", data=[text, testing], wait=False, **mlflow.where)
    tested = workflow.test(speech, data=testing, models=["base", trained.model], **mlflow.where)
    ids = {"trained": trained.run_id, "spoken": spoken.run_id, "tested": tested.run_id}
    return {name: mlflow.client.get_run(run_id) for name, run_id in ids.items()}


def test_runs_say_which_code_did_the_work_where_and_on_how_much(
    trained_and_tested: dict[str, Run], speech: SpeechClient, testing: Corpus
) -> None:
    for run in trained_and_tested.values():
        facts = run.data.tags
        assert facts[tags.VERSION] == speech_mlflow.__version__
        assert facts[tags.RESOURCE] == speech.resource
        assert facts[tags.API_VERSION] == "2025-10-15"
        assert facts[tags.PYTHON].count(".") == 2
        assert {"mlflow", "numpy", "rapidfuzz", "jiwer", "pocketsphinx"} <= set(json.loads(facts[tags.PACKAGES]))
        assert facts["mlflow.user"]
        assert facts["mlflow.source.name"]
    trained, spoken, tested = (trained_and_tested[name].data for name in ("trained", "spoken", "tested"))
    hours = testing.profile()["hours"]
    assert hours > 0
    assert trained.metrics["data.hours"] == 0, "of recordings: it has none"
    assert spoken.metrics["data.hours"] == tested.metrics["data.hours"] == pytest.approx(hours)
    assert trained.metrics["training.seconds"] > 0
    assert trained.params["charge_for_adaptation"] in {"True", "False"}


def test_no_secret_and_no_address_is_in_a_run(
    trained_and_tested: dict[str, Run], emulator: RunningEmulator, mlflow: Mlflow
) -> None:
    secrets = [emulator.key.get_secret_value(), emulator.url]
    database = mlflow.uri.removeprefix("sqlite:///")
    files = [path for path in Path(database).parent.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in content] == [], path
    assert set(trained_and_tested) == {"trained", "spoken", "tested"}
