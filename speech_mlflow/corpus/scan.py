"""Reading every byte of the recordings once: headers are checked, contents hashed, checksums of archives proven."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

from speech_mlflow.corpus.fingerprint import Hashing
from speech_mlflow.corpus.readers import Member
from speech_mlflow.corpus.records import Problem, ascii_controls, error
from speech_mlflow.corpus.wav import Wav, read_wav
from speech_mlflow.errors import AudioError
from speech_mlflow.progress import Progress, ProgressEvent

WORKERS = min(4, os.cpu_count() or 1)
"""Hashing and inflating let other threads work meanwhile; more than four wait for the disk."""

STEP = 8 << 20
"""Bytes between two progress events."""


@dataclass(frozen=True)
class Recording:
    """A recording as found: its header and digest, or what is wrong with it."""

    member: Member
    wav: Wav | None
    sha256: str
    problem: Problem | None = None


def scan(members: Sequence[Member], step: str, progress: Progress | None = None) -> list[Recording]:
    """Read all recordings, in order, some at a time. Raises ArchiveError where an archive turns out to be broken."""
    counter = _Counter(step, sum(member.size for member in members), progress)
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="corpus")
    try:
        return list(pool.map(partial(_scan, counter), members))
    finally:
        pool.shutdown(cancel_futures=True)


def _scan(counter: _Counter, member: Member) -> Recording:
    path = ascii_controls(member.path)
    try:
        with member.open() as file:
            stream = Hashing(file, counter.passed)
            wav, problem = None, None
            try:
                wav = read_wav(cast(BinaryIO, stream), name=member.path, size=member.size)
            except AudioError as found:
                problem = error("audio", found.message.removeprefix(f"{path}: "), path, hint=found.hint)
            return Recording(member, wav, stream.rest(), problem)
    except OSError as found:
        return Recording(member, None, "", error("unreadable", f"cannot be read: {found.strerror}", path))


class _Counter:
    """Adds up bytes from several threads and reports them now and then."""

    def __init__(self, step: str, total: int, progress: Progress | None) -> None:
        self._step, self._total, self._progress = step, total, progress
        self._done = self._reported = 0
        self._lock = threading.Lock()

    def passed(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._progress is None or self._done - self._reported < min(STEP, self._total - self._reported):
                return
            self._reported = self._done
            self._progress(ProgressEvent(self._step, self._done, self._total, "bytes"))
