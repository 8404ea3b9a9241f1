"""Running the command line, inside the test's process or in a terminal: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
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


def in_terminal(*arguments: str, cwd: Path, **environ: str) -> str:
    """What ``speech-mlflow`` writes to a terminal."""
    return on_terminal([sys.executable, "-m", "speech_mlflow", *arguments], cwd=cwd, **environ)


def on_terminal(command: list[str], *, cwd: Path, **environ: str) -> str:
    """What a program writes to a terminal."""
    parent, child = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    variables |= {"TERM": "xterm-256color", "COLUMNS": "200", **environ}
    with subprocess.Popen(command, stdin=child, stdout=child, stderr=child, cwd=cwd, env=variables) as process:
        os.close(child)
        written = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:  # how Linux says that the other end was closed
                break
            if not piece:
                break
            written += piece
        process.wait(60)
    os.close(parent)
    return written.decode()
