"""Scoring: normalise, align, measure, compare, report. Works on plain lists of texts.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech_mlflow.scoring.alignment import AlignedWord, align
    from speech_mlflow.scoring.comparison import Comparison, ComparisonTable, compare, compare_all
    from speech_mlflow.scoring.normalize import Normalizer, get_normalizer
    from speech_mlflow.scoring.records import Counts, Totals
    from speech_mlflow.scoring.scores import Score, UtteranceScore, score
    from speech_mlflow.scoring.streaming import score_stream
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "alignment": ["AlignedWord", "align"],
            "comparison": ["Comparison", "ComparisonTable", "compare", "compare_all"],
            "normalize": ["Normalizer", "get_normalizer"],
            "records": ["Counts", "Totals"],
            "scores": ["Score", "UtteranceScore", "score"],
            "streaming": ["score_stream"],
        },
    )

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
