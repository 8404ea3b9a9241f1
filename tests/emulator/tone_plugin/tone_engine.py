"""A small but real recogniser for tests of the service around it: a word is a tone whose pitch follows from its spelling.

It hears a recording by finding the pitch of each tone, and knows only the words of its vocabulary: those of the base model
and those it was trained on. An unknown tone is heard as "uh". So error rates fall when a model learns the words, in
milliseconds.
``deaf`` is the same engine without ears.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import time
import wave
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from speech_mlflow.emulator.engine import (
    SAMPLE_RATE,
    BaseModelSpec,
    Hypothesis,
    Recognition,
    TrainingReport,
    TrainingRequest,
    Word,
)
from speech_mlflow.hookspecs import hookimpl

KNOWN = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("the", "and", "please", "call", "stop", "go", "open", "close"),
)
TONE_SECONDS, GAP_SECONDS = 0.1, 0.05
STEP_HZ, LOWEST_HZ, PITCHES = 10, 400, 650
KINDS = ("Acoustic", "Language", "LanguageMarkdown", "Pronunciation", "OutputFormatting")


def pitch(word: str) -> int:
    """The pitch of a word in Hz."""
    return LOWEST_HZ + STEP_HZ * (zlib.crc32(word.encode()) % PITCHES)


def speak(text: str, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file in which ``text`` is said."""
    gap = np.zeros(round(GAP_SECONDS * rate))
    parts = [gap]
    for word in text.lower().split():
        time_ = np.arange(round(TONE_SECONDS * rate)) / rate
        parts += [8000 * np.sin(2 * np.pi * pitch(word) * time_), gap]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.concatenate(parts).astype("<i2").tobytes())
    return out.getvalue()


class ToneRecognizer:
    """Hears tones."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = {pitch(word): word for word in words}

    def transcribe(self, pcm: bytes) -> Recognition:
        """Find the tones and name them."""
        wait_while("SLOW_RECOGNITION")
        samples = np.frombuffer(pcm, "<i2").astype(float)
        window, heard = round(0.01 * SAMPLE_RATE), []
        loud = [np.abs(samples[i : i + window]).mean() > 500 for i in range(0, len(samples) - window + 1, window)]
        start = None
        for place, on in enumerate([*loud, False]):
            if on and start is None:
                start = place
            elif not on and start is not None:
                heard.append(self._word(samples, start * window, place * window))
                start = None
        lexical = " ".join(word.text for word in heard)
        nbest = (Hypothesis(lexical, 0.9, tuple(heard)),) if heard else ()
        return Recognition(nbest, len(samples) / SAMPLE_RATE)

    def _word(self, samples: np.ndarray, start: int, end: int) -> Word:
        spectrum = np.abs(np.fft.rfft(samples[start:end], n=SAMPLE_RATE))
        nearest = round((int(spectrum.argmax()) - LOWEST_HZ) / STEP_HZ) * STEP_HZ + LOWEST_HZ
        return Word(self.words.get(nearest, "uh"), start / SAMPLE_RATE, (end - start) / SAMPLE_RATE, 0.9)


class DeafRecognizer:
    """Hears nothing."""

    def transcribe(self, pcm: bytes) -> Recognition:
        """Nothing."""
        return Recognition((), len(pcm) / 2 / SAMPLE_RATE)


class ToneEngine:
    """The engine of tones."""

    version = "1"
    locales = ("en-US", "de-DE")

    def __init__(self, name: str) -> None:
        self.name = name

    def base_models(self) -> list[BaseModelSpec]:
        """An old and a new one for en-US, and one for de-DE that cannot be trained."""
        return [
            BaseModelSpec("old", "en-US", "20240115", datetime.date(2024, 1, 15), "old tones", KINDS),
            BaseModelSpec("new", "en-US", "20250115", datetime.date(2025, 1, 15), "new tones", KINDS),
            BaseModelSpec("german", "de-DE", "20250116", datetime.date(2025, 1, 16), "german tones"),
        ]

    def train(self, request: TrainingRequest, output: Path, progress: Callable[[str, float], None]) -> TrainingReport:
        """Learn words."""
        words = {word for sentence in request.sentences for word in sentence.lower().split()}
        words |= {word.lower() for displayed, _ in request.pronunciations for word in displayed.split()}
        words |= {word for path, text in request.audio for word in text.lower().split() if path.stat().st_size}
        progress("learn", 0.5)
        wait_while("SLOW_TRAINING")
        output.mkdir(parents=True)
        (output / "words.json").write_text(json.dumps(sorted(words)))
        weight = request.weight_percent or 30
        counts = (len(request.sentences), len(request.pronunciations), len(request.audio))
        return TrainingReport(weight, len(KNOWN), *counts, 0.0, {"words": float(len(words))})

    def load(self, base_key: str, model_dir: Path | None) -> ToneRecognizer | DeafRecognizer:
        """Load the words of a model."""
        if self.name == "deaf":
            return DeafRecognizer()
        learnt = [] if model_dir is None else json.loads((model_dir / "words.json").read_text())
        return ToneRecognizer([*KNOWN, *learnt])


def wait_while(name: str) -> None:
    """Wait for as long as the file named by an environment variable is there."""
    path = os.environ.get(name)
    while path and os.path.exists(path):
        time.sleep(0.02)


@hookimpl
def register_recognizers(register: Callable[[ToneEngine], None]) -> None:
    """Register both engines."""
    register(ToneEngine("tone"))
    register(ToneEngine("deaf"))
