"""What serves a registered model, and under which conditions: a target, as declared in ``speech-mlflow.toml``, or by tags on
the registered model (``speech.target.max_wer = 0.25``) for what the file does not say.

::

    [targets.clinic-en-us]
    trigger = "stage"
    test_dataset = "clinic-test"
    max_wer = 0.25

    [targets.clinic-en-us.probe]
    max_wer = 0.5
    recordings = [{ audio = "probe/a01.wav", text = "the patient was seen" }]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import ConfigDict, Field

from speech_mlflow.errors import SettingsError
from speech_mlflow.toml_file import dotted, problems_of

DEFAULT = "default"
PREFIX = "speech-mlflow"
TAG = "speech.target."
"""Before a target's field in a tag of the registered model; the tag's value is JSON, or text."""
NOT_BY_TAG = frozenset({"name", "probe", "region"})
"""Fields that no tag sets: a probe names files of the machine that the controller runs on."""


class _Declared(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Recording(_Declared):
    """A recording and what is said in it."""

    audio: Path
    text: str = Field(min_length=1)


class Probe(_Declared):
    """What is sent to the endpoint after its model changed, and what must come back.

    ``max_wer`` bounds the word error rate over all recordings (a fraction), ``max_seconds`` the slowest answer.
    """

    recordings: tuple[Recording, ...] = Field(min_length=1)
    max_wer: float = Field(default=0.5, ge=0)
    max_seconds: float | None = Field(default=None, gt=0)


class Rules(_Declared):
    """What the built-in gates ask for."""

    test_dataset: str | None = Field(default=None, description="name, digest or fingerprint of the test data")
    max_wer: float | None = Field(default=None, ge=0, description="ceiling of the word error rate, a fraction")
    compare: bool = Field(default=True, description="refuse a version that is worse than the one served")
    groups: bool = Field(default=True, description="compare each group of utterances (speaker, device, ...) too")
    margin: float = Field(default=0.0, ge=0, description="how much worse a version may be, in WER (0.01: one point)")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="confidence level at which a version counts as worse")
    contamination: bool = Field(default=True, description="refuse a version whose test data was in its training data")
    expires_within_days: float = Field(default=0.0, ge=0, description="refuse a model that expires within so many days")
    approval: bool = Field(default=False, description="ask for the tag speech.approved_by, by somebody else than the author")
    required_gates: tuple[str, ...] = Field(default=(), description="gates of plugins without whose yes no version is served")


class Target(Rules):
    """What serves a registered model. One target has one endpoint."""

    name: str = Field(default=DEFAULT, min_length=1, pattern=r"^[^/]+$")
    trigger: Literal["stage", "alias", "tag"] = "stage"
    endpoint_id: str | None = Field(default=None, description="an endpoint that exists and is to be taken over")
    project: str | None = Field(default=None, description="id of the project that a new endpoint is put in")
    regions: tuple[str, ...] = Field(default=(), description="named resources that serve the model, too")
    region: str | None = Field(default=None, description="of the part of a target in one region; nobody declares it")
    probe: Probe | None = None
    heal: bool = Field(default=True, description="undo what others changed on the endpoint")

    @classmethod
    def declared(cls, values: Any, *, where: str = "target") -> Target:
        """A target from a file's table. SettingsError names every key that is unknown or wrong."""
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            wrong = [f"{dotted(key)}: {what}" for key, what in problems_of(error, cls)]
            raise SettingsError(f"wrong setting in {where}: {'; '.join(wrong)}") from None

    def with_tags(self, tags: Mapping[str, str], *, of: str = "its registered model") -> Target:
        """The target with what the tags of its registered model (named ``of`` in errors) say of it; what was declared otherwise
        stands.

        SettingsError names every tag that is unknown or wrong.
        """
        said = {key.removeprefix(TAG): _value(text) for key, text in tags.items() if key.startswith(TAG)}
        if not said:
            return self
        refused = sorted(NOT_BY_TAG & said.keys())
        if refused:
            raise SettingsError(f"{', '.join(refused)} cannot be set by a tag of {of}", hint="declare it in speech-mlflow.toml")
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return Target.declared({**said, **kept}, where=f"the tags {TAG}* of {of}")

    def in_region(self, region: str) -> Target:
        """The part of the target in a named resource: a target of its own, with an endpoint of its own."""
        name = region if self.name == DEFAULT else f"{self.name}.{region}"
        return self.model_copy(update={"name": name, "region": region, "regions": (), "endpoint_id": None, "project": None})

    def key(self, registered_model: str) -> str:
        """What the target is called everywhere: ``<registered model>/<target>``."""
        return f"{registered_model}/{self.name}"

    def display_name(self, registered_model: str) -> str:
        """The ``displayName`` of the target's endpoint, by which the service can be asked for it."""
        return f"{PREFIX}/{self.key(registered_model)}"

    def tag(self, base: str) -> str:
        """The registry tag ``base`` of this target: the default target's is ``base`` itself."""
        return base if self.name == DEFAULT else f"{base}.{self.name}"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
