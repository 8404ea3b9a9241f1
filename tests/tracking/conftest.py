"""The service and the small data of the workflow's tests, here too."""

from __future__ import annotations

from tests.workflow.conftest import mlflow, speech, testing, text

__all__ = ["mlflow", "speech", "testing", "text"]
