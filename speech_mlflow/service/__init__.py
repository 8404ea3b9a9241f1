"""The client of the Speech to text REST API. Names are loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.credentials import KeyCredential, TokenCredential
    from speech_mlflow.service.recognition import RecognitionResult
    from speech_mlflow.service.retry import Timing
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "client": ["SpeechClient"],
            "credentials": ["KeyCredential", "TokenCredential"],
            "recognition": ["RecognitionResult"],
            "retry": ["Timing"],
        },
    )

__all__ = ["KeyCredential", "RecognitionResult", "SpeechClient", "Timing", "TokenCredential"]
