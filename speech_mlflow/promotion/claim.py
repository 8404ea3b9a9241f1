"""One at a time: a claim on a target, by compare-and-set in MLflow.

MLflow lets a parameter of a run be written once: of many writers at once, one wins. A target has a run of kind *claim*; who
writes its parameter ``claim.<n>`` first, where claim ``n - 1`` is released or has expired, holds the target. The value says who
it is and until when; the holder pushes the end out in the tag ``claim.<n>.until`` and releases by setting it to 0.

Two processes may each make the run of a target that has none. So a claim is held when the parameter was won on *every* such
run: the first of them that the database took is seen by everybody who looks after making one, and its parameter is won once.

A holder that died on this machine is known at once (its process is gone); one on another machine is waited for until its
claim ends, by this process's clock. The speech service knows nothing of claims: a holder paused at the wrong moment may
still write. It is checked right before each write, and what is left is found and mended by the next comparison.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import ClaimHeldError
from speech_mlflow.promotion.registry import search_runs
from speech_mlflow.tracking import tags
from speech_mlflow.tracking.refusal import delete
from speech_mlflow.tracking.values import literal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TTL = 30.0
"""Seconds that a claim lasts without being renewed."""
RENEW_AFTER = 1 / 3
"""Part of a claim's time after which the holder pushes the end out."""
ROTATE_AT = 200
"""Claims on one run before it is replaced by a new one."""
TARGET = "speech.target"
"""Run tag: the target, ``<registered model>/<target>``."""
_LOST = frozenset({"INVALID_PARAMETER_VALUE", "TEMPORARILY_UNAVAILABLE"})
"""What MLflow says to who was not first: a parameter takes no second value, or SQLite is being written to."""
ABOUT = "Bookkeeping: which process works on this target. It stays open; do not delete it while a controller runs."


@dataclass(frozen=True)
class Holder:
    """A process, so described that another one on the same machine can tell whether it still runs."""

    id: str
    host: str
    machine: str
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> Holder:
        """A new holder in this process; every claim has its own id."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), _machine(), pid, _started(pid))

    @property
    def dead(self) -> bool:
        """True where it is known to run no more: a process of this machine, and gone (or another with its number)."""
        if not self.started or self.machine != _machine():
            return False
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass
class Claim:
    """A held claim. It is good for writing while :meth:`check` does not raise."""

    key: str
    holder: Holder
    places: tuple[tuple[str, int], ...]
    ends: float
    ttl: float
    _client: MlflowClient
    _clock: Callable[[], float]
    left_over: list[tuple[str, str]] = field(default_factory=list)

    def check(self) -> None:
        """Make sure that nobody else took over, and push the end out where it is time. ClaimHeldError where it is lost.

        To be called right before each write, and at least every few seconds while waiting.
        """
        if self._clock() >= self.ends:
            raise ClaimHeldError(f"the claim on {self.key} ran out while this process was paused")
        for run_id, number in self.places:
            if _latest(self._client.get_run(run_id)) != number:
                raise ClaimHeldError(f"another process took over {self.key}")
        if self.ends - self._clock() < self.ttl * (1 - RENEW_AFTER):
            ends = self._clock() + self.ttl  # before it is written, which may take a while: never later than others think
            self._push(time.time() + self.ttl)
            self.ends = ends

    def release(self) -> None:
        """Let others have it at once. What cannot be released ends by itself."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            self._push(0.0)
            for run_id, name in self.left_over:  # only now: while it was held, the work it is held for comes first
                self._client.delete_tag(run_id, name)

    def _push(self, until: float) -> None:
        for run_id, number in self.places:
            self._client.set_tag(run_id, _until(number), str(until))


