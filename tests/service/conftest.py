"""A scripted server, a clock that jumps where others sleep, and a client that uses both."""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from speech_mlflow.service import KeyCredential, SpeechClient, Timing
from tests.service.scripted import ScriptedServer, scripted_server

KEY = "canary-key-8d1f0c"
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


class JumpingClock:
    """Time passes only by sleeping. ``slept`` holds every sleep, in seconds."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.dice = 1.0

    def timing(self) -> Timing:
        return Timing(sleep=self.sleep, monotonic=self.monotonic, now=self.now, random=lambda: self.dice)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return sum(self.slept)

    def now(self) -> datetime:
        return START + timedelta(seconds=sum(self.slept))


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def speech(server: ScriptedServer, clock: JumpingClock) -> Iterator[SpeechClient]:
    with SpeechClient(server.url, KeyCredential(KEY), timing=clock.timing()) as client:
        yield client


@pytest.fixture
def wav() -> bytes:
    """Half a second of a 440 Hz tone, 16 kHz mono."""
    return tone(0.5)


def tone(seconds: float, rate: int = 16_000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        samples = (round(8000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(round(seconds * rate)))
        writer.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return out.getvalue()
