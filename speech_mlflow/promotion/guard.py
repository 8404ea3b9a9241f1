"""May a version move to Production, by what MLflow holds of it? What the guard inside an MLflow server asks.

The same gates as before a deployment are asked, with recorded evidence only: runs, tags, and what tests measured. The speech
service is not asked, so that what only it knows (whether the model is still there) is left to the controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from speech_mlflow.promotion import gates, registry
from speech_mlflow.promotion.decisions import Candidate
from speech_mlflow.promotion.observed import Observed
from speech_mlflow.promotion.plan import hold_of
from speech_mlflow.promotion.reading import OVERRIDE, candidate_of
from speech_mlflow.promotion.records import ALIAS, PRODUCTION, Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    import pluggy
    from mlflow import MlflowClient


SECONDS = 5.0
"""How long a gate may think while an MLflow server waits for it."""


@dataclass(frozen=True)
class Move:
    """What a request to MLflow asks for: that a version be served."""

    name: str
    version: str
    by: str

    @classmethod
    def of_stage(cls, asked: Mapping[str, object]) -> Move | None:
        """The move in the body of *transition-stage*; None where it is to another stage, or no proper request."""
        name, version, stage = asked.get("name"), asked.get("version"), asked.get("stage")
        if not (isinstance(name, str) and isinstance(version, str) and isinstance(stage, str)):
            return None
        return cls(name, version, "stage") if stage.lower() == PRODUCTION.lower() else None

    @classmethod
    def of_tag(cls, asked: Mapping[str, object]) -> Move | None:
        """The move in the body of *registered-models/set-tag*; None where it is another tag, or no proper request."""
        name, key, value = asked.get("name"), asked.get("key"), asked.get("value")
        if not (isinstance(name, str) and isinstance(value, str)):
            return None
        return cls(name, value, "tag") if key == tags.PRODUCTION else None

    @classmethod
    def of_alias(cls, asked: Mapping[str, object]) -> Move | None:
        """The move in the body of *registered-models/alias*; None where it is another alias, or no proper request."""
        name, version, alias = asked.get("name"), asked.get("version"), asked.get("alias")
        if not (isinstance(name, str) and isinstance(version, str)):
            return None
        return cls(name, version, "alias") if alias == ALIAS else None


def refusal(client: MlflowClient, move: Move, target: Target, *, manager: pluggy.PluginManager | None = None) -> str | None:
    """Why a version must not be moved to Production; None where nothing recorded stands against it.

    Whatever fails in here is raised, a gate's own errors too: it is for the caller to let the move pass then.
    """
    model = registry.read(client, move.name)
    target = target.with_tags(model.tags)
    if move.by not in {"stage", target.trigger}:
        return None
    version = model.version(move.version)
    if version is None or not _is_ours(model, version) or OVERRIDE in version.tags:
        return None
    published = model.tags.get(target.tag(tags.SERVED_VERSION))
    if published == version.number:
        return None
    observed = Observed(None, published_version=published)
    held = hold_of(version, model, target, observed)
    decisions = gates.evaluate(read_recorded(client, model, version, target), manager=manager, raising=True, seconds=SECONDS)
    reasons = [f"it is held back: {held}"] if held else []
    reasons += [f"gate {one.gate}: {one.reason}" for one in gates.refused(decisions)]
    return _sentence(model, version, reasons) if reasons else None


def read_recorded(client: MlflowClient, model: Registered, version: Version, target: Target) -> Candidate:
    """What a gate decides on, as far as MLflow holds it."""
    champion = model.version(model.tags.get(target.tag(tags.SERVED_VERSION)))
    return candidate_of(client, model, version, target, champion, expires=_recorded_expiry(client, version))


def _recorded_expiry(client: MlflowClient, version: Version) -> float | None:
    """When the service stops serving the model, as its training noted it."""
    run_id = version.tags.get(tags.TRAIN_RUN_ID) or version.run_id
    noted = version.tags.get(tags.EXPIRES) or (client.get_run(run_id).data.tags.get(tags.EXPIRES) if run_id else None)
    return datetime.fromisoformat(noted.replace("Z", "+00:00")).timestamp() if noted else None


def _is_ours(model: Registered, version: Version) -> bool:
    return tags.UID in model.tags or tags.LOCALE in model.tags or tags.MODEL_ID in version.tags


def _sentence(model: Registered, version: Version, reasons: list[str]) -> str:
    return (
        f"Version {version.number} of {model.name} is not moved to {PRODUCTION}: {'; '.join(reasons)}. "
        f"Mend it, or run: speech-mlflow promote {model.name}/{version.number} --override REASON"
    )
