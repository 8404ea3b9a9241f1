"""Upload of 1 GB to the offline service, against one plain httpx stream of the same bytes to the plainest server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from speech_mlflow.errors import OperationFailedError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import Dataset
from speech_mlflow.service.upload import put_blocks
from tests.fixtures.emulator import RunningEmulator

GB = 2**30
ROUNDS = 3
SHARE = 0.8  # of the plain stream's speed
MEMORY = 100 * 2**20  # bytes above the baseline
CHUNK = 2**16  # what httpx itself reads from a file at a time

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

MEMORY_PROGRAM = """
import resource, sys
from pathlib import Path
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.upload import put_blocks
with SpeechClient(sys.argv[1], sys.stdin.read()) as speech:
    dataset = speech.datasets.create(kind="Acoustic", display_name="memory", locale="en-US")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    put_blocks(speech, dataset, Path(sys.argv[2]), {})
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """1 GB in which no two blocks are alike."""
    path = tmp_path_factory.mktemp("upload") / "big.txt"
    noise = os.urandom(2**20)
    with path.open("wb") as out:
        for number in range(GB // len(noise)):
            out.write(number.to_bytes(8, "big") + noise[8:])
    yield path
    path.unlink()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    stored = tmp_path / "stored"
    command = [sys.executable, "-m", "tests.benchmarks.sink", str(port), str(stored)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 30
        while not listening(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()
        stored.unlink(missing_ok=True)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def plain_stream(url: str, path: Path) -> float:
    """Seconds for one PUT of the whole file."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    headers = {"Content-Length": str(path.stat().st_size)}
    with httpx.Client(timeout=600) as client:
        started = time.perf_counter()
        assert client.put(url, content=chunks(), headers=headers).status_code == 201
        return time.perf_counter() - started


def refused(speech: SpeechClient, made: list[Dataset]) -> None:
    """Wait until the service has looked at what was uploaded, which is noise, and take it away."""
    while made:
        dataset = made.pop()
        with pytest.raises(OperationFailedError):
            speech.wait(dataset)
        speech.datasets.delete(dataset)


def test_upload(benchmark: Any, emulator: RunningEmulator, sink: str, big_file: Path) -> None:
    plain = [plain_stream(sink, big_file) for _ in range(ROUNDS)]
    with SpeechClient(emulator.url, emulator.key, resource=emulator.resource) as speech:
        made: list[Dataset] = []

        def a_data_set() -> tuple[tuple[Any, ...], dict[str, Any]]:
            refused(speech, made)
            made.append(speech.datasets.create(kind="Acoustic", display_name=f"bench {uuid.uuid4()}", locale="en-US"))
            return (speech, made[-1], big_file, {}), {}

        benchmark.pedantic(put_blocks, setup=a_data_set, rounds=ROUNDS)
        refused(speech, made)
    ours = benchmark.stats.stats.min
    share = min(plain) / ours
    benchmark.extra_info.update(plain_seconds=min(plain), share=round(share, 2), mb_per_second=round(GB / 1e6 / ours))
    assert share >= SHARE, f"{GB / 1e6 / ours:.0f} MB/s is {share:.2f} of the plain stream's {GB / 1e6 / min(plain):.0f} MB/s"


def test_memory(emulator: RunningEmulator, big_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, emulator.url, str(big_file)],
        input=emulator.key.get_secret_value(),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(done.stdout) <= MEMORY
