"""How long work reports where it is, without knowing who shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """One report of a long step.

    ``step`` names the work and stays the same from its first event to its last; ``done`` of ``total`` is in
    ``unit`` (``total`` is None where the end is not known); ``detail`` is a short word on the present state.
    """

    step: str
    done: float
    total: float | None = None
    unit: str = ""
    detail: str = ""


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Show nothing."""
