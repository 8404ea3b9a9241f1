"""One detached service for each state directory: found, shared, replaced, gone when idle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from speech_mlflow.emulator import process
from speech_mlflow.emulator.address import ADDRESS, KEY, is_locked
from speech_mlflow.errors import EmulatorError
from tests.waiting import until


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    if path.exists():
        process.stop(path)


def test_it_is_started_once_found_by_all_and_keeps_key_and_identity(directory: Path) -> None:
    assert process.find(directory) is None
    first = process.ensure_running(directory)
    assert process.ensure_running(directory) == first == process.find(directory)
    assert first.pid != os.getpid()
    headers = {"Ocp-Apim-Subscription-Key": first.key.get_secret_value()}
    assert httpx.get(f"{first.url}/health", headers=headers).json()["resource"] == first.resource
    assert httpx.get(f"{first.url}/health").status_code == 401

    for name in (ADDRESS, KEY):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert first.key.get_secret_value() not in (directory / process.LOG).read_text()
    assert first.key.get_secret_value() not in Path(f"/proc/{first.pid}/cmdline").read_text()

    assert process.stop(directory) is True
    assert process.stop(directory) is False
    assert not (directory / ADDRESS).exists()
    second = process.ensure_running(directory)
    assert second.pid != first.pid
    assert (second.key, second.resource, second.resource_id) == (first.key, first.resource, first.resource_id)


def test_four_processes_at_once_share_one_service(directory: Path) -> None:
    code = (
        "import sys; from speech_mlflow.emulator.process import ensure_running\n"
        "address = ensure_running(sys.argv[1]); print(address.pid, address.url)"
    )
    command = [sys.executable, "-c", code, str(directory)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {caller.communicate(timeout=120)[0] for caller in callers}
    assert [caller.returncode for caller in callers] == [0, 0, 0, 0]
    assert len(answers) == 1
    found = process.find(directory)
    assert found is not None
    assert answers == {f"{found.pid} {found.url}\n"}


def test_a_killed_service_leaves_a_stale_address_and_is_replaced(directory: Path) -> None:
    first = process.ensure_running(directory)
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not is_locked(directory))
    assert (directory / ADDRESS).exists()
    assert process.find(directory) is None
    second = process.ensure_running(directory)
    assert second.pid != first.pid
    assert second.resource == first.resource


def test_it_ends_when_idle(directory: Path) -> None:
    process.ensure_running(directory, idle_seconds=0.5)
    until(lambda: not is_locked(directory))
    assert not (directory / ADDRESS).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "replaced"), [({"version": "0.0.1"}, True), ({"build": "x"}, True), ({"version": "99.0"}, False)]
)
def test_an_older_service_is_replaced_and_a_newer_one_is_used(directory: Path, change: dict[str, str], replaced: bool) -> None:
    first = process.ensure_running(directory)
    path = directory / ADDRESS
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    second = process.ensure_running(directory)
    assert (second.pid != first.pid) is replaced


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmulatorError, match="state directory"):
        process.ensure_running(tmp_path / "file")


def test_a_service_that_cannot_start_says_why(directory: Path) -> None:
    directory.mkdir()
    (directory / "service.db").write_text("this is no database, and it is long enough to have a header that is wrong " * 20)
    with pytest.raises(EmulatorError, match=r"not a database.*begin anew") as caught:
        process.ensure_running(directory)
    assert str(directory / process.LOG) in str(caught.value.hint)


def test_the_environment_of_the_service_has_no_secrets(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_MLFLOW_KEY", "canary-4711")
    address = process.ensure_running(directory)
    assert b"canary-4711" not in Path(f"/proc/{address.pid}/environ").read_bytes()


def test_starting_imports_nothing_heavy(directory: Path) -> None:
    code = (
        "import sys; sys.argv = ['x']; import speech_mlflow.emulator.server, speech_mlflow.emulator.pool\n"
        "from speech_mlflow.emulator.engine import engines; engines()\n"
        "print([m for m in ('mlflow', 'pandas', 'scipy', 'matplotlib', 'pocketsphinx', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_state_of_another_version_is_not_touched(directory: Path) -> None:
    directory.mkdir()
    with contextlib.closing(sqlite3.connect(directory / "service.db")) as database:
        database.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        database.execute("INSERT INTO meta VALUES ('schema', '0')")
        database.commit()
    with pytest.raises(EmulatorError, match=r"service\.db cannot be used: .*another version.*begin anew"):
        process.ensure_running(directory)
