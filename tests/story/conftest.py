"""The demo, run once as a user runs it; every test here looks at the world that it left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Demo:
    """The directory of a finished demo and what its two runs printed as JSON."""

    directory: Path
    first: dict[str, Any]
    second: dict[str, Any]
    before: dict[str, int]

    def run(self, *command: str, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the demo's directory."""
        return run(*command, cwd=self.directory, code=code, **environ)


def run(*command: str, cwd: Path, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment and check its exit code."""
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "PATH": here, "COLUMNS": "200", **environ}
    done = subprocess.run(list(command), cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def counted(directory: Path) -> dict[str, int]:
    """How many things the service and MLflow hold."""
    kinds = {"data sets": ("data", "list"), "endpoints": ("endpoints", "list"), "versions": ("models", "list")}
    listed = {kind: run("speech-mlflow", *words, "--json", cwd=directory).stdout for kind, words in kinds.items()}
    return {kind: len(json.loads(text)) for kind, text in listed.items()}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo after two runs in the same directory."""
    directory = tmp_path_factory.mktemp("story") / "speech-mlflow-demo"
    command = ("speech-mlflow", "demo", "--dir", str(directory), "--json")
    try:
        first = json.loads(run(*command, cwd=directory.parent).stdout)
        before = counted(directory)
        second = json.loads(run(*command, cwd=directory.parent).stdout)
        yield Demo(directory, first, second, before)
    finally:
        run("speech-mlflow", "emulator", "stop", "--state-dir", str(directory / "speech"), cwd=directory.parent)
        shutil.rmtree(directory / "speech", ignore_errors=True)
