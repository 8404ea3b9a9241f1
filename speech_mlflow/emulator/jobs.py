"""Work that outlives a request: one thread for each job, picked up again after a restart.

A job row exists from the transaction that made its entity until the transaction that ended it. What a job writes before its
end lies in a work folder or in blobs that nothing refers to, so a process killed half-way leaves an entity that is still at
work and whose job simply begins again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from speech_mlflow.emulator.problems import cannot_write
from speech_mlflow.emulator.store import FAILED, NOT_STARTED, RUNNING, SUCCEEDED, Job, NewFile, Record

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

log = logging.getLogger(__name__)
_TICK_SECONDS = 0.05


class JobError(Exception):
    """The work cannot be done; the entity becomes Failed with this code and message."""

    def __init__(self, code: str, message: str, files: tuple[NewFile, ...] = (), body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.files = files
        self.body = dict(body or {})


class StoppingError(Exception):
    """The service is going down; the job goes on at its next start."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended: properties to set, files to add, blobs that are not needed any more, and the same for other entities."""

    body: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[NewFile, ...] = ()
    garbage: tuple[str, ...] = ()
    status: str = SUCCEEDED
    also: tuple[tuple[Record, Outcome], ...] = ()


Action = Callable[["Emulator", Record], Outcome]


class Gate:
    """Holds an entity in a state for as long as StateProgress wants."""

    def __init__(self, core: Emulator) -> None:
        self._core = core
        self._reads: Counter[str] = Counter()
        self._changed = threading.Condition()
        self.stopping = False

    def read(self, record: Record) -> None:
        """Somebody looked at the entity."""
        if self._core.options.progress.mode != "reads":
            return
        with self._changed:
            self._reads[record.path] += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()

    def wait(self, record: Record, since: Any) -> None:
        """Return when the entity may leave the state that it entered at ``since``. Raises StoppingError."""
        progress = self._core.options.progress
        with self._changed:
            while not self.stopping:
                if progress.mode == "immediate":
                    return
                if progress.mode == "reads" and self._reads[record.path] >= progress.amount:
                    self._reads[record.path] = 0
                    return
                if progress.mode == "seconds" and (self._core.now() - since).total_seconds() >= progress.amount:
                    return
                self._changed.wait(_TICK_SECONDS)
        raise StoppingError


class JobRunner:
    """Runs the jobs of the store."""

    def __init__(self, core: Emulator, actions: Mapping[str, Action]) -> None:
        self._core = core
        self._actions = actions
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self.gate = Gate(core)

    @property
    def busy(self) -> bool:
        """Whether some job is at work."""
        with self._lock:
            return bool(self._threads)

    def start(self) -> None:
        """Begin, or begin again, everything that is owed."""
        for job in self._core.store.jobs():
            self._spawn(job)

    def submit(self, action: str, record: Record) -> None:
        """Begin a job whose row is committed."""
        self._spawn(Job(action, record.path))

    def stop(self, seconds: float) -> None:
        """Stop waiting jobs and give running ones ``seconds`` in all to notice."""
        self.gate.stop()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(seconds / max(1, len(threads)))

    def _spawn(self, job: Job) -> None:
        with self._lock:
            if self.gate.stopping:
                return
            thread = threading.Thread(target=self._thread, args=(job,), name=f"{job.action} {job.entity}", daemon=True)
            self._threads[job.entity] = thread
        thread.start()

    def _thread(self, job: Job) -> None:
        try:
            self._work(job)
        except StoppingError:
            pass
        except Exception:
            if not self.gate.stopping:
                log.exception("job %s of %s was lost; it begins again at the next start", job.action, job.entity)
        finally:
            with self._lock:
                if self._threads.get(job.entity) is threading.current_thread():
                    del self._threads[job.entity]

    def _work(self, job: Job) -> None:
        core = self._core
        kind, _, id = job.entity.rpartition("/")
        record = core.store.get(kind, id)
        if record is None:
            return
        if record.status == NOT_STARTED:
            self.gate.wait(record, record.last_action)
            with core.store.transaction():
                record = core.store.update(record, status=RUNNING, now=core.now())
                core.hooks.owe(record, "Processing")
            core.hooks.wake()
        outcome = self._outcome(job, record)
        self.gate.wait(record, record.last_action)
        self._end(record, outcome)

    def _outcome(self, job: Job, record: Record) -> Outcome:
        try:
            return self._actions[job.action](self._core, record)
        except StoppingError:
            raise
        except JobError as error:
            return self._failed(record, error.code, error.message, error.body, error.files)
        except Exception as error:
            if self.gate.stopping:
                raise StoppingError from error
            log.exception("job %s of %s failed", job.action, job.entity)
            if isinstance(error, (OSError, sqlite3.OperationalError)):
                return self._failed(record, "ServiceUnavailable", cannot_write(self._core.options.state_dir, error))
            message = f"An unexpected error occurred: {type(error).__name__}: {error}"
            return self._failed(record, "InternalServerError", message)

    def _failed(
        self, record: Record, code: str, message: str, body: Mapping[str, Any] | None = None, files: tuple[NewFile, ...] = ()
    ) -> Outcome:
        """A failure, shared by the transcriptions that were made for an evaluation."""
        error = {"error": {"code": code, "message": message}}
        also = tuple((part, Outcome(error, status=FAILED)) for part in self._core.transcriptions(record))
        return Outcome({**(body or {}), **error}, files, status=FAILED, also=also)

    def _end(self, record: Record, outcome: Outcome) -> None:
        core = self._core
        with core.store.transaction():
            for entity, result in ((record, outcome), *outcome.also):
                if core.store.get(entity.kind, entity.id) is None:
                    continue
                now = core.now()
                ended = core.store.update(entity, result.body, status=result.status, now=now)
                core.store.add_files(ended, result.files, now)
                core.hooks.owe(ended, "Completion")
            core.store.end_job(record)
        core.blobs.delete(list(outcome.garbage))
        core.hooks.wake()
