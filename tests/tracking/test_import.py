"""What ``import mlflow`` loads of ours, in an environment where the package is installed: as good as nothing, and it never fails."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.entry_points import modules, with_packages

NAMES = sorted(modules())

pytestmark = pytest.mark.skipif(not NAMES, reason="the package is not installed, so that MLflow does not know it")

PROGRAM = """
import json, sys

class Blocked:
    "Everything of ours beyond what is allowed is broken, as an update that went wrong might leave it."
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "speech_mlflow" and name not in ALLOWED:
            raise RuntimeError(f"{name} was imported")

ALLOWED = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Blocked())
import mlflow, mlflow.data
from mlflow.entities import Dataset
from mlflow.data.dataset_source_registry import get_registered_sources
ours = [name for name in sys.modules if name.split(".")[0] == "speech_mlflow"]
source = mlflow.data.get_source(Dataset("d", "1", "speech_dataset", json.dumps(
    {"resource": "r", "dataset_id": "i", "locale": "en-US", "kind": "Acoustic"})))
print(json.dumps({"ours": ours, "source": type(source).__name__,
                  "known": [one.__name__ for one in get_registered_sources()]}))
"""


def test_mlflow_loads_our_sources_and_nothing_else_of_ours_whatever_is_broken(tmp_path: Path) -> None:
    allowed = with_packages(set(NAMES))
    (tmp_path / "speech-mlflow.toml").write_text("this is = no = toml")
    environ = {
        **os.environ,
        "SPEECH_MLFLOW_ENDPOINT": "::",
        "SPEECH_MLFLOW_NONSENSE": "1",
        "SPEECH_MLFLOW_DISABLED_PLUGINS": "",
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(sorted(allowed))]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200, cwd=tmp_path, env=environ)
    said = json.loads(ran.stdout.splitlines()[-1])
    assert set(said["ours"]) == allowed
    assert said["source"] == "SpeechDatasetSource"
    assert {"SpeechCorpusSource", "SpeechUrlSource", "SpeechDatasetSource"} <= set(said["known"])
    assert "speech_mlflow" not in ran.stderr, "no warning either"


@pytest.mark.parametrize("name", sorted(with_packages(set(NAMES))))
def test_what_mlflow_loads_stands_on_the_standard_library_and_mlflows_base_class(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    imported = {
        found
        for statement in tree.body
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        for found in (
            [statement.module or ""] if isinstance(statement, ast.ImportFrom) else [one.name for one in statement.names]
        )
    }
    foreign = {one for one in imported if one.split(".")[0] not in sys.stdlib_module_names}
    assert foreign <= {"mlflow.data.dataset_source"}
