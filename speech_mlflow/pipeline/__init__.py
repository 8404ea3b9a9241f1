"""A declared project: data, models, tests, gates and promotion, carried out as one parent run, and only what changed.

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.pipeline.declared import Pipeline, SettingsFile, read
    from speech_mlflow.pipeline.project import Project
    from speech_mlflow.pipeline.records import Outcome, Outlook, PipelineResult
    from speech_mlflow.pipeline.summary import markdown

_HOME = {
    "Outcome": "records",
    "Outlook": "records",
    "Pipeline": "declared",
    "PipelineResult": "records",
    "Project": "project",
    "SettingsFile": "declared",
    "markdown": "summary",
    "read": "declared",
}

__all__ = ["Outcome", "Outlook", "Pipeline", "PipelineResult", "Project", "SettingsFile", "markdown", "read"]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)
