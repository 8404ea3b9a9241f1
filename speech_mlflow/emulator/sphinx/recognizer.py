"""One loaded PocketSphinx model: samples in, readings with times and confidences out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from pocketsphinx import Decoder

from speech_mlflow.emulator.audio import pcm_seconds
from speech_mlflow.emulator.engine import Hypothesis, Recognition, Word
from speech_mlflow.emulator.sphinx.voice import chunks, has_speech, speech_flags
from speech_mlflow.errors import EngineError

FRAME_SECONDS = 0.01
NBEST = 5
NBEST_TRIED = 50
"""Readings taken from the lattice to find NBEST different ones: most differ only in fillers."""
NBEST_SHARPNESS = 20.0
"""How fast an alternative's confidence falls with its score. A relative measure: the scores are no probabilities."""

_FILLER = re.compile(r"^(?:<.*>|\[.*\]|\+\+.*\+\+)$")
_VARIANT = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class ModelFiles:
    """Files of one model, as the decoder takes them. ``means`` None: those of ``acoustic``."""

    acoustic: Path
    language: Path
    dictionary: Path
    means: Path | None = None


class SphinxRecognizer:
    """Recognises with one model. For one thread of one process; the same samples always give the same words."""

    def __init__(self, files: ModelFiles) -> None:
        options = {"hmm": str(files.acoustic), "lm": str(files.language), "dict": str(files.dictionary), "loglevel": "FATAL"}
        if files.means is not None:
            options["mean"] = str(files.means)
        try:
            self._decoder = Decoder(**options)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"PocketSphinx could not load a model: {error} ({files})") from error

    def transcribe(self, pcm: bytes) -> Recognition:
        """Recognise 16 kHz mono 16-bit samples of any length; silence and empty audio give no reading."""
        flags = speech_flags(pcm)
        parts: list[tuple[Hypothesis, ...]] = []
        if has_speech(pcm, flags):
            for first, last in chunks(pcm, flags):
                readings = self._decode(pcm[first:last])
                parts.append(tuple(_shift(reading, pcm_seconds(pcm[:first])) for reading in readings))
        return Recognition(_join([part for part in parts if part]), pcm_seconds(pcm))

    def _decode(self, pcm: bytes) -> tuple[Hypothesis, ...]:
        decoder = self._decoder
        # The noise removal keeps state from utterance to utterance; without this the order of the recordings would matter.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        words = tuple(_words(decoder.seg()))
        if not words:
            return ()
        confidence = sum(word.confidence for word in words) / len(words)
        best = Hypothesis(" ".join(word.text for word in words), confidence, words)
        return (best, *_alternatives(decoder, best))


def _shown(word: str) -> str:
    """A word of the decoder as it is read: without the number of its pronunciation, letters (``b.``) without their full stop."""
    return _VARIANT.sub("", word).rstrip(".").replace("_", " ")


def _words(segments: Any) -> list[Word]:
    """Words of a segmentation without fillers and pronunciation numbers; frames become seconds."""
    found = []
    for segment in segments or ():
        if _FILLER.match(segment.word):
            continue
        offset = segment.start_frame * FRAME_SECONDS
        duration = (segment.end_frame + 1 - segment.start_frame) * FRAME_SECONDS
        text = _shown(segment.word)
        found.append(Word(text, round(offset, 2), round(duration, 2), min(1.0, max(0.0, float(segment.prob)))))
    return found


def _alternatives(decoder: Decoder, best: Hypothesis) -> list[Hypothesis]:
    """Other readings of the lattice, the likeliest first."""
    seen, found, top = {best.lexical}, [], None
    for reading in islice(decoder.nbest() or (), NBEST_TRIED):
        if reading is None or not reading.hypstr:
            continue
        top = top or reading.score
        text = " ".join(_shown(word) for word in reading.hypstr.split() if not _FILLER.match(word))
        if not text or text in seen:
            continue
        seen.add(text)
        relative = min(1.0, reading.score / top) ** NBEST_SHARPNESS if top else 0.0
        found.append(Hypothesis(text, best.confidence * relative))
        if len(seen) == NBEST:
            break
    return sorted(found, key=lambda reading: -reading.confidence)


def _shift(reading: Hypothesis, seconds: float) -> Hypothesis:
    words = tuple(replace(word, offset=round(word.offset + seconds, 2)) for word in reading.words)
    return replace(reading, words=words)


def _join(parts: list[tuple[Hypothesis, ...]]) -> tuple[Hypothesis, ...]:
    """Readings of consecutive chunks as readings of the whole; a chunk without an n-th reading gives its best."""
    if len(parts) <= 1:
        return parts[0] if parts else ()
    joined: list[Hypothesis] = []
    for row in zip_longest(*parts):
        chosen = [reading or parts[index][0] for index, reading in enumerate(row)]
        size = sum(len(reading.lexical.split()) for reading in chosen)
        confidence = sum(reading.confidence * len(reading.lexical.split()) for reading in chosen) / size
        words = tuple(word for reading in chosen for word in reading.words) if not joined else ()
        joined.append(Hypothesis(" ".join(reading.lexical for reading in chosen), confidence, words))
    return tuple(joined)
