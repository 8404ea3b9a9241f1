"""Which state of the acoustic model each moment of a recording belongs to, given its transcript, and the features of that moment.

The decoder itself aligns, and dumps the cepstra that it computes; they become the features that its Gaussians see: mean-normalised,
with first and second differences.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder

from speech_mlflow.emulator.sphinx import base
from speech_mlflow.emulator.sphinx.voice import has_speech, speech_flags

Array = npt.NDArray[Any]

CEPSTRA = 13
WINDOW = 3
"""Frames on each side that the second difference looks at."""
BEAMS = ({"beam": 1e-64, "pbeam": 1e-64, "wbeam": 1e-40}, {"beam": 1e-120, "pbeam": 1e-120, "wbeam": 1e-100})
"""Wider than for recognition, and much wider for what finds no way to its end with the first: the voice is not known yet."""
PADDING = (0.0, 0.1, 0.2)
"""Seconds of near silence put at both ends, tried in turn: the second pass wants some frames of silence around the words."""
FRAME_SAMPLES = 160


@dataclass(frozen=True, eq=False)
class Aligned:
    """Features of each frame (frames x streams x 13), its senone, and the name of its phone."""

    features: Array
    senones: Array
    phones: list[str]


class Aligner:
    """Aligns recordings with what is said in them. The words must be in the dictionary."""

    def __init__(self, dictionary: Path) -> None:
        self._dictionary = dictionary
        self._folder = tempfile.TemporaryDirectory(prefix="speech-mlflow-align-")
        self._decoders: dict[int, Decoder] = {}

    def close(self) -> None:
        """Remove what the decoder dumped."""
        self._folder.cleanup()

    def align(self, pcm: bytes, words: list[str]) -> Aligned | None:
        """Align samples (16 kHz mono) with words; None when no way through the words fits the recording."""
        if not words or not has_speech(pcm, speech_flags(pcm)):
            return None
        for beams in range(len(BEAMS)):
            for seconds in PADDING:
                aligned = self._try(beams, pcm, words, round(seconds / 0.01))
                if aligned is not None:
                    return aligned
        return None

    def _try(self, beams: int, pcm: bytes, words: list[str], pad: int) -> Aligned | None:
        """One attempt, with ``pad`` frames of near silence at both ends that the result does not have."""
        decoder = self._decoder(beams)
        silence = np.random.default_rng(0).normal(0, 3, pad * FRAME_SAMPLES).astype("<i2").tobytes()
        padded = silence + pcm + silence
        decoder.set_align_text(" ".join(words))
        self._decode(decoder, padded)
        if decoder.hyp() is None:
            return None
        try:
            decoder.set_alignment()  # the words are placed; now their phones and states
            self._decode(decoder, padded)
            states = _states(decoder.get_alignment())
        except RuntimeError:
            return None
        cepstra = self._dumped()
        frames = slice(pad, min(len(cepstra), len(states)) - pad)
        chosen = states[frames]
        if not chosen:
            return None
        return Aligned(features(cepstra)[frames], np.array([senone for senone, _ in chosen]), [phone for _, phone in chosen])

    def _decoder(self, beams: int) -> Decoder:
        if beams not in self._decoders:
            options = {
                "hmm": str(base.acoustic_dir()),
                "dict": str(self._dictionary),
                "lm": None,
                "mfclogdir": self._folder.name,
            }
            self._decoders[beams] = Decoder(**options, **BEAMS[beams], loglevel="FATAL")
        return self._decoders[beams]

    def _decode(self, decoder: Decoder, pcm: bytes) -> None:
        for dump in Path(self._folder.name).iterdir():
            dump.unlink()
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()

    def _dumped(self) -> Array:
        """Cepstra of the last recording: big-endian floats after a count."""
        (dump,) = Path(self._folder.name).iterdir()
        return np.frombuffer(dump.read_bytes(), ">f4", offset=4).reshape(-1, CEPSTRA).astype(np.float64)


def features(cepstra: Array) -> Array:
    """Frames x streams x 13: cepstra less their mean, ``c[+2] - c[-2]``, ``(c[+3] - c[-1]) - (c[+1] - c[-3])``.

    The mean is over frames with energy, as in the decoder; the first and last frame are repeated at the ends.
    """
    heard = cepstra[:, 0] >= 0
    mean = cepstra[heard].mean(axis=0) if heard.any() else np.zeros(CEPSTRA)
    padded = np.pad(cepstra - mean, ((WINDOW, WINDOW), (0, 0)), mode="edge")

    def at(offset: int) -> Array:
        return padded[WINDOW + offset : len(padded) - WINDOW + offset]

    return np.stack([at(0), at(2) - at(-2), (at(3) - at(-1)) - (at(1) - at(-3))], axis=1)


def _states(alignment: Any) -> list[tuple[int, str]]:
    """Senone and phone of each frame. The entries are read while they are iterated over: they do not outlive it."""
    found: list[tuple[int, str]] = []
    for word in alignment or ():
        for phone in word:
            name = phone.name
            for state in phone:
                found += [(int(state.name), name)] * state.duration
    return found
