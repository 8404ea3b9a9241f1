"""Custom evaluators on a score: the same for a test run, for a comparison of runs and for ``mlflow.models.evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from speech_mlflow.scoring import Score
from speech_mlflow.scoring.evaluators import (
    EvaluatedUtterance,
    EvaluatorFailure,
    EvaluatorInput,
    EvaluatorOutput,
    evaluators,
    run_evaluators,
)
from speech_mlflow.tracking import values

Audio = Callable[[str], bytes | None]

RESERVED = frozenset(
    {"wer", "wer.recomputed", "wer.difference", "words", "hits", "substitutions", "deletions", "insertions"}
    | {"ser", "ser.recomputed", "ter", "cer", "mer", "wil", "wip", "utterances", "utterances.untested"}
    | {"contaminated", "contaminated.audio", "contaminated.text"}
)
"""Names that an evaluator's metric may not have: they mean something already."""


def rising(outputs: Mapping[str, EvaluatorOutput]) -> list[str]:
    """The evaluators' metrics of which more is better; all other numbers are errors."""
    return [name for output in outputs.values() for name in output.metrics if output.greater_is_better.get(name, False)]


def no_audio(utterance_id: str) -> bytes | None:
    """Where no recordings are at hand."""
    return None


def measure(
    scored: Score, *, model: str, locale: str, audio: Audio = no_audio
) -> tuple[dict[str, EvaluatorOutput], list[EvaluatorFailure]]:
    """What the registered evaluators measured, by evaluator name, and those that failed.

    One whose metric has a name that is taken counts as failed: no two numbers share one.
    """
    known = evaluators()
    if not known:
        return {}, []
    utterances = [EvaluatedUtterance(one.id, one.reference, one.hypothesis, one.alignment, one.groups) for one in scored]
    outputs, failures = run_evaluators(EvaluatorInput(model, locale, utterances, audio), known)
    taken, kept = set(RESERVED), {}
    for name, output in outputs.items():
        clash = sorted(taken.intersection(map(values.name, output.metrics)))
        if clash:
            failures.append(EvaluatorFailure(name, f"its metrics have names that are taken: {', '.join(clash)}"))
            continue
        kept[name] = output
        taken.update(map(values.name, output.metrics))
    return kept, failures
