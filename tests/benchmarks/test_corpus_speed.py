"""Speed of reading a corpus, measured against sha256sum on the same files; runs with the benchmarks."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from speech_mlflow.corpus import read_corpus
from tests.corpus.make import wav
from tests.tools import require_tool


@pytest.mark.bench
def test_a_fingerprint_is_as_fast_as_sha256sum(tmp_path: Path) -> None:
    program = require_tool("sha256sum")
    noise = random.Random(0).randbytes(32 << 20)
    for number in range(16):
        (tmp_path / f"{number}.wav").write_bytes(wav(0, declared=len(noise)) + noise)
    files = sorted(str(file) for file in tmp_path.iterdir())

    def ours() -> None:
        read_corpus(tmp_path, locale="en-US")

    def theirs() -> None:
        subprocess.run([program, *files], check=True, stdout=subprocess.DEVNULL)

    best = {run: min(seconds(run) for _ in range(3)) for run in (theirs, ours)}
    print(f"sha256sum {best[theirs]:.2f} s, corpus {best[ours]:.2f} s for 512 MiB")
    assert best[ours] <= best[theirs] / 0.8


def seconds(run: object) -> float:
    assert callable(run)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