def acquire(
    client: MlflowClient,
    experiment_id: str,
    key: str,
    *,
    ttl: float = TTL,
    rotate_at: int = ROTATE_AT,
    clock: Callable[[], float] = time.monotonic,
) -> Claim:
    """Take the claim on a target. ClaimHeldError, which says by whom, where somebody else has it."""
    holder = Holder.this_process()
    runs = _runs(client, experiment_id, key)
    if not runs:
        _create(client, experiment_id, key)
        runs = _runs(client, experiment_id, key)
    starts = clock()
    claim = Claim(key, holder, (), starts + ttl, ttl, client, clock)
    try:
        for run in runs:
            number = _win(client, run, holder, key, ttl)
            claim.places += ((run.info.run_id, number),)
            if _until(number - 1) in run.data.tags:
                claim.left_over.append((run.info.run_id, _until(number - 1)))
        if sum(number for _, number in claim.places) >= rotate_at:
            _rotate(claim, experiment_id)
    except BaseException:
        claim.release()
        raise
    return claim


@contextmanager
def claimed(client: MlflowClient, experiment_id: str, key: str, **options: Any) -> Iterator[Claim]:
    """Hold the claim on a target for a while."""
    claim = acquire(client, experiment_id, key, **options)
    try:
        yield claim
    finally:
        claim.release()


def _win(client: MlflowClient, run: Run, holder: Holder, key: str, ttl: float) -> int:
    """Write the next ``claim.<n>`` of a run, where the last one is free; its number."""
    from mlflow.exceptions import MlflowException

    last = _latest(run)
    other = _taken_by(run, last)
    if other is not None:
        raise ClaimHeldError(f"{key} is being worked on by {other}", hint="it is tried again when that one is done")
    value = json.dumps({**vars(holder), "until": time.time() + ttl})
    try:
        client.log_param(run.info.run_id, f"claim.{last + 1}", value)
    except MlflowException as error:
        if error.error_code not in _LOST:  # no permission, no server
            raise
        raise ClaimHeldError(f"another process was faster to take {key}") from error
    return last + 1


def _taken_by(run: Run, number: int) -> Holder | None:
    """Who holds claim ``number`` of a run; None where it is free."""
    if number == 0:
        return None
    value = json.loads(run.data.params[f"claim.{number}"])
    until = max(float(value.pop("until")), 0.0)
    renewed = run.data.tags.get(_until(number))
    holder = Holder(**value)
    ends = float(renewed) if renewed is not None else until
    return None if ends <= time.time() or holder.dead else holder


def _latest(run: Run) -> int:
    return max((int(name[6:]) for name in run.data.params if name.startswith("claim.")), default=0)


def _until(number: int) -> str:
    return f"claim.{number}.until"


def _runs(client: MlflowClient, experiment_id: str, key: str) -> list[Run]:
    """The claim runs of a target, oldest first, so that everybody claims them in one order."""
    quoted = literal(key)
    where = f"tags.`{tags.KIND}` = '{tags.KIND_CLAIM}'" + (f" and tags.`{TARGET}` = {quoted}" if quoted else "")
    found = [run for run in search_runs(client, experiment_id, where) if run.data.tags.get(TARGET) == key]
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def _create(client: MlflowClient, experiment_id: str, key: str) -> Run:
    run_tags = {tags.KIND: tags.KIND_CLAIM, TARGET: key, "mlflow.note.content": ABOUT}
    return client.create_run(experiment_id, tags=run_tags, run_name=f"claim {key}")


def _rotate(claim: Claim, experiment_id: str) -> None:
    """Go on with a new run. The new one is claimed before the old ones go: nobody can slip in between."""
    run = _create(claim._client, experiment_id, claim.key)
    old, number = claim.places, _win(claim._client, run, claim.holder, claim.key, claim.ttl)
    claim.places = (*old, (run.info.run_id, number))
    for run_id, _ in old:
        past = partial(claim._client.set_tag, run_id, tags.KIND, "past claim")
        delete(partial(claim._client.delete_run, run_id), instead=past)
    claim.places = claim.places[-1:]


def _machine() -> str:
    """This machine since it was started, and this container in it: where process numbers mean the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty where it has ended (or where there is no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # a zombie's parent has not looked yet
