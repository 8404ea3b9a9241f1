"""The workers of the offline service: how many there are at once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from speech_mlflow.emulator.engine import Recognition, TrainingReport, TrainingRequest
from speech_mlflow.emulator.pool import RecognitionPool
from tests.emulator.test_crash import children


def test_no_more_models_are_trained_at_once_than_there_are_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_MLFLOW_DISABLED_PLUGINS", "")
    monkeypatch.setenv("SLOW_TRAINING", str(tmp_path / "hold"))
    (tmp_path / "hold").touch()
    others = set(children(os.getpid()))
    reports: list[TrainingReport] = []
    with RecognitionPool("tone", workers=1) as pool:

        def train(number: int) -> None:
            request = TrainingRequest("new", "en-US", sentences=["one"])
            reports.append(pool.train(request, tmp_path / str(number)))

        threads = [threading.Thread(target=train, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        most, deadline = 0, time.monotonic() + 60
        until = deadline
        while time.monotonic() < until:
            most = max(most, len(set(children(os.getpid())) - others))
            if most:
                until = min(until, time.monotonic() + 0.5)  # time in which the others would have begun
            time.sleep(0.01)
        (tmp_path / "hold").unlink()
        for thread in threads:
            thread.join(60)
    assert (most, len(reports)) == (1, 3)


def test_a_recording_does_not_wait_for_another_one_while_a_worker_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tone_engine import speak

    monkeypatch.setenv("SPEECH_MLFLOW_DISABLED_PLUGINS", "")
    monkeypatch.setenv("SLOW_RECOGNITION", str(tmp_path / "hold"))
    (tmp_path / "hold").touch()
    (tmp_path / "a.wav").write_bytes(speak("one"))
    others = set(children(os.getpid()))
    heard: list[str] = []
    with RecognitionPool("tone", workers=2) as pool:

        def transcribe() -> None:
            outcome = pool.transcribe("new", None, [("a", tmp_path / "a.wav")])["a"]
            assert isinstance(outcome, Recognition)
            heard.append(outcome.lexical)

        threads = [threading.Thread(target=transcribe) for _ in range(2)]
        deadline = time.monotonic() + 60
        for number, thread in enumerate(threads, start=1):
            thread.start()
            while len(set(children(os.getpid())) - others) < number:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        (tmp_path / "hold").unlink()
        for thread in threads:
            thread.join(60)
    assert heard == ["one", "one"]
