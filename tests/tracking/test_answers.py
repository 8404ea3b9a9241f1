from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import TrackingError
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import answers, runs, tags
from speech_mlflow.tracking.dataset import SpeechDataset
from speech_mlflow.tracking.runs import Measured, Work
from speech_mlflow.tracking.store import open_store
from tests.workflow.tools import Mlflow


@pytest.fixture
def story(
    speech: SpeechClient,
    text: Path,
    testing: Corpus,
    mlflow: Mlflow,
) -> tuple[workflow.TrainResult, workflow.TestResult]:
    trained = workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **mlflow.where)
    return trained, workflow.test(speech, data=testing, models=["base", trained.model], **mlflow.where)


def test_which_model_is_best(
    story: tuple[workflow.TrainResult, workflow.TestResult],
    mlflow: Mlflow,
    testing: Corpus,
) -> None:
    trained, tested = story
    for data in ("testing", testing, testing.fingerprint, testing.fingerprint[:23]):
        ranked = answers.best(mlflow.client, data)
        assert [one.label for one in ranked] == sorted(tested.wer, key=lambda label: tested.wer[label])
        assert {one.label: one.value for one in ranked} == dict(tested.wer)
        assert {one.label: one.versions for one in ranked} == {"base": (), "clinic v1": ("clinic/1",)}
    assert answers.best(mlflow.client, "testing", limit=1) == answers.best(mlflow.client, "testing")[:1]
    assert answers.best(mlflow.client, "other") == answers.best(mlflow.client, "0" * 64) == []
    assert trained.model.id in {one.model_id for one in answers.best(mlflow.client, "testing", metric="ter")}


def test_the_newest_result_of_a_model_counts(mlflow: Mlflow) -> None:
    store = open_store(mlflow.uri, experiment="speech")
    for attempt, wer in enumerate((0.5, 0.1, 0.3)):
        facts = {tags.MODEL_ID: "m1", tags.FINGERPRINT: "a" * 64}
        begun = runs.begin(store, Work(tags.KIND_TEST, f"k{attempt}", "test", tags=facts))
        runs.log(store, begun.id, measured=[Measured({"wer/x": wer})], params={"models": ["x"]})
        runs.finish(store, begun.id)
    (ranked,) = answers.best(mlflow.client, "a" * 64)
    assert ranked.value == 0.3


def test_a_name_means_the_data_that_were_tested_last(mlflow: Mlflow, testing: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    """A rate on the test set as it was before cannot be ranked among those on what it is now."""
    store = open_store(mlflow.uri, experiment="speech")
    before = replace(testing, fingerprint="b" * 64)
    for number, (corpus, model, wer) in enumerate(((before, "old", 0.1), (testing, "old", 0.4), (testing, "new", 0.3))):
        facts = {tags.MODEL_ID: model, tags.FINGERPRINT: corpus.fingerprint}
        begun = runs.begin(store, Work(tags.KIND_TEST, f"k{number}", "test", tags=facts))
        runs.log_inputs(store, begun.id, [SpeechDataset.of_corpus(corpus, dataset_id=f"d{number}")], tags.CONTEXT_TESTING)
        runs.log(store, begun.id, measured=[Measured({f"wer/{model}": wer})], params={"models": [model]})
        runs.finish(store, begun.id)
    assert [(one.label, one.value) for one in answers.best(mlflow.client, "testing")] == [("new", 0.3), ("old", 0.4)]
    assert "1 of 3 tests are left out" in caplog.text
    assert [(one.label, one.value) for one in answers.best(mlflow.client, "b" * 64)] == [("old", 0.1)]
    third = {tags.MODEL_ID: "third", tags.FINGERPRINT: "b" * 64}
    begun = runs.begin(store, Work(tags.KIND_TEST, "k3", "test", tags=third))
    runs.log_inputs(store, begun.id, [SpeechDataset.of_corpus(before, dataset_id="d0")], tags.CONTEXT_TESTING)
    runs.log(store, begun.id, measured=[Measured({"wer/third": 0.2})], params={"models": ["third"]})
    runs.finish(store, begun.id)
    assert [one.label for one in answers.best(mlflow.client, "testing")] == ["old", "third"]


def test_a_metric_that_grows_with_quality_is_ranked_highest_first(mlflow: Mlflow) -> None:
    store = open_store(mlflow.uri, experiment="speech")
    facts = {tags.MODEL_ID: "m1,m2", tags.FINGERPRINT: "a" * 64, tags.GREATER_IS_BETTER: '["recall"]'}
    begun = runs.begin(store, Work(tags.KIND_TEST, "k", "test", tags=facts))
    measured = Measured({f"{name}/{label}": value for name in ("recall", "gap") for label, value in (("x", 0.2), ("y", 0.9))})
    runs.log(store, begun.id, measured=[measured], params={"models": ["x", "y"]})
    runs.finish(store, begun.id)
    assert [one.label for one in answers.best(mlflow.client, "a" * 64, metric="recall")] == ["y", "x"]
    assert [one.label for one in answers.best(mlflow.client, "a" * 64, metric="gap")] == ["x", "y"]
    assert [one.label for one in answers.best(mlflow.client, "a" * 64, metric="gap", greater_is_better=True)] == ["y", "x"]


@pytest.mark.slow
def test_what_changed_between_two_versions(
    story: tuple[workflow.TrainResult, workflow.TestResult],
    speech: SpeechClient,
    text: Path,
    testing: Corpus,
    mlflow: Mlflow,
    tmp_path: Path,
) -> None:
    more = tmp_path / "more-text.txt"
    more.write_text("Hold warfarin before the biopsy.\nResume apixaban after the biopsy.\n", "utf-8-sig")
    second = workflow.train(
        speech, name="second", data=[text, more], registered_model="clinic", weight_percent=80, **mlflow.where
    )
    tested = workflow.test(speech, data=testing, models=[second.model], **mlflow.where)
    changed = answers.difference(mlflow.client, "clinic/1", "clinic/2")
    assert (changed.first, changed.second) == ("clinic/1", "clinic/2")
    assert (changed.data_added, changed.data_removed) == (("more-text",), ())
    assert changed.changed["weight_percent"] == ("90", "80")
    assert "base model id" not in changed.changed
    assert changed.wer == {"testing": (story[1].wer["clinic v1"], tested.wer["clinic v2"])}
    assert "+ data more-text" in str(changed)
    same = answers.difference(mlflow.client, "clinic/1", "clinic/1")
    assert (same.data_added, same.data_removed, same.changed) == ((), (), {})


def test_a_version_that_is_not_ours_is_named(mlflow: Mlflow) -> None:
    mlflow.client.create_registered_model("theirs")
    mlflow.client.create_model_version("theirs", source="file:///tmp/model")
    with pytest.raises(TrackingError, match="was not trained by speech_mlflow"):
        answers.difference(mlflow.client, "theirs/1", "theirs/1")
