"""A declared project with the world that it is carried out in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from speech_mlflow.pipeline.declared import Pipeline
from speech_mlflow.pipeline.planning import plan
from speech_mlflow.pipeline.records import Outcome, Outlook, PipelineResult, Stage
from speech_mlflow.pipeline.running import Run
from speech_mlflow.pipeline.world import World
from speech_mlflow.progress import Progress, silent
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from speech_mlflow.service import SpeechClient

OnOutcome = Callable[[Outcome], None]


@dataclass
class Project:
    """A declared project with the world it is carried out in.

    ``directory`` is where the settings file lies; ``who`` is recorded with promotions; ``progress`` hears of long steps and
    ``on_outcome`` of each step that is over.
    """

    speech: SpeechClient
    settings: Settings
    pipeline: Pipeline
    directory: Path = Path()
    who: str = "unknown"
    progress: Progress = silent
    on_outcome: OnOutcome = lambda outcome: None

    def plan(self, until: Stage = "promote") -> list[Outlook]:
        """What a run would do, each step with the reason. Nothing is written, in MLflow or in the service."""
        with closing(self.world()) as world:
            return plan(world, until)

    def run(self, until: Stage = "promote") -> PipelineResult:
        """Do what is to be done. Errors of steps are in the result and not raised; an interrupt leaves everything to be gone on
        with: the same call picks it up."""
        with closing(self.world()) as world:
            return Run(self, world, until).go()

    def world(self) -> World:
        """Connections, declarations and data, read anew."""
        return World(self.speech, self.settings, self.pipeline, self.directory, self.progress)
