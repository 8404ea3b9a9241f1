"""Test utterances that are in the training data: found by recording and by text, counted, shown, and refused by the gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.promotion.evidence_reading import tests_of as read_tests
from speech_mlflow.promotion.registry import read
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import tags
from speech_mlflow.workflow.contamination import FILE, Contamination, _compared, marks
from tests.workflow.conftest import CLINIC, excerpt
from tests.workflow.tools import Mlflow


def found(testing: Corpus, *training: Corpus) -> Contamination:
    return _compared(testing, json.loads(marks(training, "en-US")), "model")


def test_the_same_recording_and_the_same_words_are_found(testing: Corpus, tmp_path: Path) -> None:
    apart = read_corpus(CLINIC / "training" / "audio-and-transcripts", locale="en-US")
    assert found(testing, apart) == Contamination(4)

    renamed = excerpt(CLINIC / "testing", tmp_path / "renamed", ["t01.wav"])
    (renamed / "t01.wav").rename(renamed / "other.wav")
    (renamed / "transcripts.txt").write_text("other.wav\tsomething else\n", "utf-8")
    assert found(testing, apart, read_corpus(renamed, locale="en-US")) == Contamination(4, audio=("t01.wav",))

    text = tmp_path / "related-text.txt"
    text.write_text("reduce atorvastatin to 10 milligrams\nGood morning.\n", "utf-8-sig")
    both = found(testing, read_corpus(renamed, locale="en-US"), read_corpus(text, locale="en-US"))
    assert both == Contamination(4, audio=("t01.wav",), text=("t04.wav",)), "another notation of the same words"
    assert both.metrics() == {"contaminated": 2, "contaminated.audio": 1, "contaminated.text": 1}
    assert both.column(["t04.wav", "t02.wav", "t01.wav"]) == ["text", "", "audio"]
    assert both.among(["t02.wav", "t04.wav"]) == Contamination(2, text=("t04.wav",))
    assert str(both) == "2 of 4 test utterances (1 by recording, 1 by text): t01.wav, t04.wav"

    whole = found(testing, testing)
    assert (len(whole.audio), len(whole.text), len(whole.ids)) == (4, 4, 4)
    assert Contamination.of_column(["a", "b"], ["audio, text", ""]) == Contamination(2, ("a",), ("a",))


def test_texts_under_another_normaliser_are_not_compared(testing: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    known = {**json.loads(marks([testing], "en-US")), "normalizer": "en-US (0)"}
    assert _compared(testing, known, "clinic v1").text == ()
    assert "by recording only" in caplog.text


def test_a_test_counts_and_shows_what_its_model_was_trained_on(
    speech: SpeechClient, testing: Corpus, mlflow: Mlflow, tmp_path: Path
) -> None:
    text = tmp_path / "leaked-text.txt"
    text.write_text("She was given warfarin for atelectasis.\nHold aspirin before the biopsy.\n", "utf-8-sig")
    model = workflow.train(speech, name="leaked", data=[text], registered_model="leaked", **mlflow.where)
    assert FILE in mlflow.artifacts(model.run_id)
    tested = workflow.test(speech, data=testing, models=["base", model.model], **mlflow.where)
    assert tested.contamination == {"leaked v1": Contamination(4, text=("t02.wav",))}, "of the base model nothing is known"
    metrics = mlflow.client.get_run(tested.run_id).data.metrics
    assert metrics["contaminated/leaked v1"] == metrics["contaminated.text/leaked v1"] == metrics["contaminated"] == 1
    assert "contaminated/base" not in metrics
    table = mlflow.json(tested.run_id, "utterances.json")
    column = table["columns"].index("in training data (leaked v1)")
    assert [row[column] for row in table["data"]] == ["", "text", "", ""]
    page = mlflow.text(tested.run_id, "report.html")
    assert "In the training data of leaked v1" in page
    assert "1 of 4 test utterances (0 by recording, 1 by text): t02.wav; WER on the others" in page
    assert workflow.load_test(tested.run_id, tracking_uri=mlflow.uri).contamination == tested.contamination

    version = read(mlflow.client, "leaked").version("1")
    assert version is not None
    assert [evidence.contaminated for evidence in read_tests(mlflow.client, version)] == [1]
    assert mlflow.client.get_model_version("leaked", "1").tags[tags.TRAIN_RUN_ID] == model.run_id
