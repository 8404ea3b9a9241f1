"""Trying an endpoint after its model changed: known recordings go in, and what comes back is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from speech_mlflow.errors import PromotionError, SettingsError
from speech_mlflow.promotion.patience import within

if TYPE_CHECKING:
    from speech_mlflow.progress import Progress
    from speech_mlflow.promotion.target import Probe
    from speech_mlflow.service.client import SpeechClient

ANSWER_SECONDS = 300.0
"""How long a recording of at most a minute may take, all attempts together; the client gives up before."""


class ProbeFailed(PromotionError):
    """The endpoint does not hear what it should; ``result`` holds the numbers, where there are any."""

    def __init__(self, message: str, result: Probed | None = None) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Probed:
    """What a probe measured: ``wer`` over all recordings (a fraction), ``slowest`` answer in seconds."""

    wer: float
    slowest: float
    recordings: int


def load(probe: Probe) -> list[tuple[str, bytes]]:
    """Texts and WAV files of the recordings. SettingsError names every file that cannot be read."""
    found, missing = [], []
    for recording in probe.recordings:
        try:
            found.append((recording.text, Path(recording.audio).read_bytes()))
        except OSError as error:
            missing.append(f"{recording.audio}: {error.strerror}")
    if missing:
        raise SettingsError(f"recordings of the probe cannot be read: {'; '.join(missing)}")
    return found


def run(
    speech: SpeechClient,
    endpoint_id: str,
    recordings: list[tuple[str, bytes]],
    probe: Probe,
    *,
    language: str,
    progress: Progress,
    keep: Callable[[], None],
) -> Probed:
    """Transcribe the recordings through the endpoint. ProbeFailed where the result is out of the probe's bounds.

    ``keep`` is called before each recording, and every second while an answer is waited for: a probe may take longer than a claim
    lasts. What it raises comes out of here.
    """
    from speech_mlflow.progress import ProgressEvent
    from speech_mlflow.scoring import score

    heard, slowest = [], 0.0
    for count, (_, wav) in enumerate(recordings, 1):
        keep()
        started = monotonic()
        heard.append(within(ANSWER_SECONDS, partial(speech.recognize, endpoint_id, wav, language=language), keep).lexical)
        slowest = max(slowest, monotonic() - started)
        progress(ProgressEvent("probe", count, len(recordings), "recordings"))
    result = Probed(score([text for text, _ in recordings], heard, normalizer=language).wer, slowest, len(recordings))
    if result.wer > probe.max_wer:
        raise ProbeFailed(f"the probe's WER is {result.wer:.1%}, and at most {probe.max_wer:.1%} is allowed", result)
    if probe.max_seconds is not None and slowest > probe.max_seconds:
        raise ProbeFailed(f"the slowest answer took {slowest:.1f} s, and at most {probe.max_seconds:g} s are allowed", result)
    return result
