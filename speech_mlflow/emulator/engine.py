"""What a recogniser behind the offline service is: the records it takes and gives, and how engines are found.

An :class:`Engine` offers base models, may learn from data, and loads a model into a :class:`Recognizer`. Engines come through the
hook ``register_recognizers``; the built-in one is ``pocketsphinx``. Nothing here imports a recogniser.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from speech_mlflow.errors import EngineError

SAMPLE_RATE = 16_000
"""Samples a second of the audio that a recogniser takes (mono, 16-bit little endian)."""

StepProgress = Callable[[str, float], None]
"""Called with the name of a step and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Word:
    """One recognised word. ``offset`` and ``duration`` in seconds, ``confidence`` from 0 to 1."""

    text: str
    offset: float
    duration: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance. ``words`` is empty where the engine times only the best reading."""

    lexical: str
    confidence: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Recognition:
    """What was heard, best reading first; ``nbest`` is empty when nothing was heard."""

    nbest: tuple[Hypothesis, ...]
    audio_seconds: float

    @property
    def lexical(self) -> str:
        """Words of the best reading, ``""`` when nothing was heard."""
        return self.nbest[0].lexical if self.nbest else ""


@dataclass(frozen=True)
class BaseModelSpec:
    """One base model that an engine offers.

    ``adapts_with`` names the data kinds it learns from (``Acoustic``, ``Language``, ``LanguageMarkdown``, ``Pronunciation``, ...);
    it is empty for an engine that cannot be trained.
    """

    key: str
    locale: str
    display_name: str
    created: datetime.date
    description: str
    adapts_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingRequest:
    """The data to learn from.

    ``sentences`` are related text, ``pronunciations`` pairs of displayed and spoken form, ``audio`` pairs of WAV file and transcript.
    ``weight_percent`` is the share of the domain in the language model (None: the engine chooses), ``base_vocabulary`` the number of
    general words kept beside those of the domain (None: the engine chooses).
    """

    base_key: str
    locale: str
    sentences: list[str] = field(default_factory=list)
    pronunciations: list[tuple[str, str]] = field(default_factory=list)
    audio: list[tuple[Path, str]] = field(default_factory=list)
    weight_percent: int | None = None
    base_vocabulary: int | None = None


@dataclass(frozen=True)
class Skipped:
    """An item of the training data that was not learnt from, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class TrainingReport:
    """What a training did: counts of what was used, the weight it took, measured figures, and what it left out."""

    weight_percent: int
    base_vocabulary: int
    sentences: int
    pronunciations: int
    utterances: int
    audio_seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)


class Recognizer(Protocol):
    """A loaded model. It belongs to one process and one thread."""

    def transcribe(self, pcm: bytes) -> Recognition:
        """Recognise one recording: 16 kHz, mono, 16-bit little endian samples. The same bytes always give the same words."""


@runtime_checkable
class Engine(Protocol):
    """Something that recognises speech and, where it can, learns."""

    @property
    def name(self) -> str:
        """One word, unique among the engines."""

    @property
    def version(self) -> str:
        """Version of the engine, as it decides what is heard."""

    @property
    def locales(self) -> tuple[str, ...]:
        """Locales that it recognises, for example ``("en-US",)``."""

    def base_models(self) -> list[BaseModelSpec]:
        """The base models offered; the newest of a locale is the best one."""

    def train(self, request: TrainingRequest, output: Path, progress: StepProgress) -> TrainingReport:
        """Learn from ``request`` and write a model directory ``output`` (made here). Raises EngineError."""

    def load(self, base_key: str, model_dir: Path | None) -> Recognizer:
        """Load a base model (``model_dir`` None) or a trained one. Raises EngineError when it does not fit this engine."""


def engines() -> dict[str, Engine]:
    """Every engine that is registered, by name."""
    from speech_mlflow.plugins import registered

    return registered("register_recognizers", _name)


def get_engine(name: str) -> Engine:
    """The engine called ``name``; EngineError names those there are."""
    found = engines()
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise EngineError(f"there is no speech recogniser named {name!r}", hint=f"known: {known}")
    return found[name]


def _name(engine: object) -> str:
    return cast(Engine, engine).name
