"""Speed of the worker pool against PocketSphinx processes that know nothing of each other."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from speech_mlflow.emulator.pool import RecognitionPool
from tests.emulator.engine.material import NEWER, transcripts

pytestmark = pytest.mark.bench
AT_LEAST = 0.9
PEER = """
import sys, time
from pathlib import Path
from speech_mlflow.emulator.audio import to_pcm16k
from speech_mlflow.emulator.sphinx.engine import SphinxEngine
recognizer = SphinxEngine().load(sys.argv[1], None)
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[2:]:
    recognizer.transcribe(to_pcm16k(Path(name).read_bytes()))
"""


def two_processes(files: list[Path]) -> float:
    """Seconds that two processes take, each with a half of the recordings and its model loaded before."""
    halves = files[0::2], files[1::2]
    command = [sys.executable, "-c", PEER, NEWER]
    peers = [
        subprocess.Popen([*command, *map(str, half)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for half in halves
    ]
    for peer in peers:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "ready\n"
    begun = time.perf_counter()
    for peer in peers:
        peer.communicate("go\n")
    return time.perf_counter() - begun


def test_the_pool_is_as_fast_as_two_processes(benchmark: pytest.FixtureRequest) -> None:
    files = [path for path, _ in transcripts("testing")]
    with RecognitionPool(workers=2) as pool:
        pool.transcribe(NEWER, None, [(path.name, path) for path in files[:4]])  # loads the model in both workers
        peer = min(two_processes(files) for _ in range(2))
        run = benchmark.pedantic  # type: ignore[attr-defined]
        run(lambda: pool.transcribe(NEWER, None, [(path.name, path) for path in files]), rounds=2)
    ours = benchmark.stats.stats.min  # type: ignore[attr-defined]
    benchmark.extra_info["ratio"] = peer / ours  # type: ignore[attr-defined]
    assert peer / ours >= AT_LEAST
