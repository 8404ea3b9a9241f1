"""The client of the Speech to text REST API. Names are loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.credentials import KeyCredential, TokenCredential
    from speech_mlflow.service.recognition import RecognitionResult
    from speech_mlflow.service.retry import Timing

_HOME = {
    "KeyCredential": "credentials",
    "RecognitionResult": "recognition",
    "SpeechClient": "client",
    "Timing": "retry",
    "TokenCredential": "credentials",
}

__all__ = ["KeyCredential", "RecognitionResult", "SpeechClient", "Timing", "TokenCredential"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
