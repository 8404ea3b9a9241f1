"""Named points at which a process can be made to die, as ``kill -9`` would have it, to prove that another one takes over.

``SPEECH_MLFLOW_CRASH_AT=before:write`` kills the process when it comes to that point; nothing is cleaned up. Unset, the
points cost one look into the environment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "SPEECH_MLFLOW_CRASH_AT"
STEPS = ("resolve", "claim", "journal", "gates", "look-up", "write", "wait", "probe", "tags", "close", "notify")
"""The steps of a promotion, in order."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """One step of a promotion, with a point before and one after it."""
    point(f"before:{name}")
    yield
    point(f"after:{name}")


def point(name: str) -> None:
    """Die here, if the environment says so."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
