"""Every kind of data, by itself, makes recognition of sentences better that were in no training data."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from speech_mlflow.emulator.audio import to_pcm16k
from speech_mlflow.emulator.engine import Recognition, TrainingRequest
from speech_mlflow.emulator.pool import RecognitionPool
from speech_mlflow.emulator.sphinx import base as base_files
from speech_mlflow.emulator.sphinx import base_models
from speech_mlflow.emulator.sphinx.recognizer import ModelFiles, SphinxRecognizer
from speech_mlflow.scoring import Score, get_normalizer, score
from tests.emulator.engine.material import NEWER, pronunciations, sentences, transcripts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NOTHING = TrainingRequest(base_key=NEWER, locale="en-US", sentences=[], pronunciations=[], audio=[])
TESTING = transcripts("testing")


@pytest.fixture(scope="module")
def pool() -> Iterator[RecognitionPool]:
    with RecognitionPool() as started:
        yield started


@pytest.fixture(scope="module")
def base(pool: RecognitionPool) -> Score:
    return heard(pool, None)


def heard(pool: RecognitionPool, model: Path | None) -> Score:
    """The score of a model on the whole test set."""
    found = pool.transcribe(NEWER, model, [(path.name, path) for path, _ in TESTING])
    hypotheses = []
    for outcome in found.values():
        assert isinstance(outcome, Recognition)
        hypotheses.append(outcome.nbest[0].lexical if outcome.nbest else "")
    return score([text for _, text in TESTING], hypotheses, normalizer=get_normalizer("en-US"))


@pytest.mark.parametrize(
    "learnt",
    [
        {"sentences": sentences("training") + sentences("training-more")},
        {"audio": transcripts("training/audio-and-transcripts") + transcripts("training-more/audio-and-transcripts")},
        {"pronunciations": pronunciations("training") + pronunciations("training-more")},
    ],
    ids=["text", "recordings with transcripts", "pronunciations"],
)
def test_each_kind_of_data_alone_lowers_the_error_rate(
    pool: RecognitionPool, base: Score, learnt: dict[str, list[object]], tmp_path: Path
) -> None:
    pool.train(replace(NOTHING, **learnt), tmp_path / "model")
    assert heard(pool, tmp_path / "model").errors < base.errors


def deeper(recordings: list[tuple[Path, str]], folder: Path) -> list[tuple[Path, str]]:
    """The recordings played at four fifths of their speed: a voice that the base model hardly understands."""
    folder.mkdir()
    found = []
    for number, (path, text) in enumerate(recordings):
        target = folder / f"{number}.wav"
        with wave.open(str(path)) as original, wave.open(str(target), "wb") as copy:
            copy.setparams(original.getparams())
            copy.setframerate(original.getframerate() * 4 // 5)
            copy.writeframes(original.readframes(original.getnframes()))
        found.append((target, text))
    return found


def test_recordings_teach_the_acoustic_model_a_voice(pool: RecognitionPool, tmp_path: Path) -> None:
    learnt = transcripts("training/audio-and-transcripts") + transcripts("training-more/audio-and-transcripts")
    pool.train(replace(NOTHING, audio=deeper(learnt, tmp_path / "learnt")), tmp_path / "model")
    unseen = deeper(TESTING[:20], tmp_path / "unseen")
    errors = []
    for means in (None, tmp_path / "model" / "means"):  # the general language model both times: only the acoustic one differs
        recognizer = SphinxRecognizer(ModelFiles(base_files.acoustic_dir(), *base_models.files(NEWER), means))
        hypotheses = [recognizer.transcribe(to_pcm16k(path.read_bytes())).lexical for path, _ in unseen]
        errors.append(score([text for _, text in unseen], hypotheses, normalizer=get_normalizer("en-US")).errors)
    before, after = errors
    assert after < 0.9 * before


def test_the_same_data_makes_the_same_model_and_the_same_text(pool: RecognitionPool, tmp_path: Path) -> None:
    request = replace(NOTHING, sentences=sentences("training"), audio=transcripts("training/audio-and-transcripts"))
    for name in ("first", "second"):
        pool.train(request, tmp_path / name)
    files = {path.name for path in (tmp_path / "first").iterdir()} - {"model.json"}
    assert {"lm.bin", "words.dict", "means"} <= files
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
