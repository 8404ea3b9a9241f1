"""The parent run of a pipeline: begun when the first thing is to be done, gone on with after an interruption, closed with a
summary that MLflow shows as its description."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speech_mlflow.pipeline import summary
from speech_mlflow.pipeline.records import PipelineResult
from speech_mlflow.pipeline.world import World
from speech_mlflow.tracking import runs, tags
from speech_mlflow.tracking.runs import PARENT_RUN, Measured, Work
from speech_mlflow.workflow.data import content_key

if TYPE_CHECKING:
    from speech_mlflow.tracking.runs import Begun

NOTE = "mlflow.note.content"


@dataclass
class Parent:
    """The parent run; there is none until :meth:`id` is asked for."""

    world: World
    _begun: Begun | None = None

    @property
    def begun(self) -> bool:
        """Whether there is one."""
        return self._begun is not None

    @property
    def id(self) -> str:
        """Id of the run, which is begun or found here."""
        if self._begun is None:
            self._begin()
        assert self._begun is not None
        return self._begun.id

    def adopt(self, run_id: str) -> None:
        """Make a promotion's run a child: promotion itself knows nothing of pipelines."""
        self.world.client.set_tag(run_id, PARENT_RUN, self.id)

    def close(self, result: PipelineResult, *, final: bool) -> None:
        """Log what came of it. Where what failed may go well the next time (``final`` is False), the run is left open for that."""
        store, text = self.world.store, summary.markdown(result)
        measured = {
            f"{name}/{one.test}/{one.label}": value
            for one in result.measurements
            for name, value in (("wer", one.wer), ("wer.recomputed", one.recomputed))
        }
        runs.log(
            store,
            self.id,
            measured=[Measured(measured)],
            run_tags={
                tags.RESULT: result.verdict,
                NOTE: text,
                tags.ERROR: "; ".join(one.reason for one in result.failed) or None,
            },
        )
        document = json.dumps(result.to_dict(), indent=1, ensure_ascii=False, default=str)
        runs.log_files(store, self.id, {"pipeline/summary.md": text, "pipeline/result.json": document})
        if final:
            runs.finish(store, self.id, "FAILED" if result.failed else "FINISHED")

    def _begin(self) -> None:
        world, store = self.world, self.world.store
        pipeline = world.pipeline
        key = self._key()
        finished = [str(run.info.run_id) for run in runs.find(store, tags.KIND_PIPELINE, key) if run.info.status == "FINISHED"]
        work = Work(
            tags.KIND_PIPELINE,
            key,
            pipeline.title,
            tags={tags.RESOURCE: world.speech.resource, tags.LOCALE: world.settings.locale},
        )
        self._begun = begun = runs.settle(store, runs.begin(store, work, without=finished))
        params = {"models": list(pipeline.models), "tests": list(pipeline.tests)}
        runs.log(store, begun.id, params=params, known=begun.run)

    def _key(self) -> str:
        """What is declared, and the content of all data: a parent that was interrupted is gone on with while it is the same."""
        world = self.world
        data = {
            f"{name} {purpose}": world.data(name, purpose).fingerprint if world.fit(name, purpose) else None
            for name, purposes in world.uses().items()
            for purpose in purposes
        }
        targets = {name: world.settings.targets.get(name) for name in map(world.pipeline.registered, world.pipeline.models)}
        return content_key(
            kind=tags.KIND_PIPELINE,
            resource=world.speech.resource,
            declared=world.pipeline.model_dump(mode="json"),
            data=data,
            targets=json.loads(json.dumps(targets, default=str)),
        )
