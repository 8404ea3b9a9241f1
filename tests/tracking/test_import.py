"""What ``import mlflow`` loads of ours, in an environment where the package is installed."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pytest

ALLOWED = {"speech_mlflow", "speech_mlflow.tracking", "speech_mlflow.tracking.sources"}
INSTALLED = any("speech_mlflow" in entry.value for entry in importlib.metadata.entry_points(group="mlflow.dataset_source"))

pytestmark = pytest.mark.skipif(not INSTALLED, reason="the package is not installed, so that MLflow does not know it")

PROGRAM = """
import json, sys
import mlflow, mlflow.data
from mlflow.entities import Dataset
from mlflow.data.dataset_source_registry import get_registered_sources
ours = [name for name in sys.modules if name.split(".")[0] == "speech_mlflow"]
source = mlflow.data.get_source(Dataset("d", "1", "speech_dataset", json.dumps(
    {"resource": "r", "dataset_id": "i", "locale": "en-US", "kind": "Acoustic"})))
print(json.dumps({"ours": ours, "source": type(source).__name__,
                  "known": [one.__name__ for one in get_registered_sources()]}))
"""


def test_mlflow_loads_our_sources_and_nothing_else_of_ours() -> None:
    command = [sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    said = json.loads(ran.stdout.splitlines()[-1])
    assert set(said["ours"]) == ALLOWED
    assert said["source"] == "SpeechDatasetSource"
    assert {"SpeechCorpusSource", "SpeechUrlSource", "SpeechDatasetSource"} <= set(said["known"])
