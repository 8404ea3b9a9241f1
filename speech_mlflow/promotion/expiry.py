"""The controller's eye on models that expire: looks every hour, tells of each once, and keeps the numbers for metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from time import monotonic
from typing import TYPE_CHECKING

from speech_mlflow.errors import SpeechMlflowError
from speech_mlflow.promotion import lifecycle
from speech_mlflow.promotion.events import PromotionEvent, notify
from speech_mlflow.promotion.target import DEFAULT

if TYPE_CHECKING:
    from speech_mlflow.promotion.counts import Counts
    from speech_mlflow.promotion.options import Options
    from speech_mlflow.promotion.records import Registered
    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.promotion.target import Target
    from speech_mlflow.service.client import SpeechClient

LOOK_SECONDS = 3600.0
"""Dates change by the quarter; the list of all models is long."""
log = logging.getLogger(__name__)


class ExpiryWatch:
    """Looks at what is served, and tells ``model_expiring`` once a version, and once more when it has expired."""

    def __init__(
        self,
        speech: SpeechClient,
        counts: Counts,
        options: Options,
        *,
        target_of: Callable[[str], Target] | None = None,
        regions: Regions | None = None,
    ) -> None:
        self._target_of = target_of
        self._regions = regions
        self._speech = speech
        self._counts = counts
        self._options = options
        self._next = 0.0
        self._told: set[tuple[str, str, str, str | None]] = set()

    def look(self, models: Collection[Registered]) -> None:
        """Ask the service, if it is time to. That it does not answer is a line in the log: the next look comes."""
        if monotonic() < self._next:
            return
        self._next = monotonic() + LOOK_SECONDS
        try:
            found = lifecycle.read(self._speech, models, target_of=self._target_of, regions=self._regions)
        except SpeechMlflowError as error:
            self._next = 0.0
            log.warning("which models expire is not known: %s", error)
            return
        soon = [age for age in found.within(self._options.expiry_days) if age.endpoint_id is not None]
        self._counts.expiring = len(soon)
        self._counts.next_expiry_at = found.next_expiry.timestamp() if found.next_expiry else None
        for age in soon:
            key = (age.registered_model, age.version, age.state, age.region)
            if key not in self._told:
                self._told.add(key)
                self._tell(age)

    def _tell(self, age: lifecycle.Age) -> None:
        self._counts.tell("model_expiring")
        event = PromotionEvent(
            "model_expiring",
            age.registered_model,
            age.region or DEFAULT,
            age.reason,
            age.version,
            age.endpoint_id,
            data=age.to_dict(),
        )
        notify(event, manager=self._options.manager, on_event=self._options.on_event)
