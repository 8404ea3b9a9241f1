"""The built-in normalisers and evaluator, registered through the same hooks as anybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from speech_mlflow.hookspecs import hookimpl

if TYPE_CHECKING:
    from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput
    from speech_mlflow.scoring.normalize import Normalizer


@hookimpl
def register_normalizers(register: Callable[[Normalizer], None]) -> None:
    """Register one for each locale that we have rules for, and one that changes nothing."""
    from speech_mlflow.scoring import normalize, rules

    for normalizer in (normalize.NOTHING, *rules.BUILTIN):
        register(normalizer)


@hookimpl
def register_evaluators(register: Callable[[Evaluator], None]) -> None:
    """Register ``silence``."""
    from speech_mlflow.scoring.evaluators import Evaluator

    register(Evaluator("silence", silent_rate))


def silent_rate(given: EvaluatorInput) -> dict[str, float]:
    """``silent_rate``: of the utterances in which something is said, the share in which nothing was heard.

    It points to recordings or a channel that are broken, rather than to words that are hard. Nothing is measured where no
    reference has a word.
    """
    spoken = [one.alignment for one in given.utterances if any(word.reference is not None for word in one.alignment)]
    silent = sum(all(word.hypothesis is None for word in alignment) for alignment in spoken)
    return {"silent_rate": silent / len(spoken)} if spoken else {}
