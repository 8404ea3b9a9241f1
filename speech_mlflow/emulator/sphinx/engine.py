"""PocketSphinx behind the engine protocol. Importing this module does not import PocketSphinx."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from speech_mlflow.emulator.engine import BaseModelSpec, Recognizer, StepProgress, TrainingReport, TrainingRequest
from speech_mlflow.emulator.sphinx.base_models import BASE_MODELS, LOCALE
from speech_mlflow.errors import EngineError


class SphinxEngine:
    """US English by PocketSphinx."""

    name = "pocketsphinx"
    locales: tuple[str, ...] = (LOCALE,)

    @property
    def version(self) -> str:
        """Version of the installed PocketSphinx."""
        return importlib.metadata.version("pocketsphinx")

    def base_models(self) -> list[BaseModelSpec]:
        """The base models, the oldest first."""
        return [model.spec for model in BASE_MODELS.values()]

    def train(self, request: TrainingRequest, output: Path, progress: StepProgress) -> TrainingReport:
        """Learn from text, pronunciations and audio; see :func:`speech_mlflow.emulator.sphinx.trainer.train`."""
        from speech_mlflow.emulator.sphinx.trainer import train

        if request.locale != LOCALE:
            raise EngineError(f"PocketSphinx has no acoustic model for {request.locale}", hint=f"it recognises {LOCALE}")
        return train(request, output, progress)

    def load(self, base_key: str, model_dir: Path | None) -> Recognizer:
        """Load a base model or a trained one; EngineError when it was trained on other base files or another base model."""
        from speech_mlflow.emulator.sphinx import base, base_models
        from speech_mlflow.emulator.sphinx.recognizer import ModelFiles, SphinxRecognizer

        if model_dir is None:
            return SphinxRecognizer(ModelFiles(base.acoustic_dir(), *base_models.files(base_key)))
        check(model_dir, base_key)
        means = model_dir / "means"
        files = ModelFiles(
            base.acoustic_dir(), model_dir / "lm.bin", model_dir / "words.dict", means if means.exists() else None
        )
        return SphinxRecognizer(files)


def check(model_dir: Path, base_key: str) -> dict[str, Any]:
    """The description of a trained model; EngineError unless it fits this installation."""
    from speech_mlflow.emulator.sphinx import base
    from speech_mlflow.emulator.sphinx.trainer import MODEL_FORMAT

    try:
        described: dict[str, Any] = json.loads((model_dir / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"{model_dir} holds no model of PocketSphinx: {error}") from error
    expected = {"format": MODEL_FORMAT, "engine": "pocketsphinx", "base_key": base_key, "base_fingerprint": base.fingerprint()}
    for name, value in expected.items():
        if described.get(name) != value:
            raise EngineError(
                f"the model in {model_dir} was trained with another {name.replace('_', ' ')}: {described.get(name)}, not {value}",
                hint=f"train it again; it was trained with PocketSphinx {described.get('engine_version')}",
            )
    return described
