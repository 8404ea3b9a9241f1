"""What a run would do: the dry run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from speech_mlflow.errors import SpeechMlflowError
from speech_mlflow.pipeline import looking
from speech_mlflow.pipeline.records import STAGES, Outlook, Stage
from speech_mlflow.pipeline.world import World
from speech_mlflow.promotion import usecases


def plan(world: World, until: Stage) -> list[Outlook]:
    """Each step with what is to be done and why; steps that depend on a step that is to be done are *later*."""
    wanted = STAGES[: STAGES.index(until) + 1]
    steps = _data(world)
    versions: dict[str, str | None] = {}
    concerned: dict[str, tuple[str, ...]] = {}
    for name in world.pipeline.models:
        looked: list[looking.Training] = []
        steps.append(_safely("train", name, partial(_train, world, name, looked)))
        versions[name] = looked[0].version if looked else None
    broken = {step.name for step in steps if step.stage == "train" and step.state in {"failed", "skipped"}}
    if "test" in wanted:
        for job in looking.jobs(world, versions):
            title = job.title(world.pipeline.registered(job.model))
            concerned[title] = job.concerned(world.pipeline)
            if job.model in broken and job.version is None:
                steps.append(Outlook("test", title, "skipped", f"needs train {job.model}"))
            else:
                steps.append(_safely("test", title, partial(looking.testing, world, job)))
    for name in world.pipeline.models:
        if "gates" in wanted and world.gated(name):
            before = [
                step for step in steps if (step.stage, step.name) == ("train", name) or name in concerned.get(step.name, ())
            ]
            steps.append(_safely("gates", name, partial(_gates, world, name, versions[name], before)))
        if "promote" in wanted and world.pipeline.models[name].promote:
            steps.append(_safely("promote", name, partial(_promote, world, name, versions[name], steps[-1])))
    order = {stage: index for index, stage in enumerate(STAGES)}
    return sorted(steps, key=lambda step: order[step.stage])


def _data(world: World) -> list[Outlook]:
    steps = []
    for name, purposes in world.uses().items():
        for purpose in purposes:
            try:
                corpus = world.data(name, purpose)
            except SpeechMlflowError as error:
                steps.append(Outlook("data", name, "failed", str(error)))
                break
        else:
            steps.append(Outlook("data", name, "done", looking.size(corpus)))
    return steps


def _train(world: World, name: str, looked: list[looking.Training]) -> Outlook:
    looked.append(looking.training(world, name))
    return looked[0].outlook


def _gates(world: World, name: str, version: str | None, before: list[Outlook]) -> Outlook:
    lacking = [step.id for step in before if step.state in {"failed", "skipped"}]
    if lacking:
        return Outlook("gates", name, "skipped", f"needs {', '.join(lacking)}")
    waiting = [step.id for step in before if step.work]
    if waiting or version is None:
        return Outlook("gates", name, "later", f"after {', '.join(waiting)}")
    registered = world.pipeline.registered(name)
    judged = usecases.judge(world.speech, world.client, registered, version, world.target(registered))
    if judged.blocked:
        return Outlook("gates", name, "refused", judged.blocked)
    return Outlook("gates", name, "done", f"{len(judged.decisions)} passed")


def _promote(world: World, name: str, version: str | None, judged: Outlook) -> Outlook:
    if judged.state == "later":
        return Outlook("promote", name, "later", f"after gates {name}")
    if judged.state != "done" or version is None:
        return Outlook("promote", name, "skipped", f"needs gates {name}")
    return looking.promotion(world, name, version)


def _safely(stage: Stage, name: str, look: Callable[[], Outlook]) -> Outlook:
    try:
        return look()
    except SpeechMlflowError as error:
        return Outlook(stage, name, "failed", str(error))
