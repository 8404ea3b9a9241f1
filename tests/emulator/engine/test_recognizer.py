"""What is heard: real speech, silence, telephone audio, long audio; the same words whatever came before."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from speech_mlflow.emulator.audio import to_pcm16k
from speech_mlflow.emulator.engine import Recognizer, get_engine
from speech_mlflow.emulator.sphinx.voice import chunks, has_speech, speech_flags
from speech_mlflow.errors import EngineError
from tests.emulator.engine.material import OLDER, samples, transcripts, wav


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return get_engine("pocketsphinx").load(OLDER, None)


@pytest.fixture(scope="module")
def recordings() -> list[bytes]:
    return [to_pcm16k(path.read_bytes()) for path, _ in transcripts("testing")[:3]]


def test_words_have_times_and_confidences(recognizer: Recognizer, recordings: list[bytes]) -> None:
    heard = recognizer.transcribe(recordings[0])
    best = heard.nbest[0]
    assert [word.text for word in best.words] == best.lexical.split()
    ends = [0.0]
    for word in best.words:
        assert word.offset >= ends[-1] - 0.02
        ends.append(word.offset + word.duration)
        assert 0 <= word.confidence <= 1
    assert 0 < ends[-1] <= heard.audio_seconds == len(recordings[0]) / 32_000
    assert best.confidence == pytest.approx(np.mean([word.confidence for word in best.words]))


def test_readings_differ_and_fall_in_confidence(recognizer: Recognizer, recordings: list[bytes]) -> None:
    readings = recognizer.transcribe(recordings[0]).nbest
    assert 1 < len(readings) <= 5
    assert len({reading.lexical for reading in readings}) == len(readings)
    confidences = [reading.confidence for reading in readings]
    assert confidences == sorted(confidences, reverse=True)


def test_the_order_of_recordings_does_not_matter(recognizer: Recognizer, recordings: list[bytes]) -> None:
    forward = [recognizer.transcribe(pcm).nbest for pcm in recordings]
    backward = [recognizer.transcribe(pcm).nbest for pcm in reversed(recordings)]
    assert forward == backward[::-1]
    assert get_engine("pocketsphinx").load(OLDER, None).transcribe(recordings[2]).nbest == forward[2]


@pytest.mark.parametrize(
    "quiet",
    [
        np.zeros(0),
        np.zeros(7),
        np.zeros(48_000),
        np.random.default_rng(0).normal(0, 20, 48_000),
        np.random.default_rng(0).normal(0, 2000, 48_000),
        1000 * np.sin(np.arange(48_000) / 3),
    ],
    ids=["empty", "seven samples", "zeros", "hiss", "noise", "tone"],
)
def test_nothing_is_heard_where_nobody_speaks(recognizer: Recognizer, quiet: np.ndarray) -> None:
    assert recognizer.transcribe(quiet.astype("<i2").tobytes()).nbest == ()


def test_telephone_audio_is_understood(recognizer: Recognizer) -> None:
    (path,) = (path for path, text in transcripts("testing") if text == "The patient feels much better now.")
    narrow = wav(resample_poly(samples(path).astype(float), 1, 2), 8_000)
    heard = recognizer.transcribe(to_pcm16k(narrow))
    assert heard.audio_seconds == pytest.approx(len(samples(path)) / 16_000, abs=0.001)
    assert len(set(heard.lexical.split()) & {"the", "patient", "feels", "much", "better", "now"}) >= 4


def test_long_audio_is_cut_in_pauses_and_timed_as_a_whole(recognizer: Recognizer, recordings: list[bytes]) -> None:
    pause = bytes(32_000)
    pcm = pause.join(recordings * 2)
    cuts = chunks(pcm, speech_flags(pcm), longest=8.0)
    assert [begin for begin, _ in cuts[1:]] == [end for _, end in cuts[:-1]]
    assert (cuts[0][0], cuts[-1][1]) == (0, len(pcm))
    assert len(cuts) > 2
    quiet = np.abs(np.frombuffer(pcm, "<i2").astype(int)) < 100
    assert all(quiet[begin // 2 - 80 : begin // 2 + 80].all() for begin, _ in cuts[1:])


def test_steady_speech_without_a_pause_is_cut_all_the_same() -> None:
    flags = np.ones(1000, bool)
    assert max(end - begin for begin, end in chunks(bytes(1000 * 960), flags, longest=6.0)) <= 6.0 * 32_000
    assert has_speech(np.full(48_000, 500, "<i2").tobytes(), flags)


def test_unknown_models_are_named() -> None:
    with pytest.raises(EngineError, match="en-us-99k"):
        get_engine("pocketsphinx").load("en-us-99k", None)
    with pytest.raises(EngineError, match="no speech recogniser named 'parrot'"):
        get_engine("parrot")
