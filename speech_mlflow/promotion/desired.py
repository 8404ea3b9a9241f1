"""Which version of a registered model is to be served, according to the registry.

The registry says it by the stage *Production*, by the alias ``production``, or by the tag ``speech.production`` of the registered
model. Alias and tag name one version. A stage may hold several versions, since a transition does not archive the others unless it is
told to; MLflow then names the highest version number, also after a move back to an older one. What was moved last is found by time: a
transition writes one and the same ``last_updated_timestamp`` into the version and into the registered model, and nothing else writes
both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from speech_mlflow.promotion.records import ALIAS, PRODUCTION, Registered, Version
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

Trigger = Literal["stage", "alias", "tag"]
State = Literal["served", "none", "ambiguous"]


@dataclass(frozen=True)
class Desired:
    """The version to be served.

    ``state`` is *served* (``version`` names it), *none* (the registry names none) or *ambiguous* (it names several, and
    nothing says which was moved last); in the last two cases what is served stays. ``reason`` is a sentence for people,
    ``notes`` hold what else they should know.
    """

    name: str
    version: str | None
    state: State
    reason: str
    record: Version | None = None
    notes: tuple[str, ...] = ()


def resolve(client: MlflowClient, model_name: str, *, trigger: Trigger = "stage") -> Desired:
    """Read a registered model and say which version is to be served. PromotionError where there is no such model."""
    from speech_mlflow.promotion import registry

    return desired_of(registry.read(client, model_name), trigger)


def desired_of(model: Registered, trigger: Trigger = "stage") -> Desired:
    """Which version is to be served: a function of the records alone."""
    return _by_stage(model) if trigger == "stage" else _by_name(model, trigger)


def named_by(model: Registered, trigger: Trigger) -> str | None:
    """The number of the version that the alias or the tag names."""
    return model.tags.get(tags.PRODUCTION) if trigger == "tag" else model.aliases.get(ALIAS)


def _by_name(model: Registered, trigger: Trigger) -> Desired:
    number, what = named_by(model, trigger), tags.PRODUCTION if trigger == "tag" else ALIAS
    production = [version.number for version in _in_production(model)]
    notes: tuple[str, ...] = ()
    if production and production != [number]:
        notes = (f"{_versions(production)} in stage {PRODUCTION}, which is not what deploys here: the {trigger} is",)
    if number is None:
        twins = [alias for alias in model.aliases if alias.lower() == ALIAS]
        if twins and trigger == "alias":
            notes += (f"aliases are case-sensitive: {', '.join(sorted(twins))} is not {ALIAS}",)
        return Desired(model.name, None, "none", f"{model.name} has no {trigger} {what}", notes=notes)
    record = model.version(number)
    if record is None:
        reason = f"the {trigger} {what} names version {number} of {model.name}, which is not there"
        return Desired(model.name, None, "none", reason, notes=notes)
    return Desired(model.name, number, "served", f"the {trigger} {what} names version {number}", record, notes)


def _by_stage(model: Registered) -> Desired:
    candidates = _in_production(model)
    alias = model.aliases.get(ALIAS)
    notes: tuple[str, ...] = ()
    if alias is not None and [alias] != [version.number for version in candidates]:
        notes = (f"the alias {ALIAS} names version {alias}, which is not what deploys here: the stage is",)
    if not candidates:
        return Desired(model.name, None, "none", f"no version of {model.name} is in stage {PRODUCTION}", notes=notes)
    if len(candidates) == 1:
        only = candidates[0]
        return Desired(model.name, only.number, "served", f"version {only.number} is in stage {PRODUCTION}", only, notes)
    numbers = [version.number for version in candidates]
    moved_last = [version for version in candidates if version.updated == model.updated]
    if len(moved_last) == 1:
        winner = moved_last[0]
        reason = f"{_versions(numbers)} in stage {PRODUCTION}; version {winner.number} was moved there last"
        return Desired(model.name, winner.number, "served", reason, winner, notes)
    reason = f"{_versions(numbers)} in stage {PRODUCTION}, and nothing says which was moved there last"
    notes += (f"move the right one to {PRODUCTION} again, archiving the others",)
    return Desired(model.name, None, "ambiguous", reason, notes=notes)


def _in_production(model: Registered) -> list[Version]:
    found = [version for version in model.versions if version.stage == PRODUCTION]
    return sorted(found, key=lambda version: int(version.number))


def _versions(numbers: list[str]) -> str:
    if len(numbers) == 1:
        return f"version {numbers[0]} is"
    return f"versions {', '.join(numbers[:-1])} and {numbers[-1]} are"
