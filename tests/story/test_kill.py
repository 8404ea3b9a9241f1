"""The demo, killed at each of its steps and started again; and real people's recordings on the same path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.story.conftest import counted, run
from tests.tools import require_env

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
STEPS = range(1, 8)
SERVICE_TOO = {3, 7}  # at these steps the service is killed as well


def kill_at(step: int, directory: Path) -> None:
    """Start the demo and kill -9 it as soon as it says that this step begins."""
    command = [sys.executable, "-u", "-m", "speech_mlflow", "demo", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"{step}/"):
                break
        else:
            pytest.fail(f"the demo ended with {process.wait()} before step {step}")
        process.kill()
    if step in SERVICE_TOO:
        status = json.loads(run("speech-mlflow", "emulator", "status", "--json", cwd=directory).stdout)
        os.kill(status["pid"], signal.SIGKILL)


def test_the_demo_killed_at_each_step_finishes_with_one_endpoint(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    try:
        for step in STEPS:
            kill_at(step, directory)
        done = json.loads(run("speech-mlflow", "demo", "--dir", str(directory), "--json", cwd=tmp_path).stdout)
        assert counted(directory) == {"data sets": 7, "endpoints": 1, "versions": 2}
        (endpoint,) = json.loads(run("speech-mlflow", "endpoints", "list", "--json", cwd=directory).stdout)
        assert done["endpoint"]["id"] in endpoint["self"]
        run("speech-mlflow", "plan", "--exit-code", cwd=directory)
    finally:
        run("speech-mlflow", "emulator", "stop", "--state-dir", str(directory / "speech"), cwd=tmp_path)


def test_published_recordings_of_people_go_the_whole_way(tmp_path: Path) -> None:
    """Microsoft's sample data for en-US: uploaded, trained, tested, deployed, recognised."""
    general = Path(require_env("SPEECH_MLFLOW_SAMPLE_DATA")) / "customspeech" / "en-US" / "general"
    training, testing = general / "training", str(general / "testing" / "audio-and-trans.zip")
    files = [training / name for name in ("audio-and-trans.zip", "related-text.txt", "pronunciation.txt")]
    try:
        train = run("speech-mlflow", "train", *map(str, files), "--name", "general", "--json", cwd=tmp_path)
        assert json.loads(train.stdout)["version"] == "1"
        tested = run("speech-mlflow", "test", testing, "--model", "base", "--model", "general/1", "--json", cwd=tmp_path)
        base, custom = (line["wer"] for line in json.loads(tested.stdout)["models"])
        assert custom < base
        refused = run("speech-mlflow", "promote", "general/1", cwd=tmp_path, code=4).stderr
        # the samples for training and for testing share a sentence
        assert "1 utterance of the test data audio-and-trans in the training data" in refused
        override = ("--override", "the samples share a sentence")
        (applied,) = json.loads(run("speech-mlflow", "promote", "general/1", *override, "--json", cwd=tmp_path).stdout)
        assert applied["result"] == "served"
    finally:
        run("speech-mlflow", "emulator", "stop", cwd=tmp_path)
