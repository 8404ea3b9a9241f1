"""What a controller has done so far, whether it is well, and the same as Prometheus reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from speech_mlflow import __version__

STUCK_SECONDS = 900.0
"""A controller that did not turn once in so long hangs: a request to MLflow is given up after some minutes."""
Labels = Mapping[str, str]


@dataclass
class Took:
    """How often something was done, and how long that took in all."""

    count: int = 0
    seconds: float = 0.0


@dataclass
class Counts:
    """Counters and times of one controller. Times are of the monotonic clock, but for those that end in ``_at``."""

    polls: int = 0
    resyncs: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    took: dict[str, Took] = field(default_factory=dict)
    last_turn: float = field(default_factory=time.monotonic)
    last_poll: float | None = None
    last_resync: float | None = None
    last_poll_at: float | None = None
    last_resync_at: float | None = None
    models: int = 0
    waiting: int = 0
    held: int = 0
    expiring: int = 0
    next_expiry_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Measure a *poll*, a *resync* or the *target* that was looked at closely, whether it succeeds or not."""
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                took = self.took.setdefault(what, Took())
                took.count += 1
                took.seconds += time.monotonic() - started

    def polled(self, models: int) -> None:
        """The registry was read."""
        self.polls += 1
        self.models = models
        self.last_poll, self.last_poll_at = time.monotonic(), time.time()

    def resynced(self, held: int) -> None:
        """Everything was compared; ``held`` targets are kept from what the registry asks for."""
        self.resyncs += 1
        self.held = held
        self.last_resync, self.last_resync_at = time.monotonic(), time.time()

    def ended(self, result: str) -> None:
        """A target was looked at, with this result."""
        self._add(self.results, result)

    def failed(self, what: str) -> None:
        """A *pass* (a poll or a resync), or work on a *target*, failed."""
        self._add(self.failures, what)

    def tell(self, kind: str) -> None:
        """An event of this kind was told."""
        self._add(self.told, kind)

    def _add(self, counters: dict[str, int], key: str) -> None:
        with self._lock:
            counters[key] = counters.get(key, 0) + 1


def stuck(counts: Counts, now: float) -> str | None:
    """Why the controller should be started anew; None while it turns. ``now`` is of the monotonic clock."""
    since = now - counts.last_turn
    return f"nothing was done for {since:.0f} s" if since > STUCK_SECONDS else None


def problems(counts: Counts, now: float, *, poll_seconds: float, resync_seconds: float) -> list[str]:
    """Why the controller cannot do its work just now; empty while it can.

    To poll is to reach MLflow; to resync is to reach both ends.
    """
    found = []
    for what, last, allowed in (
        ("MLflow was not read", counts.last_poll, max(10 * poll_seconds, 60.0)),
        ("registry and speech service were not compared", counts.last_resync, max(3 * resync_seconds, 60.0)),
    ):
        if last is None:
            found.append(f"{what} yet")
        elif now - last > allowed:
            found.append(f"{what} for {now - last:.0f} s")
    return found


@dataclass(frozen=True)
class Metric:
    """One metric: its name without the common prefix, what it is, and its samples (suffix, labels, value)."""

    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    samples: Sequence[tuple[str, Labels, float]]


def metrics(counts: Counts) -> list[Metric]:
    """Everything a controller counts. Labels come from a short list of words, never from what others send."""
    with counts._lock:
        results, told, took = dict(counts.results), dict(counts.told), dict(counts.took)
        failures = {"pass": 0, "target": 0, **counts.failures}
    times = [("_count", {"of": what}, float(one.count)) for what, one in sorted(took.items())]
    times += [("_sum", {"of": what}, one.seconds) for what, one in sorted(took.items())]
    found = [
        Metric("build_info", "gauge", "The version of speech_mlflow that runs.", [("", {"version": __version__}, 1)]),
        Metric(
            "passes_total",
            "counter",
            "Times the registry was read, and times everything was compared.",
            [("", {"of": "poll"}, counts.polls), ("", {"of": "resync"}, counts.resyncs)],
        ),
        Metric("duration_seconds", "summary", "How long a pass, or work on one target, took.", times),
        Metric(
            "failures_total",
            "counter",
            "Passes and work on targets that failed; both are tried again.",
            _by("of", failures),
        ),
        Metric("results_total", "counter", "What came of work on targets.", _by("result", results)),
        Metric("events_total", "counter", "Events told, by kind.", _by("kind", told)),
        Metric("drift_total", "counter", "Changes of endpoints by others that were told of.", [("", {}, told.get("drift", 0))]),
        Metric("models", "gauge", "Registered models that are looked after.", [("", {}, counts.models)]),
        Metric("targets_pending", "gauge", "Targets that wait for work or are worked on.", [("", {}, counts.waiting)]),
        Metric("models_expiring", "gauge", "Served models that expire soon, or have expired.", [("", {}, counts.expiring)]),
        Metric("targets_held", "gauge", "Targets kept from what the registry asks for.", [("", {}, counts.held)]),
    ]
    for what, at in (("poll", counts.last_poll_at), ("resync", counts.last_resync_at)):
        if at is not None:
            text = f"When the last {what} succeeded, in seconds since 1970."
            found.append(Metric(f"last_{what}_timestamp_seconds", "gauge", text, [("", {}, at)]))
    if counts.next_expiry_at is not None:
        text = "When the first served model expires and its endpoint falls back to the base model, in seconds since 1970."
        found.append(Metric("next_model_expiry_timestamp_seconds", "gauge", text, [("", {}, counts.next_expiry_at)]))
    return found


def render(found: Sequence[Metric], prefix: str = "speech_mlflow_") -> str:
    """The metrics in Prometheus's text format, version 0.0.4."""
    lines = []
    for metric in found:
        lines.append(f"# HELP {prefix}{metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {prefix}{metric.name} {metric.kind}")
        for suffix, labels, value in metric.samples:
            noted = ",".join(f'{name}="{_escaped(text, quotes=True)}"' for name, text in sorted(labels.items()))
            lines.append(f"{prefix}{metric.name}{suffix}{f'{{{noted}}}' if noted else ''} {value!r}")
    return "\n".join(lines) + "\n"


def _by(label: str, counters: Mapping[str, int]) -> list[tuple[str, Labels, float]]:
    return [("", {label: key}, value) for key, value in sorted(counters.items())]


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
