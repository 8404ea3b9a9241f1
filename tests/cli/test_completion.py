"""The completion scripts in the shells themselves, typed as a person types: with the file that ``--help`` says to make."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import run
from tests.tools import require_tool

ROOT = Path(__file__).parents[2]
SECONDS = 120


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with ``speech-mlflow`` on its PATH, a file to complete and, beside it, no settings."""
    program = tmp_path / "bin" / "speech-mlflow"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m speech_mlflow "$@"\n')
    program.chmod(0o755)
    (tmp_path / "recordings").mkdir()
    return tmp_path


def environ(home: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ZDOTDIR", "fish_"))}
    more = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    return {**inherited, **more}


class Typed:
    """A shell that thinks it is in a terminal."""

    def __init__(self, terminal: int) -> None:
        self.terminal = terminal
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern is shown after what was waited for before."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < end, f"{pattern!r} is not shown, but {self.shown!r}"
            if select.select([self.terminal], [], [], 1)[0]:
                self.shown += os.read(self.terminal, 65536).decode(errors="replace")
        self.shown = self.shown[found.end() :]


@contextlib.contextmanager
def typing(command: list[str], home: Path) -> Iterator[Typed]:
    parent, child = pty.openpty()
    with subprocess.Popen(command, stdin=child, stdout=child, stderr=child, cwd=home, env=environ(home)) as process:
        os.close(child)
        try:
            yield Typed(parent)
        finally:
            process.kill()
            os.close(parent)


@pytest.mark.slow
def test_zsh_completes_commands_options_values_and_paths(home: Path) -> None:
    zsh = require_tool("zsh")
    (home / ".zshrc").write_text(run("completion", "zsh", cwd=home).stdout)
    with typing([zsh, "-i"], home) as shell:
        shell.type("PS1=''; bindkey -e; echo rea''dy\n")
        shell.wait_for("ready")
        for typed, completed in (
            ("speech-mlflow promo\t", "speech-mlflow promote "),
            ("speech-mlflow models lis\t", "speech-mlflow models list "),
            ("speech-mlflow train --wei\t", "speech-mlflow train --weight "),
            ("speech-mlflow run --until ga\t", "speech-mlflow run --until gates "),
            ("speech-mlflow data check reco\t", "speech-mlflow data check recordings/"),
        ):
            shell.type(typed)
            shell.wait_for(re.escape(completed).replace("\\ ", r"\s+"))
            shell.type("\x15")
        shell.type("speech-mlflow evaluations \t")
        shell.wait_for(r"list\s+-- List evaluations with their WER\.")


@pytest.mark.slow
def test_fish_completes_commands_options_values_and_paths(home: Path) -> None:
    fish = require_tool("fish")
    file = home / ".config" / "fish" / "completions" / "speech-mlflow.fish"
    file.parent.mkdir(parents=True)
    file.write_text(run("completion", "fish", cwd=home).stdout)

    def ask(line: str) -> list[str]:
        command = [fish, "-c", f"complete -C '{line}'"]
        done = subprocess.run(command, cwd=home, env=environ(home), capture_output=True, text=True, check=True, timeout=SECONDS)
        return done.stdout.splitlines()

    assert [one.partition("\t")[0] for one in ask("speech-mlflow promo")] == ["promote"]
    assert ask("speech-mlflow evaluations l") == ["list\tList evaluations with their WER."]
    assert [one.partition("\t")[0] for one in ask("speech-mlflow train --wei")] == ["--weight"]
    assert ask("speech-mlflow run --until ga") == ["gates"]
    assert ask("speech-mlflow data check ./reco") == ["./recordings/"]
