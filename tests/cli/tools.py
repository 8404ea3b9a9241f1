"""Running the command line inside the test's process: what it prints, and with which code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from speech_mlflow.cli.main import cli


def invoke(*arguments: str, code: int = 0, **environ: str) -> Result:
    """Run ``speech-mlflow``; an error of ours comes out as it was raised."""
    done = CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "200", **environ}, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def answer(*arguments: str, code: int = 0, **environ: str) -> Any:
    """The JSON document that a command prints under ``--json``: one, and nothing else."""
    return json.loads(invoke(*arguments, "--json", code=code, **environ).stdout)


def where(state_dir: Path, uri: str) -> dict[str, str]:
    """The environment variables that name the service and MLflow."""
    return {
        "SPEECH_MLFLOW_STATE_DIR": str(state_dir),
        "SPEECH_MLFLOW_TRACKING_URI": uri,
        "SPEECH_MLFLOW_EXPERIMENT": "speech",
    }
