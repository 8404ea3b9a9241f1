"""What somebody may want to hear of, and telling everybody who asked.

Each implementation of the hook ``promotion_event`` is called on its own: one that raises is named in the log and stops neither
the others nor the promotion. An event of a promotion is told at least once, also where the process died in between; its ``id``
stays the same.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.plugins import call, plugin_manager
from speech_mlflow.promotion.patience import within

if TYPE_CHECKING:
    import pluggy

PLUGIN_SECONDS = 4.0
"""How long a plugin may take over an event; one that takes longer goes on by itself, and nobody waits for it."""

EventKind = Literal[
    "served",
    "refused",
    "rolled back",
    "restored",
    "failed",
    "interrupted",
    "ambiguous",
    "blocked",
    "drift",
    "report",
    "error",
    "idle",
    "retired",
    "model_expiring",
]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PromotionEvent:
    """Something that happened to a target.

    ``kind`` is *served*, *refused* (a gate said no), *rolled back* (the new version failed, the old one is served again),
    *restored* (the published version was put back), *failed*, *interrupted*, *ambiguous*, *blocked*, *drift* (somebody else
    changed the endpoint), *report* (a duplicate, a foreign endpoint), *error* (it is tried again), *retired* (an endpoint that
    nothing named was deleted), *model_expiring* (the service will soon stop using the served model) or *idle* (the controller
    has nothing left to do; the registered model is empty). ``reason`` is a sentence for people, ``run_id`` the promotion run.
    """

    kind: EventKind
    registered_model: str
    target: str
    reason: str
    version: str | None = None
    endpoint_id: str | None = None
    run_id: str | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON."""
        return {**vars(self), "time": self.time.isoformat(), "data": dict(self.data)}


OnEvent = Callable[[PromotionEvent], None]


def notify(event: PromotionEvent, *, manager: pluggy.PluginManager | None = None, on_event: OnEvent | None = None) -> None:
    """Tell every plugin, and the caller."""
    manager = plugin_manager() if manager is None else manager
    for implementation in manager.hook.promotion_event.get_hookimpls():
        try:
            _tell(implementation, event)
        except Exception as error:  # a plugin may raise anything
            log.warning("plugin %s failed in promotion_event: %s: %s", implementation.plugin_name, type(error).__name__, error)
    if on_event is not None:
        on_event(event)


_at_work: dict[pluggy.HookImpl, threading.Lock] = {}


def _tell(implementation: pluggy.HookImpl, event: PromotionEvent) -> None:
    """Tell one plugin, one event at a time. While it hangs in an earlier one it is told no other: no threads pile up."""
    at_work = _at_work.setdefault(implementation, threading.Lock())
    if not at_work.acquire(timeout=PLUGIN_SECONDS):
        raise TimeoutError("it has not done with an earlier event")

    def tell() -> None:
        try:
            call(implementation, event)
        finally:
            at_work.release()

    within(PLUGIN_SECONDS, tell)
