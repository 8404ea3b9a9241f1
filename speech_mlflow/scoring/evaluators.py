"""Custom evaluators: what a team's own metric is given, and what it gives back.

An evaluator sees the utterances that were aligned for WER, with ids, groups, both texts and the audio, and returns metrics,
columns for the per-utterance table, and files for the run. One that raises fails itself, by name, and nothing else.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from speech_mlflow.plugins import registered

if TYPE_CHECKING:
    import jiwer

    from speech_mlflow.scoring.alignment import AlignedWord

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluatedUtterance:
    """One test utterance under one model. ``reference`` and ``hypothesis`` are the texts as they came; the words of
    ``alignment`` are normalised, and their counts are the ones that WER is made of."""

    id: str
    reference: str
    hypothesis: str
    alignment: tuple[AlignedWord, ...]
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluatorInput:
    """One model's outcome on one test set. ``audio`` gives the WAV bytes of an utterance id, or None where there is none."""

    model: str
    locale: str
    utterances: Sequence[EvaluatedUtterance]
    audio: Callable[[str], bytes | None]

    def to_jiwer(self) -> jiwer.WordOutput:
        """The alignments as jiwer holds them, for code that is written for jiwer."""
        from speech_mlflow.scoring.jiwer_output import of_alignments

        return of_alignments(one.alignment for one in self.utterances)


@dataclass(frozen=True)
class EvaluatorOutput:
    """What an evaluator measured.

    ``metrics`` are finite numbers by name; ``greater_is_better`` says for each name which way is better (False where it is not
    named: most speech metrics are error rates); ``columns`` hold one value per utterance, in order; ``artifacts`` are file
    contents by file name, logged beside the report.
    """

    metrics: Mapping[str, float]
    greater_is_better: Mapping[str, bool] = field(default_factory=dict)
    columns: Mapping[str, Sequence[object]] = field(default_factory=dict)
    artifacts: Mapping[str, str | bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluator:
    """A named function from an EvaluatorInput to an EvaluatorOutput, or to a plain mapping of metrics."""

    name: str
    evaluate: Callable[[EvaluatorInput], EvaluatorOutput | Mapping[str, float]]


@dataclass(frozen=True)
class EvaluatorFailure:
    """An evaluator that could not do its work, and why."""

    name: str
    reason: str


def evaluators() -> dict[str, Evaluator]:
    """All evaluators that plugins registered, by name."""
    return registered("register_evaluators", lambda evaluator: evaluator.name)


def run_evaluators(
    given: EvaluatorInput, chosen: Mapping[str, Evaluator] | None = None
) -> tuple[dict[str, EvaluatorOutput], list[EvaluatorFailure]]:
    """Run each evaluator on ``given``; what they measured by evaluator name, and those that failed."""
    outputs: dict[str, EvaluatorOutput] = {}
    failures: list[EvaluatorFailure] = []
    for name, evaluator in (evaluators() if chosen is None else chosen).items():
        try:
            outputs[name] = _checked(evaluator.evaluate(given), len(given.utterances))
        except Exception as error:  # a plugin may raise anything
            log.warning("evaluator %s failed: %s", name, error, exc_info=log.isEnabledFor(logging.DEBUG))
            failures.append(EvaluatorFailure(name, f"{type(error).__name__}: {error}"))
    return outputs, failures


def _checked(output: EvaluatorOutput | Mapping[str, float], utterances: int) -> EvaluatorOutput:
    """The output as a record with float metrics; ValueError or TypeError where it is not what was asked for, or cannot be
    written down."""
    if not isinstance(output, EvaluatorOutput):
        output = EvaluatorOutput(output)
    metrics = {str(name): float(value) for name, value in output.metrics.items()}
    columns = {str(name): list(column) for name, column in output.columns.items()}
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        raise ValueError(f"metrics that are not finite numbers: {', '.join(wrong)}")
    uneven = [name for name, column in columns.items() if len(column) != utterances]
    if uneven:
        raise ValueError(f"columns that do not have one value for each of {utterances} utterances: {', '.join(uneven)}")
    for name, content in output.artifacts.items():
        _check_artifact(name, content)
    return EvaluatorOutput(metrics, dict(output.greater_is_better), columns, dict(output.artifacts))


def _check_artifact(name: str, content: str | bytes) -> None:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"an artifact's name is a path below the run's folder, not {name!r}")
    if not isinstance(content, (str, bytes)):
        raise TypeError(f"the artifact {name} is {type(content).__name__}, neither text nor bytes")
    if isinstance(content, str):
        content.encode()  # a lone surrogate, which a transcript may hold, cannot be
