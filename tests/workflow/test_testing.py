from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.errors import BadRequestError, DataError, TrackingError
from speech_mlflow.scoring import Score
from speech_mlflow.scoring.comparison import Comparison
from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput, EvaluatorOutput
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.entities import Evaluation
from speech_mlflow.tracking import tags
from speech_mlflow.workflow import TestResult, TrainResult
from speech_mlflow.workflow.assessing import _references
from speech_mlflow.workflow.evaluating import Outcome, lexical, pairs
from tests.workflow.tools import Mlflow, plugged


def trained(speech: SpeechClient, text: Path, mlflow: Mlflow) -> TrainResult:
    """The model that all tests share, as a version of this test's registry."""
    return workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **mlflow.where)


def evaluations(speech: SpeechClient) -> list[Evaluation]:
    return list(speech.evaluations.list())


def test_a_test_measures_both_models_and_is_found_again(
    speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow
) -> None:
    model = trained(speech, text, mlflow)
    tested = workflow.test(speech, data=testing, models=["base", model.model], **mlflow.where)
    assert list(tested.scores) == ["base", "clinic v1"]
    assert not tested.reused
    assert isinstance(tested.comparison, Comparison)
    assert tested.comparison.resampled_by == "speaker"
    assert tested._repr_html_() == tested.comparison._repr_html_()
    assert tested.evaluation is not None
    assert tested.evaluation.properties is not None

    (run,) = mlflow.runs("test")
    metrics = run.data.metrics
    for side, label in ((1, "base"), (2, "clinic v1")):
        counts = tested.evaluation.properties.counts(side)  # type: ignore[arg-type]
        assert counts is not None
        errors = counts.substitutions + counts.deletions + counts.insertions
        assert metrics[f"wer/{label}"] == tested.wer[label] == errors / counts.words, "made of counts, not of rounded rates"
        assert metrics[f"words/{label}"] == counts.words == testing.profile()["words"]
        assert metrics[f"wer.recomputed/{label}"] == tested.scores[label].wer
        assert metrics[f"wer.difference/{label}"] == tested.scores[label].wer - tested.wer[label]
        assert metrics[f"ter/{label}"] > 0
    assert metrics["wer"] == metrics["wer/clinic v1"], "the run itself shows the candidate, which is named last"
    assert metrics["comparison.wer_difference"] == pytest.approx(tested.scores["clinic v1"].wer - tested.scores["base"].wer)
    assert run.data.tags[tags.EVALUATION_ID] == tested.evaluation.id
    assert run.data.tags[tags.FINGERPRINT] == testing.fingerprint
    _, custom = run.data.tags[tags.MODEL_ID].split(",")
    assert custom == model.model.id

    logged = {one.name: one for one in mlflow.models()}
    assert set(logged) == {"first", "base-20250115"}
    measured = {metric.key: metric for metric in logged["first"].metrics or []}
    assert measured["wer"].value == tested.wer["clinic v1"]
    assert measured["wer"].dataset_name == "testing"
    whole = mlflow.client.get_run(tested.run_id)
    assert whole.inputs is not None
    assert {given.model_id for given in whole.inputs.model_inputs} == {one.model_id for one in mlflow.models()}
    assert whole.inputs.dataset_inputs[0].dataset.digest == measured["wer"].dataset_digest
    version = mlflow.client.get_model_version("clinic", "1")
    assert float(version.tags[tags.WER]) == tested.wer["clinic v1"]
    assert version.tags[tags.TEST_RUN_ID] == tested.run_id

    again = workflow.test(speech, data=testing, models=["base", "clinic/1"], **mlflow.where)
    assert (again.run_id, again.reused, again.wer) == (tested.run_id, True, tested.wer)
    assert {label: one.wer for label, one in again.scores.items()} == {label: one.wer for label, one in tested.scores.items()}
    assert again.evaluation is not None
    assert again.evaluation.id == tested.evaluation.id
    assert len(mlflow.runs("test")) == 1


