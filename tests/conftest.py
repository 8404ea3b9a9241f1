"""What all tests share. Real things only: the fixtures are a real MLflow store and the real offline service."""

from __future__ import annotations

import importlib.util
import os
import signal

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["SPEECH_MLFLOW_DISABLED_PLUGINS"] = "*"  # what the machine has installed is not under test
for name in [name for name in os.environ if name.startswith("SPEECH_MLFLOW_") and name.endswith(("ENDPOINT", "KEY"))]:
    if os.environ.get("SPEECH_MLFLOW_LIVE") != "1":
        del os.environ[name]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what is in its background so, and children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    name for name in ("tests.fixtures.mlflow", "tests.fixtures.emulator") if importlib.util.find_spec(name) is not None
]
