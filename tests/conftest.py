"""What all tests share. Real things only: the fixtures are a real MLflow store and the real offline service."""

from __future__ import annotations

import importlib.util
import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["SPEECH_MLFLOW_DISABLED_PLUGINS"] = "*"  # what the machine has installed is not under test
for name in [name for name in os.environ if name.startswith("SPEECH_MLFLOW_") and name.endswith(("ENDPOINT", "KEY"))]:
    if os.environ.get("SPEECH_MLFLOW_LIVE") != "1":
        del os.environ[name]

pytest_plugins = [
    name for name in ("tests.fixtures.mlflow", "tests.fixtures.emulator") if importlib.util.find_spec(name) is not None
]
