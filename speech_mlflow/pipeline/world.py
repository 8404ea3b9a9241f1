"""What a pipeline stands on: the service, MLflow, the declared project, and its data, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.errors import SettingsError, SpeechMlflowError
from speech_mlflow.pipeline.declared import AT_SERVICE, Pipeline
from speech_mlflow.progress import Progress, silent
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.corpus import Corpus
    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.promotion.target import Target
    from speech_mlflow.service import SpeechClient
    from speech_mlflow.service.entities import BaseModel
    from speech_mlflow.tracking.store import Store

Purpose = Literal["training", "testing"]


@dataclass
class World:
    """Connections and declarations. Paths of data are meant from ``directory``, where the settings file lies."""

    speech: SpeechClient
    settings: Settings
    pipeline: Pipeline
    directory: Path
    progress: Progress = silent
    _read: dict[tuple[str, Purpose], Corpus | SpeechMlflowError] = field(default_factory=dict)

    @cached_property
    def client(self) -> MlflowClient:
        """A client of the MLflow store and registry."""
        from speech_mlflow.connection import mlflow_client

        return mlflow_client(self.settings)

    @cached_property
    def store(self) -> Store:
        """The store with the experiment, which is made where it does not exist: for runs that are begun."""
        from speech_mlflow.connection import mlflow_store

        return mlflow_store(self.settings)

    @cached_property
    def regions(self) -> Regions:
        """The other resources that targets name; connections are made when they are needed."""
        from speech_mlflow.promotion.regions import Regions

        return Regions(self.settings, self.speech)

    def close(self) -> None:
        """Close the connections that were made here."""
        self.regions.__exit__()

    def store_to_look_in(self) -> Store | None:
        """The store with the experiment as it is; None where there is no such experiment. Nothing is made."""
        from speech_mlflow.tracking.store import Store, find_experiment

        found = find_experiment(self.client, self.settings)
        return Store(self.client, str(found.experiment_id)) if found and found.lifecycle_stage == "active" else None

    @property
    def where(self) -> dict[str, Any]:
        """Where MLflow is, as the use cases take it."""
        from speech_mlflow.connection import mlflow_options

        return mlflow_options(self.settings)

    def target(self, registered_model: str) -> Target:
        """What serves a registered model, and under which gates."""
        from speech_mlflow.promotion.usecases import target_of

        return target_of(self.settings, registered_model)

    def gated(self, model: str) -> bool:
        """Whether gates are asked of a model: it is to be promoted, or a target is declared for it."""
        return self.pipeline.models[model].promote or self.pipeline.registered(model) in self.settings.targets

    def uses(self) -> dict[str, list[Purpose]]:
        """The data sets that are used, each with what for, in the order of the file."""
        used: dict[str, list[Purpose]] = {name: [] for name in self.pipeline.data}
        for model in self.pipeline.models.values():
            for name in model.train:
                if "training" not in used[name]:
                    used[name].append("training")
        for test in self.pipeline.tests:
            if self.pipeline.tested(test) and "testing" not in used[self.pipeline.testing_data(test)]:
                used[self.pipeline.testing_data(test)].append("testing")
        return {name: purposes for name, purposes in used.items() if purposes}

    def data(self, name: str, purpose: Purpose) -> Corpus:
        """A data set, read and checked once. Raises CorpusError with all that is wrong with it."""
        if (name, purpose) not in self._read:
            try:
                self._read[name, purpose] = self._load(name, purpose)
            except SpeechMlflowError as error:
                self._read[name, purpose] = error
        found = self._read[name, purpose]
        if isinstance(found, SpeechMlflowError):
            raise found
        return found

    def fit(self, name: str, purpose: Purpose) -> bool:
        """Whether a data set can be used."""
        try:
            return bool(self.data(name, purpose))
        except SpeechMlflowError:
            return False

    def base_model(self, model: str) -> BaseModel:
        """The base model that is adapted. Raises SettingsError, with what is wrong with each, where none fits."""
        import datetime

        from speech_mlflow.service.choose import choose_base_model

        declared = self.pipeline.models[model]
        choice = declared.base_model
        if choice.id is not None:
            return self.speech.models.get_base(choice.id)
        kinds = {self.data(name, "training").kind for name in declared.train}
        before = datetime.datetime.combine(choice.before, datetime.time(), datetime.timezone.utc) if choice.before else None
        return choose_base_model(self.speech, self.settings.locale, sorted({*kinds, *choice.adaptable_with}), before=before)

    def _load(self, name: str, purpose: Purpose) -> Corpus:
        from speech_mlflow.corpus import read_corpus
        from speech_mlflow.workflow.data import read_all

        declared = self.pipeline.data[name]
        if declared.path.startswith(AT_SERVICE):
            if declared.kind is not None:
                raise SettingsError(f"pipeline.data.{name}: the service knows the kind of {declared.path}: leave it out")
            return read_all([declared.path], locale=self.settings.locale, speech=self.speech, purpose=purpose)[0]
        corpus = read_corpus(
            self.directory / declared.path,
            locale=self.settings.locale,
            kind=declared.kind,
            name=name,
            purpose=purpose,
            progress=self.progress,
        )
        corpus.check()
        return corpus
