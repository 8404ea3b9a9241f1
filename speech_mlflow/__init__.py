"""MLflow as the home of a team's speech-to-text fine-tuning in Azure AI Speech.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "connection": ["connect"],
            "corpus": ["Corpus", "read_corpus"],
            "errors": ["SpeechMlflowError"],
            "hookspecs": ["hookimpl"],
            "scoring": ["Comparison", "Score", "compare", "score"],
            "scoring.evaluators": ["Evaluator", "EvaluatorInput", "EvaluatorOutput"],
            "scoring.normalize": ["Normalizer"],
            "service": ["SpeechClient"],
            "settings": ["Settings"],
            "workflow": ["compare_runs", "test", "train"],
        },
    )

__version__ = "0.1.0"

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
