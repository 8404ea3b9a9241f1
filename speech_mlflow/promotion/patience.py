"""Calling what others wrote without waiting for it for ever: a plugin that hangs must not stop the promotion of anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

TICK = 1.0
"""Seconds after which a wait looks whether it is to go on."""

T = TypeVar("T")


def within(seconds: float, function: Callable[[], T], keep: Callable[[], None] | None = None) -> T:
    """What ``function`` returns or raises; TimeoutError where that takes longer.

    It runs in a thread of its own, which is left to itself when its time is over. ``keep`` is called every second meanwhile,
    to renew what is held; whatever it raises ends the wait.
    """
    answer: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            answer.append(function())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="plugin", daemon=True).start()
    end = monotonic() + seconds
    while not done.wait(max(0.0, min(TICK, end - monotonic()))):
        if monotonic() >= end:
            raise TimeoutError(f"no answer within {seconds:g} s")
        if keep is not None:
            keep()
    if raised:
        raise raised[0]
    return answer[0]