def test_what_a_test_leaves_in_its_run(speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow) -> None:
    tested = workflow.test(speech, data=testing, models=["base", trained(speech, text, mlflow).model], **mlflow.where)
    files = mlflow.artifacts(tested.run_id)
    images = ["by_speaker", "difference", "distribution", "kinds", "wer"]
    assert files == [
        *(f"figures/{name}.svg" for name in images),
        "report.html",
        "service/evaluation-1.json",
        "service/results-1.zip",
        "speech/test.json",
        "utterances.json",
    ]
    for name in images:
        assert ElementTree.fromstring(mlflow.text(tested.run_id, f"figures/{name}.svg")).tag.endswith("svg")
    table = mlflow.json(tested.run_id, "utterances.json")
    marked = json.loads(mlflow.client.get_run(tested.run_id).data.tags["mlflow.loggedArtifacts"])
    assert marked == [{"path": "utterances.json", "type": "table"}], "by which MLflow's own views know a table"
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["id"] for row in rows] == [utterance.id for utterance in testing.utterances]
    assert [row["reference"] for row in rows] == [utterance.text for utterance in testing.utterances]
    assert [row["speaker"] for row in rows] == ["a", "a", "b", "b"]
    assert sum(row["errors (base)"] for row in rows) == tested.scores["base"].errors
    assert [row["hypothesis (clinic v1)"] for row in rows] == list(tested.scores["clinic v1"].texts()[1])
    assert speech.endpoint not in mlflow.text(tested.run_id, "service/evaluation-1.json")
    page = mlflow.text(tested.run_id, "report.html")
    assert "testing: base and clinic v1" in page
    assert "t01.wav" in page
    content = Path(mlflow.client.download_artifacts(tested.run_id, "service/results-1.zip")).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        heard = lexical(json.loads(archive.read("t01.wav.model2_score.json")))
    assert len([name for name in names if name.endswith("_score.json")]) == 8
    assert heard == tested.scores["clinic v1"]["t01.wav"].hypothesis


def test_stored_transcripts_are_scored_again_under_another_normaliser(
    speech: SpeechClient, testing: Corpus, mlflow: Mlflow
) -> None:
    tested = workflow.test(speech, data=testing, **mlflow.where)
    assert tested.comparison is None
    again = workflow.load_test(tested.run_id, tracking_uri=mlflow.uri, normalizer="none")
    assert again.scores["base"].normalizer.name == "none"
    assert again.scores["base"].wer > tested.scores["base"].wer, "capitals and full stops count as errors"
    with pytest.raises(TrackingError, match="no run 'ffff"):
        workflow.load_test("f" * 32, tracking_uri=mlflow.uri)


def test_a_test_that_was_interrupted_goes_on_and_evaluates_nothing_again(
    speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow
) -> None:
    models = ["base", trained(speech, text, mlflow).model]
    first = workflow.test(speech, data=testing, models=models, **mlflow.where)
    before = len(evaluations(speech))
    mlflow.client.update_run(first.run_id, status="RUNNING")
    second = workflow.test(speech, data=testing, models=models, **mlflow.where)
    assert (second.run_id, second.reused, second.wer) == (first.run_id, False, first.wer)
    assert [run.info.status for run in mlflow.runs("test")] == ["FINISHED"]
    assert len(evaluations(speech)) == before


