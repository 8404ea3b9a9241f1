"""The guide to Azure: its commands and settings are those that there are."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from speech_mlflow.cli.main import COMMANDS
from speech_mlflow.settings import Settings

GUIDE = (Path(__file__).parents[2] / "examples" / "azure" / "README.md").read_text("utf-8")
SCRIPTS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
LINES = [line for script in SCRIPTS for line in re.sub(r"\\\n\s*", "", script).splitlines()]
OURS = [line for line in LINES if line.startswith("speech-mlflow ")]


def test_the_guide_has_commands_of_ours() -> None:
    assert len(OURS) >= 7


@pytest.mark.parametrize("line", OURS)
def test_each_command_parses(line: str) -> None:
    _, name, *arguments = shlex.split(re.sub(r"\$\(.*\)", "https://a.blob.core.windows.net/speech/train.zip?sig=x", line))
    module, _ = COMMANDS[name]
    command: click.Command = getattr(importlib.import_module(f"speech_mlflow.cli.{module}"), name)
    if isinstance(command, click.Group):
        command = command.commands[arguments.pop(0)]
    parsed = [one for one in arguments if one != "testing/"]
    if len(parsed) < len(arguments):  # a path of the reader's
        parsed.insert(0, str(Path(__file__).parent))
    command.make_context(name, parsed)


def test_each_variable_of_ours_is_a_setting() -> None:
    named = {name.lower() for line in LINES for name in re.findall(r"SPEECH_MLFLOW_(\w+)", line)}
    assert named == {"endpoint", "recognition_host", "tenant", "key"}
    assert named <= set(Settings.model_fields)
