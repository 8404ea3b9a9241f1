"""What the promotion part reads from the registry, as plain records: the functions over them need no MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PRODUCTION = "Production"
ALIAS = "production"


@dataclass(frozen=True)
class Version:
    """One registered version. ``number`` is text, as in MLflow's URIs; ``updated`` is its last update in milliseconds."""

    number: str
    stage: str = "None"
    updated: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    source: str | None = None
    user: str | None = None


@dataclass(frozen=True)
class Registered:
    """A registered model with all its versions, read at one moment.

    ``updated`` is the registered model's own last update in milliseconds: a transition of a stage writes the same number
    into the version, an edit of a description does not.
    """

    name: str
    updated: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[Version, ...] = ()

    def version(self, number: str | None) -> Version | None:
        """The version of this number; None where it is not (or no more) there."""
        return next((version for version in self.versions if version.number == number), None)

    def version_of_model(self, model_id: str | None, tag: str) -> Version | None:
        """The newest version whose ``tag`` names this model of the service."""
        if model_id is None:
            return None
        found = [version for version in self.versions if version.tags.get(tag) == model_id]
        return max(found, key=lambda version: int(version.number), default=None)


@dataclass(frozen=True)
class Mark:
    """What tells that a registered model changed without reading its versions (see :func:`.registry.poll`)."""

    updated: int
    aliases: tuple[tuple[str, str], ...]
    ours: bool
    named: str | None = None
    """By the tag that may say what is to be served."""
