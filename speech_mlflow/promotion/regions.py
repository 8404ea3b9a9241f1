"""A target in several speech resources: the one where models are trained, and those that it names in ``regions``.

Each region has an endpoint and a promotion of its own. The first resource goes first: a version goes on to the regions once it is
served there, so that what its gates or its probe refuse goes nowhere. A region that fails stops no other; it is tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import ClaimHeldError, SettingsError, SpeechMlflowError, StalePlanError
from speech_mlflow.promotion.apply import Applied, apply
from speech_mlflow.promotion.copies import Source
from speech_mlflow.promotion.observed import Endpoints, state_of
from speech_mlflow.promotion.options import Options, Stopped
from speech_mlflow.promotion.plan import Plan
from speech_mlflow.promotion.reading import plan_of, read_plan
from speech_mlflow.promotion.records import Registered
from speech_mlflow.promotion.target import Target

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.settings import Settings

CLAIM_PATIENCE = 3600.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Elsewhere:
    """What came of one region: a promotion, or why there was none."""

    region: str
    result: str
    reason: str
    applied: Applied | None = None

    @property
    def well(self) -> bool:
        """Whether the region serves what it should, or nobody could know better yet."""
        return self.result in {"served", "unchanged"}

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        given = self.applied.to_dict() if self.applied else {"result": self.result, "reason": self.reason}
        return {"region": self.region, **given}


class Regions:
    """The resources that the settings name; connections are made when they are first needed. May be used by several threads."""

    def __init__(self, settings: Settings, main: SpeechClient) -> None:
        self._settings = settings
        self._main = main
        self._open: dict[str, SpeechClient] = {}
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._listed: dict[str, Endpoints | None] = {}

    def __enter__(self) -> Regions:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def speech(self, region: str) -> SpeechClient:
        """The connection to a named resource. SettingsError where there is none of that name."""
        from speech_mlflow.connection import connect_resource

        with self._lock:
            if region not in self._open:
                self._open[region] = self._stack.enter_context(connect_resource(self._settings, region))
            return self._open[region]

    @property
    def source(self) -> Source:
        """Where models are copied from."""
        from speech_mlflow.connection import resource_id_of

        return Source(self._main, resource_id_of(self._settings))

    def plans(self, client: MlflowClient, name: str, target: Target) -> list[Plan]:
        """What would be done in each region of a target; ``target`` has what the tags say."""
        return [read_plan(self.speech(region), client, name, target.in_region(region))[1] for region in target.regions]

    def apply(
        self, client: MlflowClient, main: Applied, options: Options | None = None, *, patient: bool = True
    ) -> list[Elsewhere]:
        """Bring every region to what the first resource serves; nothing where that does not serve what it should. ``patient``
        waits for another process that works on the same region."""
        target, name = main.plan.target, main.plan.name
        if not target.regions or main.plan.desired.state != "served":
            return []
        if not main.served:
            waits = f"waits until version {main.plan.desired.version} is served by the first resource"
            return [Elsewhere(region, "waiting", waits) for region in target.regions]
        deadline = time.monotonic() + (CLAIM_PATIENCE if patient else 0.0)
        options = options or Options()
        return [self._apply(client, name, target.in_region(region), options, deadline) for region in target.regions]

    def refresh(self) -> None:
        """Forget what was listed: a new comparison begins."""
        self._listed.clear()

    def compare(self, model: Registered, target: Target) -> list[Plan]:
        """The plan of each region that answers, from one list of its endpoints for all models."""
        found = []
        for region in target.regions:
            endpoints = self._endpoints(region)
            if endpoints is not None:
                found.append(plan_of(model, endpoints, target.in_region(region), self.speech(region).resource))
        return found

    def _endpoints(self, region: str) -> Endpoints | None:
        """All endpoints of a region; None where it does not answer, which is asked once a comparison, and a line in the log."""
        if region not in self._listed:
            try:
                self._listed[region] = Endpoints(state_of(endpoint) for endpoint in self.speech(region).endpoints.list())
            except SpeechMlflowError as error:
                log.warning("region %s cannot be compared: %s", region, error)
                self._listed[region] = None
        return self._listed[region]

    def _apply(self, client: MlflowClient, name: str, target: Target, options: Options, deadline: float) -> Elsewhere:
        assert target.region is not None
        try:
            while True:
                try:
                    applied = apply(self.speech(target.region), client, name, target, source=self.source, options=options)
                    return Elsewhere(target.region, applied.result, applied.reason, applied)
                except ClaimHeldError:
                    if time.monotonic() >= deadline:
                        raise
                    options.pause(0.5)
        except Stopped:
            raise
        except (ClaimHeldError, StalePlanError) as error:
            return Elsewhere(target.region, "waiting", str(error))
        except Exception as error:  # a region that fails stops no other
            if not isinstance(error, SpeechMlflowError):
                log.exception("promotion of %s in %s failed", name, target.region)
            return Elsewhere(target.region, "error", f"{type(error).__name__}: {error}")


def unknown_regions(settings: Settings) -> None:
    """SettingsError that names every region of a target for which there is no resource."""
    wrong = [
        f"targets.{name}: {region}"
        for name, values in settings.targets.items()
        for region in values.get("regions", ())
        if region not in settings.resources
    ]
    if wrong:
        known = ", ".join(sorted(settings.resources)) or "none"
        raise SettingsError(f"regions without a resource: {'; '.join(wrong)}", hint=f"[resources.NAME] there are: {known}")
