"""``speech-mlflow watch --listen``, as an operator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow import MlflowStore

SECRET = "a secret of the operator"


def watch(store: MlflowStore, emulator: RunningEmulator, directory: Path, *options: str, **more: str) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store.uri,
        "SPEECH_MLFLOW_ENDPOINT": emulator.url,
        "SPEECH_MLFLOW_KEY": emulator.key.get_secret_value(),
        **more,
    }
    command = [sys.executable, "-m", "speech_mlflow", "watch", *options]
    return subprocess.Popen(
        command, cwd=directory, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_without_a_secret_it_says_how_to_make_one(mlflow_store: MlflowStore, emulator: RunningEmulator, tmp_path: Path) -> None:
    process = watch(mlflow_store, emulator, tmp_path, "--listen", "127.0.0.1:0")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert "the receiver needs a secret" in err
    assert "SPEECH_MLFLOW_RECEIVER_SECRET" in err


@pytest.mark.slow
def test_it_tells_where_it_listens_and_how_it_does_until_it_is_ended(
    mlflow_store: MlflowStore, emulator: RunningEmulator, tmp_path: Path
) -> None:
    process = watch(mlflow_store, emulator, tmp_path, "--json", "--listen", "127.0.0.1:0", SPEECH_MLFLOW_RECEIVER_SECRET=SECRET)
    try:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        assert process.stdout is not None
        assert '"idle"' in process.stdout.readline()  # by then both ends were reached
        assert httpx.get(f"{url}/readyz", trust_env=False).json() == {"status": "ok", "problems": []}
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        assert "speech_mlflow_passes_total" in httpx.get(f"{url}/metrics", trust_env=False).text
        assert httpx.post(f"{url}/mlflow", content=b"{}", trust_env=False).status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert SECRET not in out + err
