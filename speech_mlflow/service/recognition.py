"""Recognition of short audio, by a base model or through an endpoint: the way to try what was deployed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speech_mlflow.corpus.wav import read_wav
from speech_mlflow.errors import AudioError
from speech_mlflow.service.retry import Safety
from speech_mlflow.service.transport import Body, Transport

PATH = "/speech/recognition/conversation/cognitiveservices/v1"
SECONDS_MAX = 60.0  # of audio that the service takes in one request
TICKS = 10_000_000  # the service counts time in 100 ns


@dataclass(frozen=True)
class Guess:
    """One way to read the audio; ``confidence`` is 0 to 1."""

    confidence: float | None
    lexical: str
    itn: str
    masked_itn: str
    display: str


@dataclass(frozen=True)
class RecognitionResult:
    """What was heard. ``status`` is *Success* where something was; ``offset`` and ``duration`` are in seconds."""

    status: str
    display: str
    offset: float
    duration: float
    nbest: tuple[Guess, ...] = ()

    @property
    def lexical(self) -> str:
        """The words, unformatted, of the best guess; empty in the simple format."""
        return self.nbest[0].lexical if self.nbest else ""

    @property
    def itn(self) -> str:
        """With numbers and the like written as people write them."""
        return self.nbest[0].itn if self.nbest else ""

    @property
    def masked_itn(self) -> str:
        """The same with profanity masked."""
        return self.nbest[0].masked_itn if self.nbest else ""

    @property
    def confidence(self) -> float | None:
        """Of the best guess, 0 to 1."""
        return self.nbest[0].confidence if self.nbest else None


def recognize(
    transport: Transport,
    endpoint_id: str | None,
    wav: bytes | Path,
    *,
    language: str,
    format: str = "detailed",
    profanity: str | None = None,
) -> RecognitionResult:
    """Recognise a WAV file of at most 60 s through the endpoint ``endpoint_id``; without one, by the base model.

    Raises `AudioError` for what the service would refuse.
    """
    rate = _sample_rate(wav)
    content = wav.read_bytes() if isinstance(wav, Path) else wav
    answer = transport.call(
        "POST",
        PATH,
        params={"language": language, "format": format, "profanity": profanity, "cid": endpoint_id},
        content=Body(content),
        headers={"Content-Type": f"audio/wav; codecs=audio/pcm; samplerate={rate}"},
        safety=Safety.REPEATABLE,  # the same audio is only heard twice
        on_recognition_host=True,
    )
    return result_of(answer.object())


def result_of(value: Mapping[str, Any]) -> RecognitionResult:
    """The record of an answer in the simple or the detailed format; what is missing is empty."""
    listed = value.get("NBest")
    guesses = tuple(_guess(one) for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict))
    display = value.get("DisplayText")
    return RecognitionResult(
        status=str(value.get("RecognitionStatus", "")),
        display=str(display) if display is not None else guesses[0].display if guesses else "",
        offset=_seconds(value.get("Offset")),
        duration=_seconds(value.get("Duration")),
        nbest=guesses,
    )


def _guess(value: Mapping[str, Any]) -> Guess:
    confidence = value.get("Confidence")
    return Guess(
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
        lexical=str(value.get("Lexical", "")),
        itn=str(value.get("ITN", "")),
        masked_itn=str(value.get("MaskedITN", "")),
        display=str(value.get("Display", "")),
    )


def _seconds(ticks: Any) -> float:
    try:
        return int(ticks) / TICKS
    except (TypeError, ValueError):
        return 0.0


def _sample_rate(wav: bytes | Path) -> int:
    header = read_wav(wav, name=None if isinstance(wav, Path) else "the audio", max_seconds=math.inf)
    if header.seconds > SECONDS_MAX:
        raise AudioError(
            f"{header.name} lasts {header.seconds:.0f} s, and at most {SECONDS_MAX:.0f} s are recognised in one request",
            hint="submit longer recordings as a transcription",
        )
    return header.sample_rate
