"""A process that trains is killed at any moment; the same call made again finishes, with one run and one model."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.service import SpeechClient
from speech_mlflow.workflow import TrainResult
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import EXPERIMENT, Mlflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROGRAM = """
import sys
from pathlib import Path
from speech_mlflow import workflow
from speech_mlflow.connection import connect
from speech_mlflow.settings import Settings
state, uri, text, weight = sys.argv[1:]
with connect(Settings(state_dir=Path(state))) as speech:
    print("begin", flush=True)
    workflow.train(speech, name="killed", data=[text], registered_model="killed", weight_percent=int(weight),
                   tracking_uri=uri, experiment="speech")
"""
ROUNDS = 4


def start(emulator: RunningEmulator, mlflow: Mlflow, text: Path, weight: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(emulator.state_dir), mlflow.uri, str(text), str(weight)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begin\n"
    return process


def finish(speech: SpeechClient, mlflow: Mlflow, text: Path, weight: int) -> TrainResult:
    given = {"registered_model": "killed", "weight_percent": weight}
    return workflow.train(speech, name="killed", data=[text], **given, **mlflow.where)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_any_moment(seed: int, emulator: RunningEmulator, speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    weight = 20 + seed
    # short delays hit the making of the run and the uploads, longer ones the wait and the end
    delay = random.Random(seed).uniform(0, 4 * (seed + 1))
    process = start(emulator, mlflow, text, weight)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = finish(speech, mlflow, text, weight)
    assert done.version == "1"
    kept = mlflow.runs("train")
    assert [(run.info.run_id, run.info.status) for run in kept] == [(done.run_id, "FINISHED")]
    assert [model.model_id for model in mlflow.models()] == [done.logged_model_id]
    of_this = [model for model in speech.models.list() if model.display_name == done.model.display_name]
    assert [model.id for model in of_this] == [done.model.id]
    assert len(mlflow.client.search_model_versions("name = 'killed'")) == 1
    assert mlflow.client.get_experiment_by_name(EXPERIMENT) is not None


def test_two_at_once_train_once(emulator: RunningEmulator, speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    processes = [start(emulator, mlflow, text, 55) for _ in range(2)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert [run.info.status for run in mlflow.runs("train")] == ["FINISHED"]
    (version,) = mlflow.client.search_model_versions("name = 'killed'")
    done = finish(speech, mlflow, text, 55)
    assert (done.version, done.reused) == (str(version.version), True)
    assert len([model for model in speech.models.list() if model.display_name == done.model.display_name]) == 1
