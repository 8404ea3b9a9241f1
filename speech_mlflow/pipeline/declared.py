"""What a project declares under ``[pipeline]`` in its settings file, checked whole before anything is done.

::

    [pipeline.data]
    recordings = "data/training/audio-and-transcripts"
    testing = "data/testing"

    [pipeline.models.clinic-en-us]
    train = ["recordings"]
    base_model = { adaptable_with = ["Acoustic"], before = 2026-01-31 }
    promote = true

    [pipeline.tests.testing]
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import ConfigDict, Field, model_validator

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion.target import Target
from speech_mlflow.settings import FILE, Settings
from speech_mlflow.toml_file import Key, nearest, where

NEWEST = "newest"
BASE = "base"
AT_SERVICE = "dataset:"
Kind = Literal["Acoustic", "AudioFiles", "Language", "LanguageMarkdown", "OutputFormatting", "Pronunciation"]


class _Table(pydantic.BaseModel):
    """A table of the file. ``short`` is the field that a plain string stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def short(cls) -> str | None:
        """The field that a plain string in the place of the table stands for."""
        return None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        name = cls.short()
        return {name: value} if name is not None and isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        if cls.short() is None:
            return schema
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(schema)]}


class Data(_Table):
    """A data set, for training or for testing."""

    path: str = Field(description="folder, zip or text file, from where this file lies; or dataset:ID of the service")
    kind: Kind | None = Field(default=None, description="kind of data; default: follows from the content")

    @classmethod
    def short(cls) -> str:
        return "path"


class BaseChoice(_Table):
    """Which base model to adapt: the newest that fits, or the one of an id."""

    id: str | None = Field(default=None, description="id of the base model; none: the newest that fits")
    adaptable_with: tuple[Kind, ...] = Field(
        default=(), description="kinds of data that it must take, beside those that the model is trained with"
    )
    before: datetime.date | None = Field(default=None, description="only base models made before this day (UTC)")

    @classmethod
    def short(cls) -> str:
        return "id"

    @model_validator(mode="before")
    @classmethod
    def _newest(cls, value: Any) -> Any:
        return {} if value in (NEWEST, {"id": NEWEST}) else value

    @model_validator(mode="after")
    def _one_way(self) -> BaseChoice:
        if self.id is not None and (self.adaptable_with or self.before):
            raise ValueError("an id leaves nothing to choose: give the id, or what the newest must fit")
        return self


class Model(_Table):
    """A model to train; each training is a version of its registered model."""

    train: tuple[str, ...] = Field(min_length=1, description="names of the data sets that it is trained with")
    base_model: BaseChoice = Field(
        default=BaseChoice(), description='"newest", the id of a base model, or what the newest must fit'
    )
    weight_percent: int | None = Field(
        default=None, ge=1, le=100, description="weight of the new data; default: the service chooses"
    )
    registered_model: str | None = Field(default=None, description="registered model; default: the name of the table")
    description: str | None = Field(default=None, description="note on the MLflow run")
    promote: bool = Field(default=False, description="promote the version, where the gates of its target say yes")


class Test(_Table):
    """A test set, and what is tested on it."""

    __test__ = False  # nothing for pytest

    data: str | None = Field(default=None, description="name of the data set; default: the name of the table")
    models: tuple[str, ...] | None = Field(default=None, description="models of this pipeline; default: all")
    against: tuple[str, ...] = Field(
        default=(BASE,),
        description='what each is tested beside: "base", NAME/VERSION or an id; what is served is compared anyway',
    )
    normalizer: str | None = Field(default=None, description="text normaliser; default: that of the locale")


