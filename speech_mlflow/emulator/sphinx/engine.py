"""PocketSphinx behind the engine protocol. Importing this module does not import PocketSphinx."""

from __future__ import annotations

import datetime
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from speech_mlflow.emulator.engine import BaseModelSpec, Recognizer, StepProgress, TrainingReport, TrainingRequest
from speech_mlflow.errors import EngineError

if TYPE_CHECKING:
    from speech_mlflow.emulator.sphinx.recognizer import ModelFiles

LOCALE = "en-US"
ADAPTS_WITH = ("Acoustic", "Language", "LanguageMarkdown", "Pronunciation", "OutputFormatting")

BASE_MODELS = (
    BaseModelSpec(
        key="en-us-2024",
        locale=LOCALE,
        display_name="20240115",
        created=datetime.date(2024, 1, 15),
        description="PocketSphinx en-US with a general vocabulary of 20,000 words.",
        adapts_with=ADAPTS_WITH,
    ),
    BaseModelSpec(
        key="en-us-2025",
        locale=LOCALE,
        display_name="20250115",
        created=datetime.date(2025, 1, 15),
        description="PocketSphinx en-US with a general vocabulary of 72,547 words.",
        adapts_with=ADAPTS_WITH,
    ),
)


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
        return list(BASE_MODELS)

    def train(self, request: TrainingRequest, output: Path, progress: StepProgress) -> TrainingReport:
        """Learn from text, pronunciations and audio."""
        raise EngineError("training is not built yet")

    def load(self, base_key: str, model_dir: Path | None) -> Recognizer:
        """Load a base model or a trained one."""
        from speech_mlflow.emulator.sphinx.recognizer import SphinxRecognizer

        return SphinxRecognizer(_base_files(base_key))


def _base_files(base_key: str) -> ModelFiles:
    from speech_mlflow.emulator.sphinx import base
    from speech_mlflow.emulator.sphinx.recognizer import ModelFiles

    if base_key not in {spec.key for spec in BASE_MODELS}:
        raise EngineError(f"PocketSphinx has no base model {base_key!r}")
    return ModelFiles(base.acoustic_dir(), base.language_path(), base.dictionary_path())
