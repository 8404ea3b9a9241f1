"""Faults on demand: what a network and a busy service do to clients, for tests.

Whoever starts the service hands it a :class:`FaultPlan`; there is no request that could set one. Each fault names the
requests it meets (method and path), which of them it spares first, and how many it hits.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FaultKind = Literal["delay", "status", "late-status", "reset", "lost", "truncate", "body", "duplicate", "stale-list", "slice"]


@dataclass(frozen=True)
class Fault:
    """One disturbance.

    ``delay``: answer ``seconds`` late. ``status``: answer ``status`` (with ``headers`` and ``body``) instead of working.
    ``late-status``: the same after the work, as a gateway does that lost patience.
    ``reset``: cut the connection before any work. ``lost``: do the work, then cut the connection (``seconds`` later).
    ``truncate``: cut the answer after ``after_bytes`` bytes of its body. ``slice``: send the body one byte at a time,
    ``seconds`` between them. ``body``: do the work and answer ``body`` with ``headers`` instead. ``duplicate``: do the work
    twice. ``stale-list``: a list leaves out entities created less than ``seconds`` ago.

    It meets requests whose method is ``method`` (None: any) and whose path matches ``path`` (a regular expression,
    searched); the first ``skip`` of them pass, the next ``times`` are hit (None: all).
    """

    kind: FaultKind
    method: str | None = None
    path: str = ""
    times: int | None = 1
    skip: int = 0
    status: int = 503
    seconds: float = 0
    after_bytes: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def meets(self, method: str, path: str) -> bool:
        """Whether the fault is about this request."""
        return self.method in (None, method) and re.search(self.path, path) is not None


class FaultPlan:
    """Faults in force. Safe to use from several threads; a test in the same process may add to it and clear it."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._faults: list[list[Any]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Put one more fault in force."""
        with self._lock:
            self._faults.append([fault, 0])

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> list[Fault]:
        """The faults that hit this request; counts it."""
        hit: list[Fault] = []
        with self._lock:
            for entry in self._faults:
                fault: Fault = entry[0]
                if not fault.meets(method, path):
                    continue
                number, entry[1] = entry[1], entry[1] + 1
                if number >= fault.skip and (fault.times is None or number < fault.skip + fault.times):
                    hit.append(fault)
        return hit
