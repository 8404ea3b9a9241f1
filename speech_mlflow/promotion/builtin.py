"""The built-in implementations of hooks in this part; loaded like any plugin, so it imports nothing heavy at its top."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from speech_mlflow.hookspecs import hookimpl

if TYPE_CHECKING:
    from speech_mlflow.promotion.decisions import Candidate, Decision
    from speech_mlflow.promotion.events import PromotionEvent

log = logging.getLogger("speech_mlflow.promotion")


@hookimpl
def promotion_gate(candidate: Candidate) -> list[Decision]:
    """The gates that a target declares."""
    from speech_mlflow.promotion.gates import builtin_gates

    return builtin_gates(candidate)


@hookimpl
def promotion_event(event: PromotionEvent) -> None:
    """Every event is a line in the log, and is sent to the sink of the settings, if there is one."""
    level = logging.DEBUG if event.kind == "idle" else logging.INFO
    target = f"{event.registered_model}/{event.target}" if event.registered_model else "controller"
    log.log(level, "%s: %s: %s", target, event.kind, event.reason)
    if event.kind != "idle":
        from speech_mlflow.promotion.cloudevents import outbox

        sink = outbox()
        if sink is not None:
            sink.put(event)
