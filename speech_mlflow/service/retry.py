"""Which request may be sent again after which failure, and when. The table is data; one loop obeys it.

The service gives a create no id of the client's, so a create whose answer was lost may have happened: it is never sent again
before somebody has looked. See `speech_mlflow.service.resource`.
"""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import TypeVar

from speech_mlflow.errors import ServiceError

TRIES = 6
DEADLINE = 120.0  # seconds for one call, its pauses included
BACKOFF_FIRST = 0.8  # seconds; doubles each time
BACKOFF_MAX = 60.0
RETRY_AFTER_MAX = 120.0  # seconds; who is told to wait longer is told so, and does not sleep here

ResultT = TypeVar("ResultT")


class Safety(Enum):
    """What sending a request twice would do."""

    REPEATABLE = "repeatable"  # nothing: reads, deletes, writes of absolute values
    ONCE = "once"  # something, and it can be looked up or must be left to the caller: creates and actions


class Failure(Enum):
    """How a request failed, as far as it matters for sending it again."""

    NOT_SENT = "not sent"  # no connection, so the service has seen nothing
    NO_ANSWER = "no answer"  # sent in whole or in part; the answer was lost, late or cut
    THROTTLED = "429"  # the service refused before doing anything
    TIMED_OUT = "408"
    BROKEN = "500 502 503 504"
    REFUSED = "other"  # the same request would be refused again


class Action(Enum):
    """What to do about it."""

    SEND_AGAIN = "send again"
    LOOK_FIRST = "look first"  # the outcome is not known
    GIVE_UP = "give up"


TABLE: Mapping[Failure, Mapping[Safety, Action]] = {
    Failure.NOT_SENT: {Safety.REPEATABLE: Action.SEND_AGAIN, Safety.ONCE: Action.SEND_AGAIN},
    Failure.NO_ANSWER: {Safety.REPEATABLE: Action.SEND_AGAIN, Safety.ONCE: Action.LOOK_FIRST},
    Failure.THROTTLED: {Safety.REPEATABLE: Action.SEND_AGAIN, Safety.ONCE: Action.SEND_AGAIN},
    Failure.TIMED_OUT: {Safety.REPEATABLE: Action.SEND_AGAIN, Safety.ONCE: Action.LOOK_FIRST},
    Failure.BROKEN: {Safety.REPEATABLE: Action.SEND_AGAIN, Safety.ONCE: Action.LOOK_FIRST},
    Failure.REFUSED: {Safety.REPEATABLE: Action.GIVE_UP, Safety.ONCE: Action.GIVE_UP},
}

_BY_STATUS = {408: Failure.TIMED_OUT, 429: Failure.THROTTLED} | dict.fromkeys((500, 502, 503, 504), Failure.BROKEN)


def failure_of_status(status: int) -> Failure:
    """The kind of failure that an HTTP status is."""
    return _BY_STATUS.get(status, Failure.REFUSED)


@dataclass(frozen=True)
class Timing:
    """Clock, sleep and dice, to be given by tests and by controllers that want to be woken.

    ``sleep`` may raise to end a wait; whatever it raises comes out of the call.
    """

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(timezone.utc))
    random: Callable[[], float] = random.random


class CallFailed(Exception):
    """One try failed; carries the error for the caller and what the loop needs to know. Never leaves the client."""

    def __init__(self, error: ServiceError, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.failure = failure
        self.retry_after = retry_after


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that the service asks to wait, in any of the forms it may take; None where it says nothing usable.

    ``retry-after-ms`` and ``x-ms-retry-after-ms`` hold milliseconds, ``Retry-After`` seconds or an HTTP date. What is
    negative, past, not finite or no number is no request to wait. ``headers`` has lower-case names.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name))
        if milliseconds is not None:
            return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    return seconds if seconds is not None else _seconds_until(text, now)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _seconds_until(text: str | None, now: datetime) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    seconds = (moment - now).total_seconds()
    return seconds if seconds > 0 else None


def backoff(tries: int, dice: Callable[[], float]) -> float:
    """Seconds to pause after that many failed tries: full jitter below 0.8 · 2ⁿ, at most 60."""
    return dice() * min(BACKOFF_MAX, BACKOFF_FIRST * float(2 ** (tries - 1)))


def call_with_retries(
    send: Callable[[float], ResultT], safety: Safety, timing: Timing, *, deadline: float = DEADLINE
) -> ResultT:
    """Call ``send(seconds left)`` until it succeeds, the table says no, or tries or time run out.

    ``send`` raises `CallFailed`. What comes out on failure is `CallFailed` again, with the last failure: whether an unknown
    outcome is to be looked up is for the caller to decide.
    """
    end = timing.monotonic() + deadline
    for count in range(1, TRIES + 1):
        try:
            return send(max(end - timing.monotonic(), 0.001))
        except CallFailed as failed:
            if TABLE[failed.failure][safety] is not Action.SEND_AGAIN or count == TRIES:
                raise
            pause = failed.retry_after or backoff(count, timing.random)  # who asks for 0 s does not get all tries at once
            if pause > RETRY_AFTER_MAX or timing.monotonic() + pause >= end:
                raise
            timing.sleep(pause)
    raise AssertionError("a loop over at least one try ends inside")
