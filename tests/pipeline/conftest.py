"""Small projects on the real offline service and a real MLflow store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from speech_mlflow.pipeline import Outcome, Outlook, PipelineResult, Project, read
from speech_mlflow.service import SpeechClient
from speech_mlflow.settings import Settings
from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow import MlflowStore
from tests.workflow.conftest import CLINIC, excerpt

TERMS = ("She was given apixaban for atelectasis.", "Hold warfarin before the echocardiogram.", "Continue prednisone.")
IDS = ["t01.wav", "t02.wav", "t03.wav", "t04.wav"]
ONE_MODEL = """
[pipeline.data]
terms = "terms.txt"
testing = "testing"

[pipeline.models.clinic]
train = ["terms"]
promote = true

[pipeline.tests.testing]

[targets.clinic]
test_dataset = "testing"
compare = false
"""


@dataclass
class Folder:
    """A project's folder, and the MLflow and the service that it works with."""

    path: Path
    uri: str
    speech: SpeechClient
    told: list[Outcome] = field(default_factory=list)

    def declare(self, text: str) -> None:
        """Write the project's file."""
        where = f'tracking_uri = "{self.uri}"\nexperiment = "clinic"\n'
        (self.path / "speech-mlflow.toml").write_text(where + text, "utf-8")

    @property
    def project(self) -> Project:
        file = self.path / "speech-mlflow.toml"
        settings = Settings.load(file=file, environ={})
        return Project(self.speech, settings, read(file), self.path, who="test", on_outcome=self.told.append)

    def run(self, until: Any = "promote") -> PipelineResult:
        """What ``speech-mlflow run`` does."""
        return self.project.run(until)

    def plan(self, until: Any = "promote") -> dict[str, Outlook]:
        """What ``speech-mlflow run --dry-run`` shows, by step."""
        return {one.id: one for one in self.project.plan(until)}

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def runs(self, kind: str = "") -> list[Run]:
        """All runs of all experiments, or those of a kind, oldest first."""
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        found = self.client.search_runs(experiments, f"tags.`speech.kind` = '{kind}'" if kind else "", max_results=1000)
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def served(self, name: str = "clinic") -> str | None:
        """The version that is served, by the service's own word."""
        uid = self.client.get_registered_model(name).tags["speech.uid"]
        ours = [one for one in self.speech.endpoints.list() if (one.custom_properties or {}).get("speech-uid") == uid]
        if not ours:
            return None
        (endpoint,) = ours
        assert endpoint.model is not None
        found = self.client.search_model_versions(f"name = '{name}' and tags.`speech.model_id` = '{endpoint.model.id}'")
        return str(found[0].version)


def states(result: PipelineResult) -> dict[str, str]:
    """How each step ended."""
    return {one.id: one.state for one in result.outcomes}


MakeFolder = Callable[..., Folder]


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings with transcripts."""
    return excerpt(CLINIC / "testing", tmp_path_factory.mktemp("recordings") / "testing", IDS)


@pytest.fixture
def make_folder(tmp_path: Path, mlflow_store: MlflowStore, recordings: Path) -> Iterator[MakeFolder]:
    """Make a project's folder with data, for a service."""
    clients = []

    def make(service: RunningEmulator, text: str = ONE_MODEL, *, terms: str = "\n".join(TERMS)) -> Folder:
        path = tmp_path / "project"
        path.mkdir()
        (path / "terms.txt").write_text(terms + "\n", "utf-8-sig")
        (path / "testing").symlink_to(recordings)
        speech = SpeechClient(service.url, service.key.get_secret_value(), resource=service.resource)
        clients.append(speech)
        folder = Folder(path, mlflow_store.uri, speech)
        folder.declare(text)
        return folder

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def folder(make_folder: MakeFolder, emulator: RunningEmulator) -> Folder:
    """A project of one model and one test set, on the service of the session."""
    return make_folder(emulator)
