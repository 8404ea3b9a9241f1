"""Looking into MLflow and the service from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run

from speech_mlflow.hookspecs import hookimpl
from speech_mlflow.plugins import plugin_manager
from speech_mlflow.scoring.evaluators import Evaluator

EXPERIMENT = "speech"


class Mlflow:
    """What a person sees in MLflow, by plain client calls."""

    def __init__(self, uri: str, experiment: str = EXPERIMENT) -> None:
        self.uri = uri
        self.experiment = experiment
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    @property
    def where(self) -> dict[str, Any]:
        """The arguments of the workflow's functions that say which MLflow is meant."""
        return {"tracking_uri": self.uri, "experiment": self.experiment}

    @property
    def experiment_id(self) -> str:
        found = self.client.get_experiment_by_name(self.experiment)
        assert found is not None
        return str(found.experiment_id)

    def runs(self, kind: str = "") -> list[Run]:
        wanted = f"tags.`speech.kind` = '{kind}'" if kind else ""
        return list(self.client.search_runs([self.experiment_id], wanted))

    def models(self) -> list[LoggedModel]:
        return list(self.client.search_logged_models([self.experiment_id]))

    def artifacts(self, run_id: str, path: str | None = None) -> list[str]:
        found = []
        for info in self.client.list_artifacts(run_id, path):
            found += self.artifacts(run_id, info.path) if info.is_dir else [info.path]
        return sorted(found)

    def text(self, run_id: str, path: str) -> str:
        return Path(self.client.download_artifacts(run_id, path)).read_text("utf-8")

    def json(self, run_id: str, path: str) -> Any:
        return json.loads(self.text(run_id, path))


@contextmanager
def plugged(*evaluators: Evaluator) -> Iterator[None]:
    """Evaluators that a plugin registers, for a while."""

    class Plugin:
        @hookimpl
        def register_evaluators(self, register) -> None:  # type: ignore[no-untyped-def]
            for evaluator in evaluators:
                register(evaluator)

    plugin = Plugin()
    plugin_manager().register(plugin, name="of the test")
    try:
        yield
    finally:
        plugin_manager().unregister(plugin)
