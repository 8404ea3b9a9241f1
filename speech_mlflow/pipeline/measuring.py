"""What was measured, and how it compares: with what was tested beside it and with what is served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from speech_mlflow.pipeline.records import Measurement
from speech_mlflow.tracking import values

if TYPE_CHECKING:
    from speech_mlflow.pipeline.looking import Job
    from speech_mlflow.pipeline.world import World
    from speech_mlflow.scoring import Comparison, Score
    from speech_mlflow.workflow import TestResult


def measurements(world: World, tested: Sequence[tuple[Job, TestResult]]) -> Iterator[Measurement]:
    """A line for each model and test set."""
    from speech_mlflow.scoring.comparison import wer_interval

    for job, result in tested:
        if job.champion:
            continue
        registered = world.pipeline.registered(job.model)
        label = values.label(f"{registered} v{job.version}")
        found = _label(result, label)
        score = result.scores[found]
        others = {name: other for name, other in result.scores.items() if name != found}
        champion = _champion(world, job, tested)
        yield Measurement(
            test=job.test,
            model=job.model,
            label=label,
            wer=result.wer.get(found),
            recomputed=score.wer,
            interval=wer_interval(score),
            words=score.words,
            run_id=result.run_id,
            against={name: _compare(other, score, name, label) for name, other in others.items()},
            champion=champion[0] if champion else None,
            against_champion=_compare(champion[1], score, champion[0], label) if champion else None,
        )


def _champion(world: World, job: Job, tested: Iterable[tuple[Job, TestResult]]) -> tuple[str, Score] | None:
    """What is served of the same registered model, tested on the same set; None where that is the model itself, or nothing."""
    registered = world.pipeline.registered(job.model)
    for other, result in tested:
        if other.test == job.test and other.champion and world.pipeline.registered(other.model) == registered:
            label = values.label(f"{registered} v{other.version}")
            return label, result.scores[_label(result, label)]
    return None


def _compare(first: Score, second: Score, *names: str) -> Comparison:
    from speech_mlflow.scoring import compare

    return compare(first, second, names=(names[0], names[1]))


def _label(result: TestResult, wanted: str) -> str:
    """The candidate's name in a test: it comes last, unless it was named among those that it is tested beside. The same model
    may have been tested under the name of another registered model."""
    return wanted if wanted in result.scores else list(result.scores)[-1]
