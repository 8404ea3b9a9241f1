"""Carrying out a declared project: what is there is found, the rest is done, and each failure stops only what depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from speech_mlflow.errors import CorpusError, GateError, PromotionError, ServiceError, SpeechMlflowError
from speech_mlflow.pipeline import looking
from speech_mlflow.pipeline.looking import Job, Training
from speech_mlflow.pipeline.measuring import measurements
from speech_mlflow.pipeline.parent import Parent
from speech_mlflow.pipeline.records import STAGES, Judged, Outcome, Outlook, PipelineResult, Stage
from speech_mlflow.pipeline.world import World
from speech_mlflow.promotion import usecases
from speech_mlflow.promotion.options import Options

if TYPE_CHECKING:
    from speech_mlflow.pipeline.project import Project
    from speech_mlflow.workflow import TestResult

T = TypeVar("T")


@dataclass
class Run:
    """One go at a pipeline."""

    project: Project
    world: World
    until: Stage
    outcomes: list[Outcome] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    trained: dict[str, Training] = field(default_factory=dict)
    tested: list[tuple[Job, TestResult]] = field(default_factory=list)
    concerned: dict[str, tuple[str, ...]] = field(default_factory=dict)
    final: bool = True

    def __post_init__(self) -> None:
        self.parent = Parent(self.world)
        self.pipeline = self.world.pipeline

    def go(self) -> PipelineResult:
        """All stages, as far as they are wanted."""
        stages: dict[Stage, Callable[[], None]] = {
            "data": self._data,
            "train": self._train,
            "test": self._test,
            "gates": self._gates,
            "promote": self._promote,
        }
        for stage in STAGES[: STAGES.index(self.until) + 1]:
            stages[stage]()
        result = self._result()
        if self.parent.begun:
            self.parent.close(result, final=self.final)
        return result

    def _result(self) -> PipelineResult:
        store = self.world.store_to_look_in()
        return PipelineResult(
            title=self.pipeline.title,
            resource=self.world.speech.resource,
            outcomes=tuple(self.outcomes),
            measurements=tuple(measurements(self.world, self.tested)),
            judged=tuple(self.judged),
            run_id=self.parent.id if self.parent.begun else None,
            experiment_id=store.experiment_id if store else None,
            tracking_uri=str(self.world.client.tracking_uri),
        )

    # --- stages ------------------------------------------------------------------------------------------------------

    def _data(self) -> None:
        for name, purposes in self.world.uses().items():
            read = [self._try("data", name, partial(self.world.data, name, purpose)) for purpose in purposes[:1]]
            read += [self._try("data", name, partial(self.world.data, name, other)) for other in purposes[1:] if read[0]]
            corpus = read[-1]
            if corpus is not None:
                self._over(Outcome("data", name, "done", looking.size(corpus)))

    def _train(self) -> None:
        found: dict[str, Training] = {}
        for name in self.pipeline.models:
            looked = self._try("train", name, partial(looking.training, self.world, name))
            if looked is None:
                continue
            found[name] = looked
            if not looked.outlook.work:
                self.trained[name] = looked
                self._unchanged(looked.outlook)
        work = {name: one for name, one in found.items() if one.outlook.work}
        for name, looked in self._begin_all("train", work, self._training).items():
            done = self._timed("train", name, looked.outlook, partial(self._training, name, looked, wait=True))
            if done is not None:
                self.trained[name] = done

    def _training(self, name: str, looked: Training, *, wait: bool) -> tuple[Training, str, str]:
        from speech_mlflow.workflow import train

        declared, registered = self.pipeline.models[name], self.pipeline.registered(name)
        result = train(
            self.world.speech,
            name=name,
            data=looked.corpora,
            registered_model=registered,
            base_model=looked.base,
            locale=self.world.settings.locale,
            weight_percent=declared.weight_percent,
            project=self._project(),
            parent_run_id=self.parent.id,
            description=declared.description,
            wait=wait,
            progress=self.project.progress,
            **self.world.where,
        )
        outlook = replace(looked.outlook, run_id=result.run_id, state="done")
        said = f"{registered} version {result.version}; {looked.outlook.why}"
        return replace(looked, outlook=outlook, model=result.model, version=result.version), said, result.run_id

    def _test(self) -> None:
        versions = {name: one.version for name, one in self.trained.items()}
        work: dict[str, tuple[Job, Outlook]] = {}
        for job in looking.jobs(self.world, versions):
            title = job.title(self.pipeline.registered(job.model))
            self.concerned[title] = job.concerned(self.pipeline)
            if job.version is None:
                self._over(Outcome("test", title, "skipped", f"needs train {job.model}"))
                continue
            outlook = self._try("test", title, partial(looking.testing, self.world, job))
            if outlook is None:
                continue
            if outlook.work:
                work[title] = (job, outlook)
            elif outlook.state == "done" and outlook.run_id is not None:
                self._load(job, outlook)
            else:
                self._unchanged(outlook)
        for title, (job, outlook) in self._begin_all("test", work, self._testing).items():
            done = self._timed("test", title, outlook, partial(self._testing, title, (job, outlook), wait=True))
            if done is not None:
                self.tested.append((job, done))

    def _load(self, job: Job, outlook: Outlook) -> None:
        from speech_mlflow.workflow import load_test

        run_id = outlook.run_id
        assert run_id is not None
        result = self._try("test", outlook.name, partial(load_test, run_id, store=self.world.store))
        if result is not None:
            self.tested.append((job, result))
            self._unchanged(outlook)

    def _testing(self, title: str, given: tuple[Job, Outlook], *, wait: bool) -> tuple[TestResult, str, str]:
        from speech_mlflow.workflow import test

        job, outlook = given
        declared, registered = self.pipeline.tests[job.test], self.pipeline.registered(job.model)
        result = test(
            self.world.speech,
            data=self.world.data(self.pipeline.testing_data(job.test), "testing"),
            models=[*declared.against, f"{registered}/{job.version}"],
            locale=self.world.settings.locale,
            normalizer=declared.normalizer,
            project=self._project(),
            parent_run_id=self.parent.id,
            wait=wait,
            progress=self.project.progress,
            **self.world.where,
        )
        rates = ", ".join(f"{label} {100 * wer:.1f} %" for label, wer in result.wer.items())
        return result, f"WER {rates}; {outlook.why}", result.run_id

    def _gates(self) -> None:
        for name in self.pipeline.models:
            if not self.world.gated(name):
                continue
            missing = self._missing(name)
            if missing:
                self._over(Outcome("gates", name, "skipped", f"needs {', '.join(missing)}"))
                continue
            judged = self._try("gates", name, partial(self._judge, name))
            if judged is None:
                continue
            self.judged.append(judged)
            passed = f"{len(judged.decisions)} passed" if judged.decisions else "the version carries an override"
            reason = judged.refusal or passed
            self._over(Outcome("gates", name, "refused" if judged.refusal else "done", reason))

    def _judge(self, name: str) -> Judged:
        registered, version = self.pipeline.registered(name), str(self.trained[name].version)
        plan = usecases.judge(self.world.speech, self.world.client, registered, version, self.world.target(registered))
        return Judged(name, registered, version, plan.decisions, plan.blocked)

    def _promote(self) -> None:
        for name, declared in self.pipeline.models.items():
            if not declared.promote:
                continue
            state = next(one.state for one in self.outcomes if (one.stage, one.name) == ("gates", name))
            if state != "done":
                self._over(Outcome("promote", name, "skipped", f"needs gates {name}"))
                continue
            version = str(self.trained[name].version)
            outlook = self._try("promote", name, partial(looking.promotion, self.world, name, version))
            if outlook is None:
                continue
            if not outlook.work:
                self._unchanged(outlook)
                continue
            self._timed("promote", name, outlook, partial(self._serve, name, version))

    def _serve(self, name: str, version: str) -> tuple[str, str, str | None]:
        registered = self.pipeline.registered(name)
        options = Options(
            who=self.project.who,
            why=f"pipeline {self.pipeline.title}, run {self.parent.id}",
            progress=self.project.progress,
        )
        target = self.world.target(registered)
        applied = usecases.promote(self.world.speech, self.world.client, registered, version, target, options=options)
        if applied.run_id is not None:
            self.parent.adopt(applied.run_id)
        if applied.result == "refused":
            raise GateError(applied.reason, decisions=applied.plan.decisions)
        if not applied.served:
            raise PromotionError(f"{applied.result}: {applied.reason}")
        elsewhere = self.world.regions.apply(self.world.client, applied, options)
        for one in elsewhere:
            if one.applied is not None and one.applied.run_id is not None:
                self.parent.adopt(one.applied.run_id)
        wrong = [f"{one.region}: {one.result}, {one.reason}" for one in elsewhere if not one.well]
        if wrong:
            raise PromotionError(f"served by the first resource, and not by others: {'; '.join(wrong)}")
        too = f"; by {', '.join(one.region for one in elsewhere)} too" if elsewhere else ""
        return version, f"{applied.reason}{too}", applied.run_id

    # --- steps -------------------------------------------------------------------------------------------------------

    def _begin_all(self, stage: Stage, work: dict[str, T], begin: Callable[..., object]) -> dict[str, T]:
        """Have the service begin everything, so that it works side by side; what could not be begun has failed."""
        if work:
            _ = self.parent.id
        if len(work) < 2:
            return work
        return {name: one for name, one in work.items() if self._try(stage, name, partial(begin, name, one, wait=False))}

    def _timed(self, stage: Stage, name: str, outlook: Outlook, action: Callable[[], tuple[T, str, str | None]]) -> T | None:
        _ = self.parent.id
        begun = time.monotonic()
        done = self._try(stage, name, action)
        if done is None:
            return None
        value, reason, run_id = done
        self._over(Outcome(stage, name, "done", reason, changed=True, run_id=run_id, seconds=time.monotonic() - begun))
        return value

    def _try(self, stage: Stage, name: str, action: Callable[[], T]) -> T | None:
        """What the action gives; None where it failed, which is then an outcome."""
        from mlflow.exceptions import MlflowException

        try:
            return action()
        except GateError as error:
            self._over(Outcome(stage, name, "refused", str(error), hint=error.hint, exit_code=error.exit_code))
        except SpeechMlflowError as error:
            self.final = self.final and not (isinstance(error, ServiceError) and error.retryable)
            self._over(_failure(stage, name, error))
        except (MlflowException, OSError) as error:
            self.final = False
            self._over(Outcome(stage, name, "failed", f"{type(error).__name__}: {error}", exit_code=1))
        return None

    def _unchanged(self, outlook: Outlook) -> None:
        self._over(Outcome(outlook.stage, outlook.name, outlook.state, outlook.why, run_id=outlook.run_id))

    def _over(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.project.on_outcome(outcome)

    def _missing(self, name: str) -> list[str]:
        """Steps that the gates of a model need and that were not done."""
        return [
            one.id
            for one in self.outcomes
            if one.state != "done"
            and ((one.stage == "train" and one.name == name) or (one.stage == "test" and name in self.concerned[one.name]))
        ]

    def _project(self) -> str | None:
        from speech_mlflow.connection import ensure_project

        return ensure_project(self.world.speech, self.world.settings)


def _failure(stage: Stage, name: str, error: SpeechMlflowError) -> Outcome:
    problems: Sequence[object] = error.problems if isinstance(error, CorpusError) else ()
    return Outcome(
        stage,
        name,
        "failed",
        str(error),
        problems=tuple(_distinct(problems)),
        hint=error.hint,
        exit_code=error.exit_code,
    )


def _distinct(problems: Iterable[object]) -> Iterable[str]:
    return dict.fromkeys(map(str, problems))
