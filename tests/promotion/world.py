"""The world that promotion acts on: a real service, a real registry, and models that were trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mlflow import MlflowClient

from speech_mlflow.promotion.apply import Applied, apply
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.target import Target
from speech_mlflow.service import filters
from speech_mlflow.service.client import SpeechClient
from speech_mlflow.service.entities import Endpoint
from speech_mlflow.service.retry import Timing
from speech_mlflow.service.upload import upload_dataset
from speech_mlflow.tracking import tags

HERE = Path(__file__).parent
PLUGIN = HERE.parent / "emulator" / "tone_plugin"
WORDS = ("aspirin", "ibuprofen", "codeine")
"""One for each trained model: model *n* knows the *n*-th word, which neither the base model nor the others know."""
NAME = "clinic"


class Service:
    """The offline service in a process, with models that differ in one word."""

    def __init__(self, directory: Path) -> None:
        paths = os.pathsep.join([str(HERE.parents[1]), str(PLUGIN), os.environ.get("PYTHONPATH", "")])
        environ = {**os.environ, "PYTHONPATH": paths, "SPEECH_MLFLOW_DISABLED_PLUGINS": ""}
        command = [sys.executable, str(HERE / "service_process.py"), str(directory)]
        self.directory = directory
        self._process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address: dict[str, str] = json.loads(_pipe(self._process.stdout).readline())
        self.models: list[str] = []
        self.broken = ""

    def train(self) -> None:
        """Train the models, and one whose files are broken thereafter, so that it cannot be deployed."""
        self.models = [self._train(number, word) for number, word in enumerate(WORDS)]
        self.broken = self._train(len(WORDS), "nothing")
        for path in self.directory.glob("models/**/words.json"):
            if "nothing" in path.read_text():
                path.write_text("broken on disk")

    def connect(self) -> SpeechClient:
        """A client of its own for each test."""
        timing = Timing(sleep=lambda seconds: time.sleep(seconds / 20))
        return SpeechClient(self.address["url"], self.address["key"], resource=self.address["resource"], timing=timing)

    def tell(self, **wanted: Any) -> int:
        """Put faults in force or move the clock; how many requests met a fault so far. See service_process.py."""
        stdin = _pipe(self._process.stdin)
        stdin.write(json.dumps(wanted) + "\n")
        stdin.flush()
        return int(json.loads(_pipe(self._process.stdout).readline())["hits"])

    def close(self) -> None:
        """End the process by ending its input."""
        _pipe(self._process.stdin).close()
        self._process.wait(60)
        _pipe(self._process.stdout).close()

    def _train(self, number: int, word: str) -> str:
        text = self.directory / f"{word}.txt"
        text.write_text(f"please call {word}\n", "utf-8-sig")
        with self.connect() as speech:
            data = upload_dataset(
                speech, text, kind="Language", locale="en-US", display_name=word, fingerprint=str(number) * 64
            )
            return speech.wait(speech.models.create(display_name=word, locale="en-US", datasets=[data.id])).id


@dataclass
class World:
    """One registered model (or more) in a registry of its own, and the service."""

    service: Service
    speech: SpeechClient
    client: MlflowClient
    events: list[PromotionEvent] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """Ids of the trained models."""
        return self.service.models

    @property
    def experiment(self) -> str:
        """Id of the experiment of promotions."""
        return str(self.client.get_experiment_by_name("speech promotions").experiment_id)

    def register(self, name: str = NAME, versions: int = 3, *, uid: str | None = None) -> None:
        """A registered model as training leaves it: version *n* is the *n*-th trained model."""
        self.client.create_registered_model(name, tags={tags.UID: uid or uuid.uuid4().hex, tags.LOCALE: "en-US"})
        for number in range(versions):
            self.add_version(name, self.models[number % len(self.models)])

    def add_version(self, name: str, model_id: str, **more: str) -> str:
        """One more version, which stands for a model of the service."""
        noted = {tags.MODEL_ID: model_id, tags.RESOURCE: self.speech.resource, tags.LOCALE: "en-US", **more}
        return str(self.client.create_model_version(name, source=f"azure-speech://models/{model_id}", tags=noted).version)

    def move(self, version: str, name: str = NAME, *, archive: bool = True) -> None:
        """What a person does in MLflow."""
        time.sleep(0.002)  # the registry's times are whole milliseconds
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.client.transition_model_version_stage(name, version, "Production", archive_existing_versions=archive)

    def apply(self, name: str = NAME, target: Target | None = None, **options: Any) -> Applied:
        """One go of the controller's work."""
        given = Options(**{"who": "test", "why": "a test", "on_event": self.events.append, "look_after": (0.0, 0.2), **options})
        return apply(self.speech, self.client, name, target or Target(), options=given)

    # --- the state of the world ----------------------------------------------------------------------------------------

    def endpoints(self, name: str = NAME, target: str = "default") -> list[Endpoint]:
        """Every endpoint with the target's name and this registry's mark."""
        uid = self.client.get_registered_model(name).tags[tags.UID]
        found = self.speech.endpoints.list(filter=filters.eq("displayName", f"speech-mlflow/{name}/{target}"))
        return [one for one in found if (one.custom_properties or {}).get("speech-uid") == uid]

    def endpoint(self, name: str = NAME) -> Endpoint:
        """The one endpoint there is."""
        (only,) = self.endpoints(name)
        return only

    def hears(self, endpoint_id: str) -> int | None:
        """Which trained model answers behind an endpoint, by what it understands; None: none of them."""
        from tests.emulator.tone_plugin.tone_engine import speak

        heard = self.speech.recognize(endpoint_id, speak("call " + " ".join(WORDS)), language="en-US").lexical.split()
        known = [number for number, word in enumerate(WORDS) if word in heard]
        assert len(known) <= 1, heard
        return known[0] if known else None

    def tag(self, key: str, version: str | None = None, name: str = NAME) -> str | None:
        """A tag of the registered model, or of a version."""
        if version is None:
            found = self.client.get_registered_model(name).tags.get(key)
        else:
            found = self.client.get_model_version(name, version).tags.get(key)
        return None if found is None else str(found)

    def runs(self, kind: str = "promotion") -> list[Any]:
        """The promotion runs, oldest first."""
        experiment = self.client.get_experiment_by_name("speech promotions")
        if experiment is None:
            return []
        found = self.client.search_runs([experiment.experiment_id], f"tags.`speech.kind` = '{kind}'", max_results=1000)
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def results(self) -> list[str]:
        """What came of each promotion, oldest first."""
        return [run.data.tags.get("speech.result", "none") for run in self.runs()]


def versions_served(world: World, version: str, name: str = NAME) -> None:
    """Assert that everything agrees that this version, and nothing else, is served: service, registry, journal."""
    endpoint = world.endpoint(name)
    model_id = world.tag(tags.MODEL_ID, version, name)
    assert endpoint.status == "Succeeded"
    assert endpoint.model is not None
    assert endpoint.model.id == model_id
    assert world.hears(endpoint.id) == world.models.index(str(model_id))
    assert world.tag(tags.ENDPOINT_ID, None, name) == endpoint.id
    assert world.tag("speech.served_version", None, name) == version
    carrying = [
        str(one.version)
        for one in world.client.search_model_versions(f'name="{name}"')
        if one.tags.get(tags.ENDPOINT_ID) is not None
    ]
    assert carrying == [version]
    assert (endpoint.custom_properties or {})["model-version"] == version
    assert all(run.info.status != "RUNNING" for run in world.runs())
    assert all(run.data.tags["speech.open"] == "false" for run in world.runs())


def kinds(events: Iterable[PromotionEvent]) -> list[str]:
    """What was told, in order."""
    return [event.kind for event in events]


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
