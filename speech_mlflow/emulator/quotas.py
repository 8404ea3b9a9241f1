"""What a resource may hold and do: the tiers F0 (free) and S0, and how often it may be asked."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from speech_mlflow.emulator.problems import quota, refuse, short_audio, too_many

KB, MB, GB = 1024, 1024**2, 1024**3
WINDOW_SECONDS = 10
F0_ENDPOINT_DAYS = 7


@dataclass(frozen=True)
class Quotas:
    """Limits of a tier. Sizes in bytes."""

    tier: str
    endpoints: int
    datasets: int
    file_bytes: Mapping[str, int]
    concurrent_requests: int
    batch_transcription: bool

    def check_count(self, kind: str, present: int) -> None:
        """Refuse one more entity of ``kind`` when the quota is used up."""
        limit = {"datasets": self.datasets, "endpoints": self.endpoints}.get(kind)
        if limit is not None and present >= limit:
            raise quota(f"The quota of {limit} {kind} of a resource in tier {self.tier} is used up.")

    def check_batch(self) -> None:
        """Refuse batch transcription where the tier has none."""
        if not self.batch_transcription:
            raise refuse(403, "Forbidden", f"Batch transcription is not available in tier {self.tier}.", inner="SkuLimitsExist")


_ARCHIVES = {"Acoustic": 2 * GB, "AudioFiles": 2 * GB, "OutputFormatting": 10 * MB}
S0 = Quotas(
    "S0", 50, 500, {**_ARCHIVES, "Language": 3 * GB // 2, "LanguageMarkdown": 200 * MB, "Pronunciation": 1 * MB}, 100, True
)
F0 = Quotas("F0", 1, 2, {**_ARCHIVES, "Language": 200 * MB, "LanguageMarkdown": 200 * MB, "Pronunciation": 1 * KB}, 1, False)
TIERS: Mapping[str, Quotas] = {"S0": S0, "F0": F0}


class RateLimiter:
    """Counts the requests of the last WINDOW_SECONDS."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._times: collections.deque[float] = collections.deque()

    def check(self) -> None:
        """Count one request; 429 with Retry-After when there were too many."""
        if self.limit is None:
            return
        now = time.monotonic()
        with self._lock:
            while self._times and self._times[0] <= now - WINDOW_SECONDS:
                self._times.popleft()
            if len(self._times) >= self.limit:
                seconds = max(1, round(self._times[0] + WINDOW_SECONDS - now + 0.5))
                raise too_many(
                    f"More than {self.limit} requests in {WINDOW_SECONDS} seconds. Retry after {seconds} seconds.", seconds
                )
            self._times.append(now)


class Concurrency:
    """Counts the recognitions that each endpoint is doing."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._running: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def slot(self, endpoint: str) -> Iterator[None]:
        """Hold one of the endpoint's slots; 429 when all are taken."""
        with self._lock:
            if self._running[endpoint] >= self.limit:
                raise short_audio(429, f"More than {self.limit} requests at once.", {"Retry-After": "1"})
            self._running[endpoint] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[endpoint] -= 1