class Pipeline(_Table):
    """What is trained, tested and promoted."""

    name: str | None = Field(default=None, min_length=1, description="name of the parent run; default: names of the models")
    data: dict[str, Data] = Field(default_factory=dict, description="data sets by name, for training and testing")
    models: dict[str, Model] = Field(min_length=1, description="models by name")
    tests: dict[str, Test] = Field(default_factory=dict, description="test sets by name")

    @property
    def title(self) -> str:
        """Name of the parent run."""
        return self.name or ", ".join(self.models)

    def registered(self, model: str) -> str:
        """The registered model of a model."""
        return self.models[model].registered_model or model

    def tested(self, test: str) -> tuple[str, ...]:
        """The models that are tested on a test set."""
        chosen = self.tests[test].models
        return tuple(self.models) if chosen is None else chosen

    def testing_data(self, test: str) -> str:
        """The data set of a test."""
        return self.tests[test].data or test


class SettingsFile(Settings):
    """The settings file with all its tables typed: what it is checked by, and what its JSON schema is made from."""

    targets: dict[str, Target] = Field(  # type: ignore[assignment]
        default_factory=dict, description="by registered model: what serves it, under which gates"
    )
    pipeline: Pipeline | None = Field(  # type: ignore[assignment]
        default=None, description="what `speech-mlflow run` trains, tests and promotes"
    )


def read(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Pipeline:
    """The pipeline that a settings file declares (default: ``speech-mlflow.toml`` of the working directory).

    Raises SettingsError with everything that is wrong in any part of the file, each with its line and the nearest known name.
    """
    path = Path(FILE) if path is None else path
    if not path.is_file():
        raise SettingsError(f"there is no {path}", hint="`speech-mlflow init` writes one to start from")
    declared = SettingsFile.load(flags, file=path).pipeline
    if declared is None:
        raise SettingsError(f"{path} declares no [pipeline]", hint="`speech-mlflow init DIR` writes an example to copy from")
    wrong = [f"{where(path, key)}: {what}" for key, what in _dangling(declared)]
    if wrong:
        hint = "`speech-mlflow init DIR` writes an example of a pipeline to compare with"
        raise SettingsError("\n  ".join(wrong if len(wrong) == 1 else ["wrong settings:", *wrong]), hint=hint)
    return declared


def anchored(settings: Settings, directory: Path) -> Settings:
    """The settings with all relative paths of the file meant from ``directory``, where it lies."""
    targets = {name: _with_paths(target, directory) for name, target in settings.targets.items()}
    found = settings.anchored(directory)
    found.targets.update(targets)
    return found


def _with_paths(target: dict[str, Any], directory: Path) -> dict[str, Any]:
    """A target whose probe's recordings have absolute paths."""
    if "probe" not in target:
        return target
    probe = dict(target["probe"])
    probe["recordings"] = [{**one, "audio": str(directory.absolute() / one["audio"])} for one in probe["recordings"]]
    return {**target, "probe": probe}


def _dangling(pipeline: Pipeline) -> Iterable[tuple[Key, str]]:
    """Names that nothing has, and registered models that two models would be promoted to."""
    promoted: dict[str, str] = {}
    for name, model in pipeline.models.items():
        here: Key = ("pipeline", "models", name)
        for index, data in enumerate(model.train):
            if data not in pipeline.data:
                yield (*here, "train", index), f"no data set {data!r} in [pipeline.data]{nearest(data, pipeline.data)}"
        registered = pipeline.registered(name)
        if model.promote and registered in promoted:
            yield (*here, "promote"), f"{promoted[registered]!r} is promoted as {registered!r} already: only one can be served"
        if model.promote:
            promoted.setdefault(registered, name)
        if "/" in registered or ":" in registered:
            yield here, f"{registered!r} is no name for a registered model: MLflow takes no / and no :"
    for name, test in pipeline.tests.items():
        here = ("pipeline", "tests", name)
        data = pipeline.testing_data(name)
        if data not in pipeline.data:
            key = here if test.data is None else (*here, "data")
            yield key, f"no data set {data!r} in [pipeline.data]{nearest(data, pipeline.data)}"
        for index, model_name in enumerate(test.models or ()):
            if model_name not in pipeline.models:
                known = nearest(model_name, pipeline.models)
                yield (*here, "models", index), f"no model {model_name!r} in [pipeline.models]{known}"
