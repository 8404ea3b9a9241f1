"""Waiting for the service to finish, without asking more often than is of use or allowed.

A wait only reads. It may be interrupted at any point and taken up again by anybody who has the id.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from speech_mlflow.errors import OperationFailedError, ServiceError, WaitTimeoutError
from speech_mlflow.progress import Progress, ProgressEvent, silent
from speech_mlflow.service.entities import Dataset, Entity, Operation
from speech_mlflow.service.retry import Timing

FIRST_POLL = 5.0  # seconds, where the service says nothing
POLL_MIN = 0.1
POLL_MAX = 60.0
POLL_SHARE = 0.1  # of the time waited so far: a poll is late by at most a tenth
PATIENCE = 600.0  # seconds without any answer before a wait gives up
POLLS, POLL_WINDOW = 80, 10.0  # the service allows 100 requests in 10 s; some are left for other work
LIMITS = {  # seconds
    "Dataset": 3600.0,
    "CustomModel": 86_400.0,
    "Evaluation": 6 * 3600.0,
    "Endpoint": 45 * 60.0,  # the documentation says up to 30 minutes
    "Transcription": 86_400.0,
    "Operation": 6 * 3600.0,
    "WebHook": 600.0,
}

PendingT = TypeVar("PendingT", bound=Entity | Operation)


@dataclass(frozen=True)
class Job(Generic[PendingT]):
    """Something to wait for: its last known record, and how to read it again with the seconds to wait thereafter."""

    record: PendingT
    poll: Callable[[], tuple[PendingT, float | None]]

    @property
    def kind(self) -> str:
        return type(self.record).__name__

    @property
    def label(self) -> str:
        """The kind and name, for people."""
        name = getattr(self.record, "display_name", None) or self.record.id
        return f"{'model copy' if self.kind == 'Operation' else _words(self.kind)} {name}"


class Pace:
    """Holds polls below the service's limit, over all waits of a client and all its threads."""

    def __init__(self, timing: Timing, *, polls: int = POLLS, window: float = POLL_WINDOW) -> None:
        self._timing = timing
        self._polls = polls
        self._window = window
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Return when another poll is allowed."""
        while True:
            with self._lock:
                now = self._timing.monotonic()
                while self._times and now - self._times[0] >= self._window:
                    self._times.popleft()
                if len(self._times) < self._polls:
                    self._times.append(now)
                    return
                pause = self._window - (now - self._times[0])
            self._timing.sleep(max(pause, 0.001))


def wait_for(
    jobs: Sequence[Job[Any]],
    *,
    timing: Timing,
    pace: Pace,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> list[Any]:
    """The records of ``jobs`` in their order, when all have ended as Succeeded.

    ``timeout`` in seconds for each; without it, the usual limit of its kind. Raises `OperationFailedError` as soon as one has
    failed, `WaitTimeoutError` when one is not done in time; the service works on either way.
    """
    report = progress or silent
    started = timing.monotonic()
    results: dict[int, Any] = {}
    heard = dict.fromkeys(range(len(jobs)), started)
    due: list[tuple[float, int]] = [(started, index) for index in range(len(jobs))]
    while due:
        moment, index = heapq.heappop(due)
        job = jobs[index]
        limit = LIMITS.get(job.kind, LIMITS["CustomModel"]) if timeout is None else timeout
        _sleep_until(min(moment, started + limit), timing)
        pace.take()
        try:
            record, retry_after = job.poll()
        except ServiceError as error:
            if not error.retryable or timing.monotonic() - heard[index] > PATIENCE:
                raise
            record, retry_after = None, getattr(error, "retry_after", None)
        now = timing.monotonic()
        if record is not None:
            heard[index] = now
            status = record.status
            report(ProgressEvent(job.label, now - started, unit="s", detail=str(status or "")))
            if status is None or status == "Succeeded":  # a project, for one, has no status
                results[index] = record
                continue
            if record.done:
                raise _failed(job, record)
        if now - started >= limit:
            raise _too_long(job, record, limit)
        heapq.heappush(due, (now + next_poll(now - started, retry_after), index))
    return [results[index] for index in range(len(jobs))]


def next_poll(waited: float, retry_after: float | None) -> float:
    """Seconds until the next look, after ``waited`` seconds: what the service asks for, and more as time goes on."""
    first = FIRST_POLL if retry_after is None else max(retry_after, POLL_MIN)
    return max(first, min(POLL_MAX, waited * POLL_SHARE))


def _sleep_until(moment: float, timing: Timing) -> None:
    pause = moment - timing.monotonic()
    if pause > 0:
        timing.sleep(pause)


def _failed(job: Job[Any], record: Any) -> OperationFailedError:
    error = record.error
    code = error.code if error else None
    reason = (error.message or error.code) if error else None
    hint = "where lines were refused, its report (files of the data set) says which" if isinstance(record, Dataset) else None
    return OperationFailedError(
        f"{job.label} failed: {reason or 'the service gives no reason'}{f' ({code})' if code else ''}",
        entity=record,
        code=code,
        hint=hint,
    )


def _too_long(job: Job[Any], record: Any, limit: float) -> WaitTimeoutError:
    status = record.status if record is not None else "not known"
    return WaitTimeoutError(
        f"{job.label} is still {status} after {limit:.0f} s",
        entity=record if record is not None else job.record,
        hint="it works on; wait for it again later",
    )


def _words(kind: str) -> str:
    return {"Dataset": "data set", "CustomModel": "model", "WebHook": "web hook"}.get(kind, kind.lower())
