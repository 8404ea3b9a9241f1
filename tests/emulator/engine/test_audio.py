"""Every kind of WAV file that people have becomes the same 16 kHz mono samples."""

from __future__ import annotations

import contextlib
import io
import struct

import numpy as np
import pytest
from scipy.io import wavfile

from speech_mlflow.emulator.audio import pcm_seconds, to_pcm16k
from speech_mlflow.errors import AudioError
from tests.emulator.engine.material import wav


def tone(rate: int, hertz: float = 440.0, seconds: float = 0.5, peak: int = 8000) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def written(data: np.ndarray, rate: int) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, rate, data)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.frombuffer(to_pcm16k(data), "<i2").astype(float)


def test_16_khz_mono_is_kept_bit_by_bit() -> None:
    samples = tone(16_000).astype("<i2")
    assert to_pcm16k(wav(samples)) == samples.tobytes()


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(rate: int) -> None:
    heard = decoded(wav(tone(rate), rate))
    assert pcm_seconds(heard.astype("<i2").tobytes()) == pytest.approx(0.5, abs=0.001)
    middle = slice(1000, -1000)
    assert np.abs(heard[middle] - tone(16_000)[: len(heard)][middle]).max() < 100


def test_channels_are_averaged() -> None:
    left, right = tone(16_000), tone(16_000, peak=4000)
    heard = decoded(wav(np.column_stack([left, right]).ravel(), channels=2))
    assert np.abs(heard - (left + right) / 2).max() < 2


@pytest.mark.parametrize(("scale", "kind"), [(65536, np.int32), (1 / 32767, np.float32), (1 / 32767, np.float64)])
def test_other_sample_formats(scale: float, kind: type) -> None:
    assert np.abs(decoded(written((tone(16_000) * scale).astype(kind), 16_000)) - tone(16_000)).max() < 3


def test_8_bit() -> None:
    heard = decoded(written((tone(16_000) / 256 + 128).round().astype(np.uint8), 16_000))
    assert np.abs(heard - tone(16_000)).max() < 300


def test_an_empty_recording_has_no_samples() -> None:
    assert to_pcm16k(wav(np.zeros(0))) == b""


def test_unknown_chunks_are_passed_over() -> None:
    plain = wav(tone(16_000))
    odd = plain[:36] + b"junk" + struct.pack("<I", 6) + b"abcdef" + plain[36:]
    assert to_pcm16k(odd) == to_pcm16k(plain)


@pytest.mark.parametrize(
    "data", [b"", b"ID3 something", b"RIFF\x10\0\0\0WAVE", b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + bytes(9)]
)
def test_what_is_no_wav_file_is_named(data: bytes) -> None:
    with pytest.raises(AudioError, match=r"ward 3\.wav"):
        to_pcm16k(data, name="ward 3.wav")


def test_a_rate_that_no_speech_has_is_refused() -> None:
    with pytest.raises(AudioError, match="4000 Hz"):
        to_pcm16k(wav(tone(4_000), 4_000))


def test_a_length_that_lies_takes_no_memory() -> None:
    data = bytearray(wav(tone(16_000)))
    struct.pack_into("<I", data, 40, 0xFFFFFFF0)
    with contextlib.suppress(AudioError):
        assert len(to_pcm16k(bytes(data))) <= len(data)
