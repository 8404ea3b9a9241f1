"""``evaluate(..., evaluators="speech")`` as MLflow users write it."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.scoring import score
from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput, EvaluatorOutput
from speech_mlflow.service import SpeechClient
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import Mlflow, plugged

with warnings.catch_warnings():  # of types inside MLflow, at its import
    warnings.simplefilter("ignore")
    import mlflow as fluent
    from mlflow.exceptions import MlflowException
    from mlflow.models import evaluate

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:mlflow.*", "ignore::UserWarning:mlflow.*")

DATA = pd.DataFrame(
    {
        "name": ["a", "b", "c"],
        "speaker": ["x", "x", "y"],
        "said": ["Take two tablets.", "Rest.", "Call <b>me</b> tomorrow."],
        "heard": ["take too tablets", "rest", None],
    }
)
CONFIG = {"locale": "en-US", "id": "name", "groups": ["speaker"]}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, mlflow: Mlflow, tmp_path: Path) -> None:
    """What a user's environment says."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", mlflow.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", mlflow.client.create_experiment("evaluated", (tmp_path / "evaluated").as_uri()))


def test_predictions_in_a_column_are_scored_and_measured_by_every_evaluator(mlflow: Mlflow) -> None:
    def empty(given: EvaluatorInput) -> EvaluatorOutput:
        found = [not one.hypothesis for one in given.utterances]
        metrics = {"empty_rate": sum(found) / len(found), "heard": len(found) - sum(found)}
        return EvaluatorOutput(metrics, {"heard": True}, {"empty": found}, {"empty.txt": str(found)})

    def broken(given: EvaluatorInput) -> EvaluatorOutput:
        raise ValueError("no terms")

    with plugged(Evaluator("empty", empty), Evaluator("broken", broken)), fluent.start_run() as active:
        result = mlflow_evaluate(evaluator_config=CONFIG)
    expected = score(DATA["said"], ["take too tablets", "rest", ""], normalizer="en-US")
    assert result.metrics["wer.recomputed"] == expected.wer == 6 / 9
    assert result.metrics["ser.recomputed"] == 2 / 3
    assert result.metrics["empty_rate"] == 1 / 3
    assert result.metrics["wer.recomputed.low"] <= expected.wer <= result.metrics["wer.recomputed.high"]
    assert "wer" not in result.metrics, "that is what the service counts"

    run = mlflow.client.get_run(active.info.run_id)
    assert {name: run.data.metrics[name] for name in result.metrics} == result.metrics
    assert json.loads(run.data.tags["speech.failed_evaluators"]) == {"broken": "ValueError: no terms"}
    assert json.loads(run.data.tags["speech.greater_is_better"]) == ["heard"]
    assert run.data.tags["speech.normalizer"] == expected.normalizer.label
    files = mlflow.artifacts(active.info.run_id)
    assert {"speech/report.html", "speech/utterances.json", "speech/evaluators/empty/empty.txt"} <= set(files)
    assert "speech/figures/by_speaker.svg" in files
    table = fluent.load_table("speech/utterances.json", run_ids=[active.info.run_id])
    assert list(table["id"]) == ["a", "b", "c"]
    assert list(table["errors"]) == [1, 0, 5]
    assert list(table["empty: empty"]) == [False, False, True]
    page = result.artifacts["speech_report"].content
    assert page == mlflow.text(active.info.run_id, "speech/report.html")
    assert "<b>me</b>" not in page


@pytest.mark.parametrize("kind", ["object", "string"])
def test_what_pandas_writes_for_nothing_is_nothing(kind: str) -> None:
    data = DATA.assign(speaker=["x", None, float("nan")], path=["a.wav", None, float("nan")]).astype(kind)
    asked: list[bytes | None] = []

    def listening(given: EvaluatorInput) -> dict[str, float]:
        asked.extend(given.audio(one.id) for one in given.utterances)
        return {}

    with plugged(Evaluator("listening", listening)):
        result = mlflow_evaluate(data=data, evaluator_config=CONFIG | {"audio": "path"})
    table = result.artifacts["speech_utterances"].content
    where = table["columns"].index("speaker")
    assert [row[where] for row in table["data"]] == ["x", "(none)", "(none)"]
    assert asked == [None, None, None]


