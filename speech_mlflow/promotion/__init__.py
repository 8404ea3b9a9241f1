"""Promotion: from a version in the MLflow registry to the endpoint that serves it.

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.promotion.apply import Applied
    from speech_mlflow.promotion.controller import Controller, watch
    from speech_mlflow.promotion.decisions import Candidate, Decision
    from speech_mlflow.promotion.desired import Desired, resolve
    from speech_mlflow.promotion.events import PromotionEvent
    from speech_mlflow.promotion.options import Options
    from speech_mlflow.promotion.plan import Plan
    from speech_mlflow.promotion.target import Target
    from speech_mlflow.promotion.usecases import Past, apply_plan, history, judge, plan_for, promote, rollback, target_of

_HOME = {
    "Applied": "apply",
    "Candidate": "decisions",
    "Controller": "controller",
    "Decision": "decisions",
    "Desired": "desired",
    "Options": "options",
    "Past": "usecases",
    "Plan": "plan",
    "PromotionEvent": "events",
    "Target": "target",
    "apply_plan": "usecases",
    "history": "usecases",
    "judge": "usecases",
    "plan_for": "usecases",
    "promote": "usecases",
    "resolve": "desired",
    "rollback": "usecases",
    "target_of": "usecases",
    "watch": "controller",
}

__all__ = [
    "Applied",
    "Candidate",
    "Controller",
    "Decision",
    "Desired",
    "Options",
    "Past",
    "Plan",
    "PromotionEvent",
    "Target",
    "apply_plan",
    "history",
    "judge",
    "plan_for",
    "promote",
    "resolve",
    "rollback",
    "target_of",
    "watch",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return list(__all__)
