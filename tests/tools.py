"""Programs that some tests need and a user's machine may lack."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def require_tool(*names: str) -> str:
    """The path of the first program; skips where one is missing, or fails where SPEECH_MLFLOW_REQUIRE_TOOLS is set."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        missing_tool(*missing)
    return shutil.which(names[0]) or ""


def missing_tool(*names: str) -> NoReturn:
    """Skip, naming what is not installed; fail where SPEECH_MLFLOW_REQUIRE_TOOLS is set."""
    reason = f"not installed: {', '.join(names)}"
    if os.environ.get("SPEECH_MLFLOW_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_env(name: str) -> str:
    """The value of an environment variable; skips, naming it, where it is not set."""
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set")
    return value
