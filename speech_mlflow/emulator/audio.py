"""Recordings as people have them, turned into what a recogniser takes: 16 kHz, mono, 16-bit little endian."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from speech_mlflow.emulator.engine import SAMPLE_RATE
from speech_mlflow.errors import AudioError

MIN_RATE, MAX_RATE = 8_000, 96_000


def to_pcm16k(wav: bytes, *, name: str = "recording") -> bytes:
    """Decode a WAV file and return its samples as 16 kHz mono 16-bit little endian.

    Takes PCM of 8 to 32 bits or float, any number of channels (averaged), 8 kHz and more (resampled with a polyphase filter).
    Raises AudioError, naming ``name``, for anything else.
    """
    rate, samples = _read(wav, name)
    check_rate(rate, name)
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if rate != SAMPLE_RATE and mono.size:
        mono = _resample(mono, rate)
    return np.clip(np.rint(mono), -32768, 32767).astype("<i2").tobytes()


def check_rate(rate: int, name: str) -> None:
    """Raises AudioError for a sample rate, in Hz, that is not taken."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: a sample rate of {rate} Hz is not supported", hint="use 8 kHz or 16 kHz")


def pcm_seconds(pcm: bytes) -> float:
    """Length in seconds of 16 kHz mono 16-bit samples."""
    return len(pcm) / 2 / SAMPLE_RATE


def _read(wav: bytes, name: str) -> tuple[int, npt.NDArray[np.float32]]:
    from scipy.io import wavfile  # slow to import, and only the workers need it

    if wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        raise AudioError(f"{name}: not a WAV file", hint="convert it to WAV (RIFF), 16 kHz or 8 kHz, mono, 16-bit PCM")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # unknown chunks do no harm
            rate, data = wavfile.read(io.BytesIO(wav))
    except Exception as error:  # scipy raises many kinds for broken files
        raise AudioError(f"{name}: the WAV file cannot be read: {error}", hint="write it again as 16-bit PCM") from error
    return int(rate), _scale(np.asarray(data))


def _scale(data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Bring every sample format to the range of 16 bits."""
    if data.dtype == np.uint8:
        return (data.astype(np.float32) - 128) * 256
    if data.dtype.kind == "f":
        return np.nan_to_num(data.astype(np.float32)) * 32767
    if data.dtype == np.int32:  # 24 bit arrives left-aligned in 32
        return (data / 65536).astype(np.float32)
    return data.astype(np.float32)


def _resample(mono: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    from scipy.signal import resample_poly

    step = math.gcd(rate, SAMPLE_RATE)
    return np.asarray(resample_poly(mono, SAMPLE_RATE // step, rate // step), dtype=np.float32)
