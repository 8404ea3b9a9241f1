"""Who asks for a promotion and why, how long its steps may take, and who hears of it."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from speech_mlflow.errors import PromotionError
from speech_mlflow.progress import Progress, silent
from speech_mlflow.promotion.claim import TTL
from speech_mlflow.promotion.events import OnEvent

if TYPE_CHECKING:
    import pluggy

DEPLOY_SECONDS = 45 * 60.0
"""How long the service may take to deploy: its documentation says up to 30 minutes."""
LOOK_AFTER = (0.0, 2.0, 5.0, 10.0)
"""Seconds before each look for an endpoint that a process which died may have created: the list may lag behind."""
TICK = 1.0
"""Seconds after which a wait looks whether it is to end, and renews the claim."""


def user() -> str:
    """Who runs this process, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id may have no name
        return "unknown"


class Stopped(PromotionError):
    """The promotion was told to stop; what is left of it is done by the next one."""


@dataclass(frozen=True)
class Options:
    """Who asks for it and why, and how long things may take. ``expiry_days`` is how early a controller tells of expiry."""

    who: str = "unknown"
    why: str = ""
    progress: Progress = silent
    on_event: OnEvent | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    manager: pluggy.PluginManager | None = None
    deploy_seconds: float = DEPLOY_SECONDS
    look_after: tuple[float, ...] = LOOK_AFTER
    claim_seconds: float = TTL
    expiry_days: float = 30.0

    def pause(self, seconds: float, keep: Callable[[], None] | None = None) -> None:
        """Sleep, calling ``keep`` every second; Stopped as soon as ``stop`` is set."""
        end = monotonic() + seconds
        while True:
            left = end - monotonic()
            if self.stop.wait(max(0.0, min(TICK, left))):
                raise Stopped("stopped in the middle of a promotion", hint="the next run goes on with it")
            if keep is not None:
                keep()
            if left <= TICK:
                return
