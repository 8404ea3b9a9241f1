"""How long the command line takes to start, against what it stands on."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

PEER = (sys.executable, "-c", "import click")
HELP = (sys.executable, "-c", "from speech_mlflow.cli import main; import sys; sys.argv = ['speech-mlflow', '--help']; main()")
ROUNDS = 25


def cpu_seconds(*command: str) -> float:
    """Processor time of a process: what else the machine does hardly counts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.bench
def test_help_starts_within_one_and_a_half_times_import_click() -> None:
    rounds = [(cpu_seconds(*PEER), cpu_seconds(*HELP)) for _ in range(ROUNDS)]
    peer, ours = (min(times) for times in zip(*rounds, strict=True))
    print(f"import click {1000 * peer:.0f} ms, speech-mlflow --help {1000 * ours:.0f} ms, ratio {ours / peer:.2f}")
    assert ours / peer <= 1.5
