"""The kinds of MLflow that the package is to work on, and what a person sees in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from speech_mlflow import workflow
from speech_mlflow.promotion.apply import Applied
from speech_mlflow.promotion.target import Target
from tests.workflow.tools import EXPERIMENT, Mlflow

KINDS = ("sqlite", "postgres", "basic-auth", "no-logged-models", "no-stages")


@dataclass(frozen=True)
class Place:
    """One MLflow. ``name`` is the registered model of the story told there, ``experiment`` its experiment."""

    kind: str
    uri: str
    weight: int
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def mlflow(self) -> Mlflow:
        """A look into it, and its client."""
        return Mlflow(self.uri, self.experiment)

    @property
    def where(self) -> dict[str, Any]:
        """The arguments of the workflow's functions that say which MLflow is meant."""
        return {"tracking_uri": self.uri, "experiment": self.experiment}

    @property
    def name(self) -> str:
        """The registered model: one of its own, since some kinds are doors to the same server."""
        return f"clinic-{self.kind}"

    @property
    def experiment(self) -> str:
        """The experiment of the runs."""
        return f"{EXPERIMENT} {self.kind}"

    @property
    def logged_models(self) -> bool:
        """Whether it has the logged-models API."""
        return self.kind != "no-logged-models"

    @property
    def target(self) -> Target:
        """What promotes here, with a gate that a real test must pass."""
        trigger = "alias" if self.kind == "no-stages" else "stage"
        return Target(trigger=trigger, test_dataset="testing", max_wer=0.9)

    @property
    def served(self) -> str:
        """How a person names what is in production."""
        return f"{self.name}@production" if self.kind == "no-stages" else f"{self.name}/Production"


@dataclass(frozen=True)
class Story:
    """What was done in one place: a model trained, tested and promoted."""

    place: Place
    trained: workflow.TrainResult
    tested: workflow.TestResult
    promoted: Applied
