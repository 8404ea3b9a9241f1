"""The use cases: train, test, register, wait. Each is found again by its content, and resumed where it stopped.

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.workflow.comparing import ComparedModel, RunComparison, compare_runs
    from speech_mlflow.workflow.data import import_url, upload
    from speech_mlflow.workflow.importing import import_existing
    from speech_mlflow.workflow.registering import register
    from speech_mlflow.workflow.results import load_test
    from speech_mlflow.workflow.testing import TestResult, test
    from speech_mlflow.workflow.training import TrainResult, train
    from speech_mlflow.workflow.watching import Status, Waited, status, wait, wait_all

_HOME = {
    "ComparedModel": "comparing",
    "RunComparison": "comparing",
    "Status": "watching",
    "TestResult": "testing",
    "TrainResult": "training",
    "Waited": "watching",
    "compare_runs": "comparing",
    "import_existing": "importing",
    "import_url": "data",
    "load_test": "results",
    "register": "registering",
    "status": "watching",
    "test": "testing",
    "train": "training",
    "upload": "data",
    "wait": "watching",
    "wait_all": "watching",
}

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


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)
