"""Where in a recording somebody speaks: the gate for silence, and the places where long audio is cut.

A decoder given digital silence may return a word that nobody said, so audio without speech never reaches it. The detector is the
one that comes with PocketSphinx (WebRTC's).
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from pocketsphinx import Vad

from speech_mlflow.emulator.engine import SAMPLE_RATE

FRAME_SECONDS = 0.03
MIN_SPEECH_FRAMES = 4
"""Fewer frames than this (0.12 s) are no word."""
MIN_PEAK = 64
"""Loudest sample below which a recording is silence, whatever the detector says (-54 dB of full scale)."""
MAX_CHUNK_SECONDS = 45.0
"""Longer audio is cut at pauses: a decoder's memory and search grow with the length of one utterance."""

Flags = npt.NDArray[np.bool_]


def speech_flags(pcm: bytes) -> Flags:
    """Whether each frame of 30 ms has speech. A rest shorter than a frame is left out."""
    detector = Vad(0, SAMPLE_RATE, FRAME_SECONDS)  # made anew: it keeps state from what it heard
    size = detector.frame_bytes
    return np.array([detector.is_speech(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)], dtype=bool)


def has_speech(pcm: bytes, flags: Flags) -> bool:
    """Whether there is anything to decode."""
    if flags.sum() < MIN_SPEECH_FRAMES:
        return False
    samples = np.frombuffer(pcm, dtype="<i2")
    return int(np.abs(samples.astype(np.int32)).max()) >= MIN_PEAK


def chunks(pcm: bytes, flags: Flags, longest: float = MAX_CHUNK_SECONDS) -> list[tuple[int, int]]:
    """Byte ranges of at most ``longest`` seconds, cut in the middle of pauses where there are any; together they are all of ``pcm``."""
    frame_bytes = int(FRAME_SECONDS * SAMPLE_RATE) * 2
    limit = int(longest / FRAME_SECONDS)
    cuts, start = [0], 0
    while len(flags) - start > limit:
        start = _cut(flags, start + limit // 2, start + limit)
        cuts.append(start * frame_bytes)
    cuts.append(len(pcm))
    return list(itertools.pairwise(cuts))


def _cut(flags: Flags, low: int, high: int) -> int:
    """Middle of the longest pause between two frames; the last frame when there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], flags[low:high], [True])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return high
    longest = int(np.argmax(ends - starts))
    return low + int(starts[longest] + ends[longest]) // 2
