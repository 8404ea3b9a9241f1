"""A declared project: data, models, tests, gates and promotion, carried out as one parent run, and only what changed.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech_mlflow.pipeline.declared import Pipeline, SettingsFile, read
    from speech_mlflow.pipeline.project import Project
    from speech_mlflow.pipeline.records import Outcome, Outlook, PipelineResult
    from speech_mlflow.pipeline.summary import markdown
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "declared": ["Pipeline", "SettingsFile", "read"],
            "project": ["Project"],
            "records": ["Outcome", "Outlook", "PipelineResult"],
            "summary": ["markdown"],
        },
    )

__all__ = ["Outcome", "Outlook", "Pipeline", "PipelineResult", "Project", "SettingsFile", "markdown", "read"]