def mlflow_evaluate(**given):  # type: ignore[no-untyped-def]
    arguments = {
        "data": DATA,
        "targets": "said",
        "predictions": "heard",
        "evaluators": "speech",
        "model_type": "speech-to-text",
    }
    return evaluate(**arguments | given)


def test_a_version_of_ours_is_evaluated_on_recordings(
    speech: SpeechClient,
    text: Path,
    testing: Corpus,
    mlflow: Mlflow,
    emulator: RunningEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPEECH_MLFLOW_STATE_DIR", str(emulator.state_dir))
    trained = workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **mlflow.where)
    tested = workflow.test(speech, data=testing, models=[trained.model], **mlflow.where)
    frame = pd.DataFrame(
        {
            "text": [one.text for one in testing.utterances],
            "speaker": [one.speaker for one in testing.utterances],
            "path": [str(testing.source / one.id) for one in testing.utterances],
        }
    )

    def sizes(given: EvaluatorInput) -> dict[str, float]:
        return {"audio_bytes": sum(len(given.audio(one.id) or b"") for one in given.utterances)}

    with plugged(Evaluator("sizes", sizes)):
        result = evaluate(
            "models:/clinic/1",
            frame,
            targets="text",
            model_type="speech-to-text",
            evaluators="speech",
            evaluator_config={"audio": "path", "groups": ["speaker"]},
        )
    assert result.metrics["wer.recomputed"] == tested.scores["clinic v1"].wer
    assert result.metrics["audio_bytes"] == sum(len(testing.audio(one.id)) for one in testing.utterances)
    logged = mlflow.client.get_logged_model(trained.logged_model_id)
    measured = {(metric.key, metric.dataset_name): metric.value for metric in logged.metrics or []}
    assert measured["wer.recomputed", "testing"] in measured.values()
    assert {name for key, name in measured if key == "audio_bytes"} - {"testing", None}, "tied to MLflow's data set"
    assert "All 4 recordings are in this file" in result.artifacts["speech_report"].content


def test_models_of_other_types_are_left_to_others_and_numbers_are_no_texts() -> None:
    numbers = pd.DataFrame({"x": [1.0, 2.0], "said": [1.0, 2.0], "heard": [1.0, 2.5]})
    plain = mlflow_evaluate(data=numbers, model_type="regressor", evaluators=None)
    assert "mean_squared_error" in plain.metrics
    assert not [name for name in plain.metrics if name.startswith("wer")]
    assert "wer.recomputed" in mlflow_evaluate(evaluators=None).metrics, "the model's type alone asks for it"
    with pytest.raises(MlflowException, match="targets are not all texts: 2 are not, float in row 0"):
        mlflow_evaluate(data=numbers)
    with pytest.raises(MlflowException, match="have no targets"):
        mlflow_evaluate(targets=None)


def test_a_wrong_configuration_is_named() -> None:
    with pytest.raises(MlflowException, match=r"group: Extra inputs are not permitted\. Known: locale, normalizer, id"):
        mlflow_evaluate(evaluator_config={"group": "speaker"})
    with pytest.raises(MlflowException, match=r"the column 'voice'; there are: name, speaker"):
        mlflow_evaluate(evaluator_config={"groups": ["voice"]})
    with pytest.raises(MlflowException, match="no normaliser named 'sloppy'"):
        mlflow_evaluate(evaluator_config={"normalizer": "sloppy"})


def test_what_mlflow_loads_of_ours_when_it_evaluates() -> None:
    program = """
import json, sys
import mlflow.models
from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry as registry
print(json.dumps([registry.is_registered("speech"), sorted(name for name in sys.modules if name.startswith("speech_mlflow"))]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    registered, ours = json.loads(ran.stdout.splitlines()[-1])
    assert registered
    sources = ["speech_mlflow.tracking", "speech_mlflow.tracking.sources"]  # which MLflow loads with its data sets
    names = ["speech_mlflow", "speech_mlflow.lazy_names"]
    plugin = [*names, "speech_mlflow.mlflow_plugins", "speech_mlflow.mlflow_plugins.evaluator"]
    assert [name for name in ours if name not in sources] == plugin
