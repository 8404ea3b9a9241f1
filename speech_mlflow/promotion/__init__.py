"""Promotion: from a version in the MLflow registry to the endpoint that serves it.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "apply": ["Applied"],
            "controller": ["Controller", "watch"],
            "decisions": ["Candidate", "Decision"],
            "desired": ["Desired", "resolve"],
            "events": ["PromotionEvent"],
            "options": ["Options"],
            "plan": ["Plan"],
            "target": ["Target"],
            "usecases": ["Past", "apply_plan", "history", "judge", "plan_for", "promote", "rollback", "target_of"],
        },
    )

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
