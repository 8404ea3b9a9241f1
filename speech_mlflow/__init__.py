"""MLflow as the home of a team's speech-to-text fine-tuning in Azure AI Speech.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.connection import connect
    from speech_mlflow.corpus import Corpus, read_corpus
    from speech_mlflow.errors import SpeechMlflowError
    from speech_mlflow.hookspecs import hookimpl
    from speech_mlflow.scoring import Comparison, Score, compare, score
    from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput, EvaluatorOutput
    from speech_mlflow.scoring.normalize import Normalizer
    from speech_mlflow.service import SpeechClient
    from speech_mlflow.settings import Settings
    from speech_mlflow.workflow import compare_runs, test, train

__version__ = "0.1.0"

_HOME = {
    "Comparison": "scoring",
    "Corpus": "corpus",
    "Evaluator": "scoring.evaluators",
    "EvaluatorInput": "scoring.evaluators",
    "EvaluatorOutput": "scoring.evaluators",
    "Normalizer": "scoring.normalize",
    "Score": "scoring",
    "Settings": "settings",
    "SpeechClient": "service",
    "SpeechMlflowError": "errors",
    "compare": "scoring",
    "compare_runs": "workflow",
    "connect": "connection",
    "hookimpl": "hookspecs",
    "read_corpus": "corpus",
    "score": "scoring",
    "test": "workflow",
    "train": "workflow",
}

__all__ = [
    "Comparison",
    "Corpus",
    "Evaluator",
    "EvaluatorInput",
    "EvaluatorOutput",
    "Normalizer",
    "Score",
    "Settings",
    "SpeechClient",
    "SpeechMlflowError",
    "compare",
    "compare_runs",
    "connect",
    "hookimpl",
    "read_corpus",
    "score",
    "test",
    "train",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
