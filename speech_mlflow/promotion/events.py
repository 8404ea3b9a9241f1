"""What somebody may want to hear of, and telling everybody who asked.

Each implementation of the hook ``promotion_event`` is called on its own: one that raises is named in the log and stops neither
the others nor the promotion. An event of a promotion is told at least once, also where the process died in between; its ``id``
stays the same.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.plugins import call, plugin_manager

if TYPE_CHECKING:
    import pluggy

PLUGIN_SECONDS = 4.0
"""How long a plugin may take over an event; one that takes longer goes on by itself, and nobody waits for it."""
MOST_WAITING = 1000
"""So many events wait for a plugin that hangs, before the oldest are lost."""

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
        _listeners.setdefault(implementation, _Listener(implementation)).tell(event)
    if on_event is not None:
        on_event(event)


class _Listener:
    """One plugin's implementation, which hears one event after the other, in a thread that ends when there are no more."""

    def __init__(self, implementation: pluggy.HookImpl) -> None:
        self._implementation = implementation
        self._waiting: deque[tuple[PromotionEvent, threading.Event]] = deque()
        self._lock = threading.Lock()
        self._at_work = False
        self._overdue: threading.Event | None = None
        """Set when the event is told that nobody waited for any longer."""

    def tell(self, event: PromotionEvent) -> None:
        """Wait until it was told, though not for long, and once: one that hangs hears the event when it has done with others."""
        done = threading.Event()
        with self._lock:
            if len(self._waiting) == MOST_WAITING:
                lost, _ = self._waiting.popleft()
                log.warning("plugin %s hangs, and is not told: %s", self._implementation.plugin_name, lost.reason)
            self._waiting.append((event, done))
            if not self._at_work:
                self._at_work = True
                threading.Thread(target=self._run, name="plugin", daemon=True).start()
        hangs = self._overdue is not None and not self._overdue.is_set()
        if not hangs and not done.wait(PLUGIN_SECONDS):
            self._overdue = done
            name, seconds = self._implementation.plugin_name, PLUGIN_SECONDS
            log.warning("plugin %s has not done with promotion_event after %g s: nobody waits for it", name, seconds)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._at_work = False
                    return
                event, done = self._waiting.popleft()
            try:
                call(self._implementation, event)
            except BaseException as error:  # a plugin may raise anything
                name, kind = self._implementation.plugin_name, type(error).__name__
                log.warning("plugin %s failed in promotion_event: %s: %s", name, kind, error)
            done.set()


_listeners: dict[pluggy.HookImpl, _Listener] = {}
