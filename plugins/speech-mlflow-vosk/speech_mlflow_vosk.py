"""Vosk behind the offline service: other languages, and larger models, with the same REST API and the same MLflow runs.

``VOSK_MODELS`` says where the models are, ``en-US=/models/vosk-model-small-en-us-0.15,de-DE=/models/vosk-model-small-de-0.15``; each
becomes a base model of its locale. Vosk models cannot be trained here: they are there to be tested, compared and served.
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import speech_mlflow
from speech_mlflow.errors import EngineError, PluginError

if TYPE_CHECKING:
    from speech_mlflow.emulator.engine import BaseModelSpec, Engine, Recognition, Recognizer

VARIABLE = "VOSK_MODELS"
PIECE = 16_000
"""Bytes that the decoder is given at once: half a second."""


@speech_mlflow.hookimpl
def register_recognizers(register: Callable[[Engine], None]) -> None:
    """Register the engine where models are configured. Raises PluginError, which names what is wrong with them."""
    text = os.environ.get(VARIABLE, "").strip()
    if text:
        register(VoskEngine(read_models(text)))


def read_models(text: str) -> dict[str, Path]:
    """Locale to directory of its model. Raises PluginError for anything else."""
    models = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        locale, _, folder = part.partition("=")
        path = Path(folder.strip()).expanduser()
        if not folder or not (path / "am" / "final.mdl").is_file():
            raise PluginError(f"{VARIABLE}: {part!r} is not LOCALE=DIRECTORY of a Vosk model (with am/final.mdl in it)")
        models[locale.strip()] = path
    return models


def open_vosk() -> Any:
    """The module ``vosk``, told to be quiet. Raises EngineError where it is not installed."""
    try:
        import vosk
    except (ImportError, OSError) as error:
        raise EngineError(f"Vosk cannot be loaded: {error}", hint="pip install vosk") from error
    vosk.SetLogLevel(-1)
    return vosk


class VoskEngine:
    """The models given, by locale. ``vosk`` gives the module, or anything with its ``Model`` and ``KaldiRecognizer``."""

    name = "vosk"

    def __init__(self, models: Mapping[str, Path], vosk: Callable[[], Any] = open_vosk) -> None:
        self._models = dict(models)
        self._vosk = vosk

    @property
    def version(self) -> str:
        """The version of Vosk that is installed."""
        try:
            return importlib.metadata.version("vosk")
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales that a model was given for."""
        return tuple(self._models)

    def base_models(self) -> list[BaseModelSpec]:
        """One for each model, dated by its files, which learns from nothing."""
        from speech_mlflow.emulator.engine import BaseModelSpec

        return [
            BaseModelSpec(locale, locale, f"vosk {path.name}", _made(path), "A Vosk model; it cannot be trained")
            for locale, path in self._models.items()
        ]

    def train(self, *_: Any) -> NoReturn:
        """Raises EngineError: Vosk's models are not trained here."""
        raise EngineError("Vosk models cannot be trained", hint="choose a base model that says what it adapts with")

    def load(self, base_key: str, model_dir: Path | None) -> Recognizer:
        """Load a model. Raises EngineError where Vosk or the model is not what it should be."""
        if model_dir is not None or base_key not in self._models:
            raise EngineError(f"Vosk has no model {base_key!r}", hint=f"{VARIABLE} has: {', '.join(self._models)}")
        vosk = self._vosk()
        try:
            model = vosk.Model(str(self._models[base_key]))
        except Exception as error:  # Vosk raises nothing more special
            raise EngineError(f"{self._models[base_key]} is not a model that Vosk can load: {error}") from error
        return VoskRecognizer(vosk, model)


class VoskRecognizer:
    """A loaded model. Each recording has a decoder of its own, so that none hears what was before."""

    def __init__(self, vosk: Any, model: Any) -> None:
        self._vosk, self._model = vosk, model

    def transcribe(self, pcm: bytes) -> Recognition:
        """Recognise one recording; what Vosk cuts at pauses is joined again."""
        from speech_mlflow.emulator.engine import SAMPLE_RATE, Hypothesis, Recognition, Word

        ctypes.CDLL(None).srand(0)  # Kaldi dithers with it: otherwise words and confidences differ from one time to the next
        decoder = self._vosk.KaldiRecognizer(self._model, SAMPLE_RATE)
        decoder.SetWords(True)
        parts = [decoder.Result() for start in range(0, len(pcm), PIECE) if decoder.AcceptWaveform(pcm[start : start + PIECE])]
        heard = [word for part in (*parts, decoder.FinalResult()) for word in json.loads(part).get("result", ())]
        words = tuple(
            Word(word["word"], word["start"], max(0.0, word["end"] - word["start"]), min(1.0, max(0.0, word["conf"])))
            for word in heard
        )
        seconds = len(pcm) / 2 / SAMPLE_RATE
        if not words:
            return Recognition((), seconds)
        confidence = sum(word.confidence for word in words) / len(words)
        best = Hypothesis(" ".join(word.text for word in words), confidence, words)
        return Recognition((best,), seconds)


def _made(path: Path) -> datetime.date:
    return datetime.datetime.fromtimestamp((path / "am" / "final.mdl").stat().st_mtime, datetime.timezone.utc).date()
