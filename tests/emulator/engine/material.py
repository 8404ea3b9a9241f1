"""Speech for the engine's tests: a part of the example corpus, and arrays as WAV files."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

CLINIC = Path(__file__).parents[3] / "examples" / "clinic"
OLDER, NEWER = "en-us-5k", "en-us-40k"


def transcripts(folder: str) -> list[tuple[Path, str]]:
    """Recordings of a part of the example corpus and what is said in them."""
    lines = (CLINIC / folder / "transcripts.txt").read_text(encoding="utf-8-sig").splitlines()
    return [(CLINIC / folder / name, text) for name, text in (line.split("\t") for line in lines if line.strip())]


def sentences(part: str) -> list[str]:
    """Related text of ``training`` or ``training-more``."""
    return (CLINIC / part / "related-text.txt").read_text(encoding="utf-8-sig").splitlines()


def pronunciations(part: str) -> list[tuple[str, str]]:
    """Displayed and spoken forms of ``training`` or ``training-more``."""
    lines = (CLINIC / part / "pronunciations.txt").read_text(encoding="utf-8-sig").splitlines()
    return [(shown, spoken) for shown, spoken in (line.split("\t") for line in lines)]


def wav(samples: np.ndarray, rate: int = 16_000, channels: int = 1) -> bytes:
    """A 16-bit WAV file of samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, 2, rate, 0, "NONE", ""))
        writer.writeframes(np.asarray(samples).astype("<i2").tobytes())
    return file.getvalue()


def samples(path: Path) -> np.ndarray:
    """Samples of a 16-bit WAV file."""
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")
