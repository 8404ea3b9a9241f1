"""Scoring: normalise, align, measure, compare, report. Works on plain lists of texts.

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.scoring.alignment import AlignedWord, align
    from speech_mlflow.scoring.comparison import Comparison, ComparisonTable, compare, compare_all
    from speech_mlflow.scoring.normalize import Normalizer, get_normalizer
    from speech_mlflow.scoring.records import Counts, Totals
    from speech_mlflow.scoring.scores import Score, UtteranceScore, score
    from speech_mlflow.scoring.streaming import score_stream

_HOME = {
    "AlignedWord": "alignment",
    "Comparison": "comparison",
    "ComparisonTable": "comparison",
    "Counts": "records",
    "Normalizer": "normalize",
    "Score": "scores",
    "Totals": "records",
    "UtteranceScore": "scores",
    "align": "alignment",
    "compare": "comparison",
    "compare_all": "comparison",
    "get_normalizer": "normalize",
    "score": "scores",
    "score_stream": "streaming",
}

__all__ = [
    "AlignedWord",
    "Comparison",
    "ComparisonTable",
    "Counts",
    "Normalizer",
    "Score",
    "Totals",
    "UtteranceScore",
    "align",
    "compare",
    "compare_all",
    "get_normalizer",
    "score",
    "score_stream",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return list(__all__)
