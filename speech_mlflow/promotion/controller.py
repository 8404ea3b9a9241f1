"""The controller: keeps the service at what the registry says, for all speech models, until it is told to stop.

MLflow announces no transition of a stage, so the registry is read every few seconds: one request for each thousand registered
models. What changed is looked at closely and brought in line. Every minute everything is compared, whether it changed or not:
that finds what others did to the service, and what changed in tags, which no poll shows. To be woken (:meth:`Controller.wake`)
only makes it look sooner.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import ClaimHeldError, PromotionError, SettingsError, SpeechMlflowError, StalePlanError
from speech_mlflow.promotion import cloudevents, journal, registry
from speech_mlflow.promotion.apply import Applied, apply
from speech_mlflow.promotion.claim import TARGET
from speech_mlflow.promotion.counts import Counts, Metric, metrics, problems, stuck
from speech_mlflow.promotion.events import EventKind, OnEvent, PromotionEvent, notify
from speech_mlflow.promotion.expiry import ExpiryWatch
from speech_mlflow.promotion.observed import Endpoints, state_of
from speech_mlflow.promotion.options import Options, Stopped
from speech_mlflow.promotion.plan import Plan
from speech_mlflow.promotion.reading import plan_of
from speech_mlflow.promotion.records import Mark, Registered
from speech_mlflow.promotion.target import Target

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.service.client import SpeechClient

POLL_SECONDS = 5.0
RESYNC_SECONDS = 60.0
BACKOFF_FIRST, BACKOFF_MAX = 1.0, 300.0
"""Seconds before a target is tried again after an error: doubled each time, less up to a half by chance."""
CLAIM_SECONDS = 2.0
"""Seconds before a target is looked at again that another process works on."""
GRACE_SECONDS = 4.0
"""How long work may take to end after a signal."""
WORKERS = 16
"""Targets that are worked on at once: most of the time each of them waits for a deployment, which may take half an hour."""
REST_SECONDS = 0.2
"""At the least between two looks at everything: whoever wakes the controller all the time must not keep MLflow busy."""

log = logging.getLogger(__name__)


class Controller:
    """Polls, compares, applies. :meth:`run` returns when :meth:`stop` is called (by a signal, for instance)."""

    def __init__(
        self,
        speech: SpeechClient,
        client: MlflowClient,
        target_of: Callable[[str], Target],
        *,
        only: frozenset[str] | None = None,
        poll_seconds: float = POLL_SECONDS,
        resync_seconds: float = RESYNC_SECONDS,
        workers: int = WORKERS,
        options: Options | None = None,
        regions: Regions | None = None,
    ) -> None:
        self.counts = Counts()
        self._speech = speech
        self._client = client
        self._target_of = target_of
        self._only = only
        self._poll_seconds = poll_seconds
        self._resync_seconds = resync_seconds
        self._workers = workers
        self._options = options or Options(who="watch", why="the registry changed")
        self._stop = self._options.stop
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._poll_now = False
        self._resync_now = False
        self._due: dict[str, float] = {}
        self._working: dict[str, Future[None]] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._marks: dict[str, Mark] = {}
        self._left_open: set[str] = set()
        self._said: dict[str, tuple[str, str]] = {}
        self._idle = False
        self._poll_failures = 0
        self._regions = regions
        self._expiry = ExpiryWatch(speech, self.counts, self._options, target_of=target_of, regions=regions)

    def wake(self, name: str | None = None) -> None:
        """Look now: at one registered model, or (also where it is not known here) at what changed."""
        with self._lock:
            if name is None or name not in self._marks:
                self._poll_now = True
            else:
                self._enqueue(name, monotonic())
        self._woken.set()

    def wake_all(self) -> None:
        """Compare everything now."""
        self._resync_now = True
        self._woken.set()

    def stop(self) -> None:
        """End: what is being worked on is left in a state from which the next one goes on."""
        self._stop.set()
        self._woken.set()

    def stuck(self) -> str | None:
        """Why it should be started anew; None while it turns."""
        return stuck(self.counts, monotonic())

    def problems(self) -> list[str]:
        """Why it cannot do its work just now; empty while it can."""
        return problems(self.counts, monotonic(), poll_seconds=self._poll_seconds, resync_seconds=self._resync_seconds)

    def metrics(self) -> list[Metric]:
        """What it counted, for Prometheus."""
        return metrics(self.counts)

    def run(self) -> None:
        """Work until stopped."""
        next_poll = next_resync = monotonic()
        rested = 0.0
        with ThreadPoolExecutor(self._workers, thread_name_prefix="promotion") as pool:
            while not self._stop.is_set():
                self._woken.clear()
                now = self.counts.last_turn = monotonic()
                if now >= next_resync or (self._resync_now and now >= rested):
                    next_resync = now + self._after(self._attempt(self._resync), self._resync_seconds)
                    next_poll, rested = now + self._poll_seconds, monotonic() + REST_SECONDS
                elif now >= next_poll or (self._poll_now and now >= rested):
                    next_poll = now + self._after(self._attempt(self._poll), self._poll_seconds)
                    rested = monotonic() + REST_SECONDS
                self._start_due(pool)
                self._tell_idle()
                asked = [rested] if self._poll_now or self._resync_now else []
                self._woken.wait(self._until(next_poll, next_resync, *asked))

    # --- looking -----------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        self._poll_now = False
        with self.counts.timed("poll"):
            self._read_marks()

    def _read_marks(self) -> None:
        marks = {name: mark for name, mark in registry.poll(self._client).items() if self._is_ours(name, mark)}
        changed = [name for name, mark in marks.items() if self._marks.get(name) != mark]
        self._marks = marks
        with self._lock:
            self._forget_others(marks)
            for name in changed:
                self._enqueue(name, monotonic())
        self.counts.polled(len(marks))

    def _resync(self) -> None:
        """Compare everything: three lists from MLflow and one from the service, however many models there are."""
        self._resync_now = self._poll_now = False
        with self.counts.timed("resync"):
            self._compare_all()

    def _compare_all(self) -> None:
        self._read_marks()
        cloudevents.resend(self._client)
        left = journal.open_runs(self._client, journal.experiment(self._client))
        keys = {run.data.tags.get(TARGET) for run in left}
        models = registry.read_all(self._client)
        endpoints = Endpoints(state_of(endpoint) for endpoint in self._speech.endpoints.list())
        ours = {name: models[name] for name in self._marks if name in models}
        elsewhere = self._plans_elsewhere(ours)
        held = 0
        with self._lock:
            for name, model in ours.items():
                try:
                    target = self._target_of(name)
                    made = plan_of(model, endpoints, target, self._speech.resource)
                except SettingsError:  # a wrong tag of one model stops no other: its own work says what is wrong
                    self._enqueue_in_turn(name)
                    continue
                parts = elsewhere.get(name, [])
                held += sum(one.blocked is not None for one in (made, *parts))
                if target.key(name) in keys and name not in self._working:
                    self._left_open.add(name)
                    self._enqueue_in_turn(name)
                elif made.changes or self._news(name, made) or self._differ(name, parts if made.blocked is None else [], keys):
                    self._enqueue_in_turn(name)
        self.counts.resynced(held)
        self._expiry.look(ours.values())

    def _attempt(self, look: Callable[[], None]) -> bool:
        try:
            look()
        except Exception as error:  # MLflow or the service is not there: nothing is written, and it is tried again
            self.counts.failed("pass")
            self._poll_failures += 1
            self._say("", "error", f"{type(error).__name__}: {error}")
            return False
        self._poll_failures = 0
        self._said.pop("", None)
        return True

    def _after(self, succeeded: bool, seconds: float) -> float:
        if succeeded:
            return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
        return backoff(seconds, self._poll_failures, max(seconds, 60.0))

    # --- working -----------------------------------------------------------------------------------------------------

    def _enqueue(self, name: str, due: float) -> None:
        self._due[name] = min(due, self._due.get(name, due))
        self._idle = False

    def _enqueue_in_turn(self, name: str) -> None:
        """Of what a comparison finds: a target that failed, or is failing just now, keeps its pause."""
        if name in self._working:
            self._again.add(name)
        elif name not in self._due:
            self._enqueue(name, monotonic())

    def _start_due(self, pool: ThreadPoolExecutor) -> None:
        now = monotonic()
        with self._lock:
            ready = [name for name, due in self._due.items() if due <= now and name not in self._working]
            for name in ready:
                del self._due[name]
                self._working[name] = pool.submit(self._work, name)
            self.counts.waiting = len(self._due) + len(self._working)

    def _work(self, name: str) -> None:
        again: float | None = None
        try:
            again = self._reconcile(name)
        except Stopped:
            pass
        except (ClaimHeldError, StalePlanError) as error:
            log.info("%s: %s", name, error)
            again = CLAIM_SECONDS
        except Exception as error:  # whatever it is, it must not end the controller
            again = self._failed(name, error)
        finally:
            with self._lock:
                del self._working[name]
                if again is None and name in self._again:
                    again = 0.0
                self._again.discard(name)
                if again is not None:
                    self._enqueue(name, monotonic() + again)
            self._woken.set()

    def _reconcile(self, name: str) -> float | None:
        """Bring one target in line; the seconds after which to look again, None: when something changes."""
        if self._stop.is_set():  # it was waiting for its turn
            return None
        target = self._target_of(name)
        with self.counts.timed("target"):
            applied = apply(self._speech, self._client, name, target, recover=name in self._left_open, options=self._options)
        self._left_open.discard(name)
        self._tell(name, applied)
        elsewhere = self._regions.apply(self._client, applied, self._options, patient=False) if self._regions else []
        for one in elsewhere:
            if one.applied is not None:
                self._tell(f"{name}/{one.region}", one.applied)
        wrong = [f"{one.region}: {one.reason}" for one in elsewhere if one.result == "error"]
        if wrong:
            raise PromotionError("; ".join(wrong))
        self._failures.pop(name, None)
        if applied.served and any(one.result == "waiting" for one in elsewhere):  # for another process that is at it
            return CLAIM_SECONDS
        return None if applied.result in {"unchanged", "blocked"} else 0.0

    def _failed(self, name: str, error: Exception) -> float:
        if not isinstance(error, SpeechMlflowError):
            log.exception("promotion of %s failed", name)
        self.counts.failed("target")
        self._failures[name] = failures = self._failures.get(name, 0) + 1
        self._say(name, "error", f"{type(error).__name__}: {error}")
        return backoff(BACKOFF_FIRST, failures - 1, BACKOFF_MAX) * random.uniform(0.5, 1.0)  # noqa: S311

    # --- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, about: str, applied: Applied) -> None:
        made = applied.plan
        self.counts.ended(applied.result)
        if applied.run_id is not None:
            self.counts.tell(applied.result)
        if applied.result in {"unchanged", "blocked"}:
            news = news_of(made)
            if news is None:
                self._said.pop(about, None)
            else:
                self._say(about, *news, plan=made)
        elif applied.result == "served" and made.writes and made.observed.published_version == made.desired.version:
            reason = next(step.reason for step in made.steps if step.action in {"create", "update"})
            self._said.pop(about, None)  # the same again is another one
            self._say(about, "drift", f"{reason}; mended", plan=made)

    def _news(self, about: str, made: Plan) -> bool:
        return news_of(made) != self._said.get(about)

    def _say(self, about: str, kind: EventKind, reason: str, *, plan: Plan | None = None) -> None:
        """Tell of something that is not a promotion; the same thing once. It is about a registered model, or (``NAME/REGION``)
        about a region of it, or (empty) about everything."""
        if self._said.get(about) == (kind, reason):
            return
        self._said[about] = (kind, reason)
        endpoint = plan.observed.endpoint if plan else None
        target = plan.target.name if plan else ""
        version = plan.desired.version if plan else None
        name = about.partition("/")[0]
        event = PromotionEvent(kind, name, target, reason, version, endpoint.id if endpoint else None)
        self.counts.tell(kind)
        notify(event, manager=self._options.manager, on_event=self._options.on_event)

    def _tell_idle(self) -> None:
        with self._lock:
            busy = bool(self._due or self._working or self._idle) or self.counts.polls == 0
            self._idle = self._idle or not busy
        if not busy:
            event = PromotionEvent("idle", "", "", f"{self.counts.models} registered models are as they should be")
            notify(event, manager=self._options.manager, on_event=self._options.on_event)

    # --- small things ------------------------------------------------------------------------------------------------

    def _is_ours(self, name: str, mark: Mark) -> bool:
        return mark.ours if self._only is None else name in self._only

    def _forget_others(self, marks: Collection[str]) -> None:
        """Of a model that was deleted or renamed nothing is left to be tried again."""
        noted: tuple[dict[str, Any], ...] = (self._due, self._failures, self._said)
        for each in noted:
            for about in [one for one in tuple(each) if one and one.partition("/")[0] not in marks]:
                each.pop(about, None)

    def _plans_elsewhere(self, models: Mapping[str, Registered]) -> dict[str, list[Plan]]:
        """What is to be done in the regions of each model, as far as they answer."""
        if self._regions is None:
            return {}
        self._regions.refresh()
        found = {}
        for name, model in models.items():
            with suppress(SettingsError):  # the model's own work says what is wrong
                found[name] = self._regions.compare(model, self._target_of(name).with_tags(model.tags))
        return found

    def _differ(self, name: str, parts: Collection[Plan], left_open: Collection[str | None]) -> bool:
        """Whether a region is to be looked at closely."""
        return any(
            one.changes or one.target.key(name) in left_open or self._news(f"{name}/{one.target.region}", one) for one in parts
        )

    def _until(self, *moments: float) -> float:
        with self._lock:
            waiting = [due for name, due in self._due.items() if name not in self._working]
        return max(0.0, min([*moments, *waiting]) - monotonic())


def backoff(first: float, failures: int, most: float) -> float:
    """Seconds before the next attempt after so many failures, doubled with each. The exponent ends where a float would."""
    return min(most, first * 2.0 ** min(failures, 64))


def news_of(made: Plan) -> tuple[EventKind, str] | None:
    """What somebody ought to hear of a plan under which nothing is done."""
    if made.desired.state == "ambiguous":
        return "ambiguous", made.desired.reason
    if made.blocked:
        return "blocked", made.blocked
    reports = [step.reason for step in made.steps if step.action == "report"]
    if any("healing is off" in reason for reason in reports):
        return "drift", "; ".join(reports)
    return ("report", "; ".join(reports)) if reports else None


def watch(
    speech: SpeechClient,
    client: MlflowClient,
    target_of: Callable[[str], Target] | None = None,
    *,
    only: frozenset[str] | None = None,
    poll_seconds: float = POLL_SECONDS,
    resync_seconds: float = RESYNC_SECONDS,
    on_event: OnEvent | None = None,
    on_start: Callable[[Controller], Any] | None = None,
    stop: threading.Event | None = None,
    options: Options | None = None,
    regions: Regions | None = None,
) -> Controller:
    """Run a controller until SIGTERM, SIGINT or ``stop``; returns it, for its counts.

    ``target_of`` gives the target of a registered model (default: the default target), ``only`` the models to look after
    (default: all that carry our tags). ``on_start`` gets the controller before it runs, to wake or stop it from elsewhere.
    ``regions`` are the other resources that targets may name.
    """
    options = options or Options(who="watch", why="the registry changed")
    options = replace(
        options,
        on_event=on_event or options.on_event,
        stop=stop or options.stop,
    )
    controller = Controller(
        speech,
        client,
        target_of or (lambda name: Target()),
        only=only,
        poll_seconds=poll_seconds,
        resync_seconds=resync_seconds,
        options=options,
        regions=regions,
    )
    cloudevents.outbox()  # settings for events that are wrong are told before anything begins
    if on_start is not None:
        on_start(controller)
    with _stopped_by_signals(controller):
        controller.run()
    return controller


@contextmanager
def _stopped_by_signals(controller: Controller) -> Iterator[None]:
    """The first signal ends the controller in order, or in the middle of its work where that waits for an answer that does
    not come; the second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    over = threading.Event()

    def ended(number: int, frame: object) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        controller.stop()
        threading.Thread(target=_end_anyway, args=(over, number), daemon=True).start()

    for number in before:
        signal.signal(number, ended)
    try:
        yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_anyway(over: threading.Event, number: int) -> None:
    """A thread cannot be ended from outside, and a promotion may be: the next process goes on with it."""
    if not over.wait(GRACE_SECONDS):
        log.warning("ended in the middle of its work, which waits for an answer; the next one goes on with it")
        logging.shutdown()
        os._exit(128 + number)
