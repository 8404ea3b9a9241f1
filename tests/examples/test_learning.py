"""What the example corpus is for: real training on it makes real recognition of unseen sentences better, twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.corpus import read_corpus
from speech_mlflow.emulator.engine import Recognition, TrainingRequest, get_engine
from speech_mlflow.emulator.pool import RecognitionPool
from speech_mlflow.scoring import Score, compare, score

CLINIC = Path(__file__).parents[2] / "examples" / "clinic"
ENGINE = "pocketsphinx"


def request(base_key: str, parts: tuple[str, ...]) -> TrainingRequest:
    """What the data of some parts ask of an engine, as the offline service asks it."""
    wanted = TrainingRequest(base_key, "en-US")
    for part in parts:
        folder = CLINIC / part
        spoken = read_corpus(folder / "audio-and-transcripts", locale="en-US", purpose="training")
        wanted.audio.extend((spoken.source / utterance.id, utterance.text) for utterance in spoken.utterances)
        text = read_corpus(folder / "related-text.txt", locale="en-US")
        wanted.sentences.extend(line.text for line in text.lines)
        for line in read_corpus(folder / "pronunciations.txt", locale="en-US").lines:
            displayed, _, said = line.text.partition("\t")
            wanted.pronunciations.append((displayed, said))
    return wanted


@pytest.mark.slow
def test_each_model_is_better_than_the_one_before(tmp_path: Path) -> None:
    newest = get_engine(ENGINE).base_models()[-1].key
    testing = read_corpus(CLINIC / "testing", locale="en-US", purpose="testing")

    with RecognitionPool(ENGINE) as pool:

        def test(model: Path | None) -> Score:
            heard = pool.transcribe(newest, model, [(u.id, testing.source / u.id) for u in testing.utterances])
            outcomes = [heard[utterance.id] for utterance in testing.utterances]
            hypotheses = [outcome.lexical for outcome in outcomes if isinstance(outcome, Recognition)]
            assert len(hypotheses) == len(outcomes), outcomes
            return score([utterance.text for utterance in testing.utterances], hypotheses, normalizer="en-US")

        first, second = tmp_path / "first", tmp_path / "second"
        pool.train(request(newest, ("training",)), first)
        pool.train(request(newest, ("training", "training-more")), second)
        base, better, best = test(None), test(first), test(second)

    rates = f"{base.wer:.1%} {better.wer:.1%} {best.wer:.1%}"
    assert 0.5 < base.wer < 1, rates  # the terms are unknown, the rest is understood
    assert better.wer <= base.wer / 2, rates
    assert best.wer <= better.wer / 2, rates
    comparison = compare(better, best)
    assert comparison.mapsswe is not None
    assert comparison.mapsswe.p_value < 0.001, comparison
