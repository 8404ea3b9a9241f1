"""The use cases: train, test, register, wait. Each is found again by its content, and resumed where it stopped.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech_mlflow.workflow.comparing import ComparedModel, RunComparison, compare_runs
    from speech_mlflow.workflow.data import import_url, upload
    from speech_mlflow.workflow.importing import import_existing
    from speech_mlflow.workflow.registering import register
    from speech_mlflow.workflow.results import load_test
    from speech_mlflow.workflow.testing import TestResult, test
    from speech_mlflow.workflow.training import TrainResult, train
    from speech_mlflow.workflow.watching import Status, Waited, status, wait, wait_all
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "comparing": ["ComparedModel", "RunComparison", "compare_runs"],
            "data": ["import_url", "upload"],
            "importing": ["import_existing"],
            "registering": ["register"],
            "results": ["load_test"],
            "testing": ["TestResult", "test"],
            "training": ["TrainResult", "train"],
            "watching": ["Status", "Waited", "status", "wait", "wait_all"],
        },
    )

__all__ = [
    "ComparedModel",
    "RunComparison",
    "Status",
    "TestResult",
    "TrainResult",
    "Waited",
    "compare_runs",
    "import_existing",
    "import_url",
    "load_test",
    "register",
    "status",
    "test",
    "train",
    "upload",
    "wait",
    "wait_all",
]
