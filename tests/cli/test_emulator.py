"""``speech-mlflow emulator`` in the foreground: where it keeps its state, and what it prints."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import run


@pytest.mark.parametrize("arguments", [[], ["--dir", "other"], ["--state-dir", "other"]])
def test_it_keeps_its_state_where_every_other_command_looks_for_it(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "speech-mlflow.toml").write_text('state_dir = "state"\n')
    directory = tmp_path / ("other" if arguments else "state")
    command = [sys.executable, "-m", "speech_mlflow", "emulator", *arguments, "--json", "--debug"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            document = json.loads("".join([*iter(process.stdout.readline, "}\n"), "}"]))
            assert document["state"] == str(directory)
            found = json.loads(run("emulator", *arguments, "status", "--json", cwd=tmp_path).stdout)
            assert (found["url"], found["state"]) == (document["endpoint"], str(directory))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert process.returncode == 0


def test_a_port_that_cannot_be_is_a_usage_error(tmp_path: Path) -> None:
    assert "--port" in run("emulator", "--port", "99999", cwd=tmp_path, code=2).stderr