def test_custom_evaluators_measure_and_one_that_raises_fails_alone(
    speech: SpeechClient, testing: Corpus, mlflow: Mlflow, caplog: pytest.LogCaptureFixture
) -> None:
    def loudness(given: EvaluatorInput) -> EvaluatorOutput:
        sizes = [len(given.audio(utterance.id) or b"") for utterance in given.utterances]
        return EvaluatorOutput(
            {"audio_bytes": sum(sizes), "empty_rate": sum(not one.hypothesis for one in given.utterances) / len(sizes)},
            greater_is_better={"audio_bytes": True},
            columns={"bytes": sizes},
            artifacts={"sizes.txt": " ".join(map(str, sizes))},
        )

    def broken(given: EvaluatorInput) -> EvaluatorOutput:
        raise ValueError("no terms")

    before = len(evaluations(speech))
    plain = workflow.test(speech, data=testing, **mlflow.where)
    known = [Evaluator("sizes", loudness), Evaluator("broken", broken), Evaluator("greedy", lambda given: {"wer": 0.0})]
    with plugged(*known):
        tested = workflow.test(speech, data=testing, **mlflow.where)
    assert tested.run_id != plain.run_id, "other evaluators make another test"
    assert len(evaluations(speech)) <= before + 1, "of the same evaluation"
    run = mlflow.client.get_run(tested.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["audio_bytes"] == sum(len(testing.audio(one.id)) for one in testing.utterances)
    assert run.data.metrics["wer"] == plain.wer["base"]
    measured = tested.evaluated["base"]
    assert measured["audio_bytes"] == run.data.metrics["audio_bytes"]
    assert {"audio_bytes", "empty_rate"} <= set(measured)
    assert workflow.load_test(tested.run_id, tracking_uri=mlflow.uri).evaluated == {"base": measured}
    failed = {failure.name: failure.reason for failure in tested.failures}
    assert failed == {"broken": "ValueError: no terms", "greedy": "its metrics have names that are taken: wer"}
    assert json.loads(run.data.tags[tags.FAILED_EVALUATORS])["broken (base)"] == "ValueError: no terms"
    assert json.loads(run.data.tags[tags.GREATER_IS_BETTER]) == ["audio_bytes"]
    assert "evaluator broken failed" in caplog.text
    assert mlflow.text(tested.run_id, "evaluators/sizes/base/sizes.txt").count(" ") == 3
    table = mlflow.json(tested.run_id, "utterances.json")
    assert "sizes: bytes (base)" in table["columns"]


def test_begun_without_waiting(speech: SpeechClient, testing: Corpus, mlflow: Mlflow) -> None:
    begun = workflow.test(speech, data=testing, force=True, wait=False, **mlflow.where)
    done = workflow.test(speech, data=testing, **mlflow.where)
    assert begun.run_id == done.run_id
    assert done.done
    assert len(mlflow.runs("test")) == 1


def test_what_cannot_be_tested_is_named(speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow) -> None:
    with pytest.raises(DataError, match="for training only"):
        workflow.test(speech, data=text, **mlflow.where)
    with pytest.raises(DataError, match="related-text is Language data"):
        workflow.test(speech, data=read_corpus(text, locale="en-US"), **mlflow.where)
    with pytest.raises(TrackingError, match="no model to test was named"):
        workflow.test(speech, data=testing, models=[], **mlflow.where)
    with pytest.raises(TrackingError, match="no model version 'nothing/3'"):
        workflow.test(speech, data=testing, models=["nothing/3"], **mlflow.where)
    trained(speech, text, mlflow)
    mlflow.client.set_model_version_tag("clinic", "1", tags.RESOURCE, "elsewhere")
    with pytest.raises(TrackingError, match="clinic 1 is in the speech resource 'elsewhere'"):
        workflow.test(speech, data=testing, models=["clinic/1"], **mlflow.where)
    assert mlflow.runs("test") == []


def test_an_expired_model_fails_the_test_run(speech: SpeechClient, testing: Corpus, mlflow: Mlflow) -> None:
    old = min(speech.models.list_base(filters.eq("locale", "en-US")), key=lambda model: str(model.created_date_time))
    with pytest.raises(BadRequestError, match="ModelDeprecated"):
        workflow.test(speech, data=testing, models=[old], **mlflow.where)
    (run,) = mlflow.runs("test")
    assert run.info.status == "FAILED"
    assert "ModelDeprecated" in run.data.tags[tags.ERROR]


def test_recordings_that_the_service_left_out_are_left_out_of_the_score(testing: Corpus) -> None:
    heard = {utterance.id: "x" for utterance in testing.utterances}
    part = dict.fromkeys(list(heard)[1:], "x")
    outcomes = [Outcome(None, None, None, heard), Outcome(None, None, None, part)]
    references, untested = _references(testing, outcomes)
    assert untested == [testing.utterances[0].id]
    assert list(references) == list(part)


def test_two_models_share_an_evaluation_and_a_lone_one_stands_beside_itself() -> None:
    assert pairs(["a", "b", "c"]) == [("a", "b"), ("c", "c")]  # type: ignore[list-item,comparison-overlap]
    assert pairs(["a"]) == [("a", "a")]  # type: ignore[list-item,comparison-overlap]


def test_words_are_read_from_any_shape_of_result_file() -> None:
    assert lexical({"combinedRecognizedPhrases": [{"lexical": "a b"}, {"lexical": "c"}]}) == "a b c"
    assert lexical({"recognizedPhrases": [{"nBest": [{"lexical": "a"}, {"lexical": "z"}]}, {"nBest": []}]}) == "a"
    assert lexical({}) == ""


def test_result_types_are_no_test_classes() -> None:
    assert TestResult.__test__ is False
    assert isinstance(Score, type)
