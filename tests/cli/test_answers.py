"""What serves now, and what changed between two versions: by the commands that say so."""

from __future__ import annotations

import time
from pathlib import Path

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.service import SpeechClient
from tests.cli.tools import answer, invoke, where
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.conftest import mlflow, speech, testing, text
from tests.workflow.tools import Mlflow

__all__ = ["mlflow", "speech", "testing", "text"]


def test_endpoints_show_the_version_that_the_service_says_it_serves(
    speech: SpeechClient, text: Path, mlflow: Mlflow, emulator: RunningEmulator
) -> None:
    environ = where(emulator.state_dir, mlflow.uri)
    trained = workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **mlflow.where)
    made = speech.wait(speech.endpoints.create(display_name="by hand", locale="en-US", model=trained.model))
    try:
        (listed,) = [one for one in answer("endpoints", "list", **environ) if one["displayName"] == "by hand"]
        assert listed["serves"] == ["clinic/1"]
        assert answer("endpoints", "show", made.id, **environ)["serves"] == ["clinic/1"]
        shown = next(line for line in invoke("endpoints", "list", **environ).stdout.splitlines() if "by hand" in line)
        assert "clinic/1" in shown.split()
        speech.wait(speech.endpoints.update(made, model=str(trained.model.base_model and trained.model.base_model.self_)))
        assert answer("endpoints", "show", made.id, **environ)["serves"] == [], "a base model is no version"
    finally:
        while not speech.endpoints.get(made).done:
            time.sleep(0.1)
        speech.endpoints.delete(made)


def test_what_changed_between_versions_is_one_command(
    speech: SpeechClient, text: Path, mlflow: Mlflow, emulator: RunningEmulator, testing: Corpus
) -> None:
    environ = where(emulator.state_dir, mlflow.uri)
    for weight in (90, 91):
        workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=weight, **mlflow.where)
    changed = answer("models", "diff", "clinic/1", "clinic/2", **environ)
    assert (changed["data_added"], changed["data_removed"]) == ([], [])
    assert changed["changed"] == {"weight_percent": ["90", "91"], "used_weight_percent": ["90", "91"]}
    assert "weight_percent: 90 to 91" in invoke("models", "diff", "clinic/1", "clinic/2", **environ).stdout
    assert invoke("models", "diff", "clinic/1", "clinic/1", **environ).stdout.endswith("no difference\n")
