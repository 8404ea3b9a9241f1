"""The whole work on each kind of MLflow: what a user finds there afterwards, and what happens when it is done again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import LoggedModelStatus

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import GateError
from speech_mlflow.promotion import usecases
from speech_mlflow.promotion.target import Target
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import answers, registry, tags
from speech_mlflow.tracking.lineage import lineage
from speech_mlflow.tracking.tables import read_table
from speech_mlflow.tracking.versions import list_versions
from tests.servers.conftest import LINES
from tests.servers.places import Place, Story

with warnings.catch_warnings():  # of types inside MLflow, at its import
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_training(story: Story) -> None:
    place, mlflow_ = story.place, story.place.mlflow
    run = mlflow_.client.get_run(story.trained.run_id)
    assert run.info.status == "FINISHED"
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == "related-text"
    assert {tag.key: tag.value for tag in given.tags}["mlflow.data.context"] == "training"
    assert run.data.metrics["data.text_lines"] == LINES
    assert json.loads(mlflow_.text(run.info.run_id, "service/model.json"))["status"] == "Succeeded"
    if not place.logged_models:
        assert story.trained.logged_model_id is None
        assert story.trained.model.id in mlflow_.text(run.info.run_id, "speech_model/MLmodel")
        return
    assert "service/model.json" in mlflow_.artifacts(run.info.run_id)
    model = mlflow_.client.get_logged_model(story.trained.logged_model_id)
    assert (model.status, model.source_run_id) == (LoggedModelStatus.READY, run.info.run_id)
    assert model.tags["mlflow.user"]
    assert model.tags["mlflow.note.content"] == mlflow_.client.get_model_version(place.name, "1").description
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


def test_the_test(story: Story, testing: Corpus) -> None:
    mlflow_, label = story.place.mlflow, f"{story.place.name} v1"
    run = mlflow_.client.get_run(story.tested.run_id)
    table = read_table(mlflow_.text(run.info.run_id, "utterances.json"))
    assert sorted(table["id"]) == ["t01.wav", "t02.wav", "t03.wav", "t04.wav"]
    assert table[f"hypothesis ({label})"] == [story.tested.scores[label][id_].hypothesis for id_ in table["id"]]
    report = mlflow_.text(run.info.run_id, "report.html")
    assert label in report
    assert "data:audio/wav;base64" in report
    expected = ", ".join(f"{wer:.2%} ({name})" for name, wer in story.tested.wer.items())
    assert run.data.tags["mlflow.note.content"] == f"WER on testing: {expected}"
    assert {name: run.data.metrics[f"wer/{name}"] for name in ("base", label)} == dict(story.tested.wer)
    assert run.info.artifact_uri.startswith("file:" if story.place.kind == "sqlite" else "mlflow-artifacts:/")


def test_mlflow_finds_the_best_model(story: Story) -> None:
    if not story.place.logged_models:
        pytest.skip("what a server without logged models lacks")
    client = story.place.mlflow.client
    given = client.get_run(story.tested.run_id).inputs.dataset_inputs[0].dataset
    data = {"dataset_name": given.name, "dataset_digest": given.digest}
    order = [{"field_name": "metrics.wer", "ascending": True, **data}]
    best = client.search_logged_models(
        [story.place.mlflow.experiment_id], "metrics.wer >= 0", datasets=[data], order_by=order, max_results=1
    )
    assert [model.model_id for model in best] == [story.trained.logged_model_id]


def test_the_version(story: Story) -> None:
    place, client = story.place, story.place.mlflow.client
    version = client.get_model_version(place.name, "1")
    assert version.tags[tags.MODEL_ID] == story.trained.model.id
    if place.logged_models:
        assert version.source == f"models:/{story.trained.logged_model_id}"
    else:
        assert version.source == f"runs:/{story.trained.run_id}/{registry.RUN_ARTIFACT}"
    assert version.description == f"20250115 fine-tuned with related-text (Language), weight {place.weight} %"
    (row,) = list_versions(client, place.name)
    assert (row.wer, row.served) == (story.tested.wer[f"{place.name} v1"], True)
    assert row.endpoint_id == story.promoted.endpoint_id
    marks = ("None", ("production",)) if place.kind == "no-stages" else ("Production", ())
    assert (row.stage, row.aliases) == marks
    assert registry.find_version(client, place.served).version == version.version


def test_the_promotion(story: Story, speech: SpeechClient) -> None:
    place, client = story.place, story.place.mlflow.client
    assert story.promoted.result == "served"
    endpoint = speech.endpoints.get(str(story.promoted.endpoint_id))
    assert endpoint.model is not None
    assert endpoint.model.id == story.trained.model.id
    run = client.get_run(str(story.promoted.run_id))
    assert run.data.params["gate.max_wer"].startswith("passed")
    again = usecases.promote(speech, client, place.name, "1", place.target)
    assert (again.result, again.endpoint_id) == ("unchanged", story.promoted.endpoint_id)
    assert [one.version for one in usecases.history(client, place.name)] == ["1"]
    assert usecases.plan_for(speech, client, place.name, place.target).changes is False


def test_a_gate_says_no_and_nothing_changes(story: Story, speech: SpeechClient) -> None:
    place, client = story.place, story.place.mlflow.client
    before = client.get_model_version(place.name, "1"), speech.endpoints.get(str(story.promoted.endpoint_id)).to_json()
    strict = Target(trigger=place.target.trigger, test_dataset="nothing", name="strict")
    with pytest.raises(GateError, match="nothing"):
        usecases.promote(speech, client, place.name, "1", strict)
    after = client.get_model_version(place.name, "1"), speech.endpoints.get(str(story.promoted.endpoint_id)).to_json()
    assert (dict(after[0].tags), after[0].current_stage, after[1]) == (dict(before[0].tags), before[0].current_stage, before[1])
    assert client.get_registered_model(place.name).tags[tags.ENDPOINT_ID] == story.promoted.endpoint_id


def test_the_five_questions(story: Story, testing: Corpus) -> None:
    client, name = story.place.mlflow.client, story.place.name
    chain = lineage(client, f"{name}/1")
    assert [node.title for node in chain.of_kind("data") if node.facts["context"] == "training"] == ["related-text"]
    assert f"{name}/1" in [version for one in answers.best(client, testing) for version in one.versions]
    (endpoint,) = chain.of_kind("endpoint")
    assert (endpoint.key, endpoint.facts) == (story.promoted.endpoint_id, {"serves": f"{name}/1"})
    (promotion,) = usecases.history(client, name)
    assert (promotion.version, promotion.result, promotion.run_id) == ("1", "served", story.promoted.run_id)
    same, wer = answers.difference(client, f"{name}/1", f"{name}/1"), story.tested.wer[f"{name} v1"]
    assert (same.data_added, same.data_removed, same.changed, same.wer) == ((), (), {}, {"testing": (wer, wer)})


def test_the_chain(story: Story) -> None:
    client = story.place.mlflow.client
    kinds = ["base model", "data", "endpoint", "model", "promotion", "test", "train", "version"]
    for reference in (f"{story.place.name}/1", story.trained.run_id, str(story.promoted.endpoint_id)):
        chain = lineage(client, reference)
        assert sorted({node.kind for node in chain.nodes.values()}) == kinds, reference


def test_mlflow_loads_what_is_served(story: Story, testing: Corpus) -> None:
    loaded = mlflow.pyfunc.load_model(f"models:/{story.place.served}", suppress_warnings=True)
    heard = loaded.predict([str(testing.source / "t01.wav")], params={"form": "lexical"})
    assert heard == [story.tested.scores[f"{story.place.name} v1"]["t01.wav"].hypothesis]


def test_the_same_again_is_found(story: Story, speech: SpeechClient, text: Path, testing: Corpus) -> None:
    place = story.place
    trained = workflow.train(
        speech, name="first", data=[text], registered_model=place.name, weight_percent=place.weight, **place.where
    )
    assert (trained.reused, trained.run_id, trained.version) == (True, story.trained.run_id, "1")
    tested = workflow.test(speech, data=testing, models=["base", f"{place.name}/1"], **place.where)
    assert (tested.reused, tested.run_id) == (True, story.tested.run_id)


# --- processes -----------------------------------------------------------------------------------------------------------

WEIGHTS = {"killed": 20, "two": 40}


def begin(place: Place, text: Path, name: str) -> subprocess.Popen[bytes]:
    """A user's command in a process of its own."""
    command = [sys.executable, "-m", "speech_mlflow", "train", str(text), "--name", f"{name}-{place.kind}", "--json"]
    command += ["--weight", str(WEIGHTS[name] + 90 - place.weight), "--experiment", place.experiment]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the command printed: one JSON document, whatever MLflow would like to add."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    document: dict[str, Any] = json.loads(out)
    return document


def once(place: Place, speech: SpeechClient, name: str) -> dict[str, Any]:
    """Assert that all that was done came to one run, one model and one version; the facts."""
    mlflow_, name = place.mlflow, f"{name}-{place.kind}"
    runs = [run for run in mlflow_.runs("train") if run.info.run_name == name]
    assert [run.info.status for run in runs] == ["FINISHED"]
    (version,) = mlflow_.client.search_model_versions(f"name = '{name}'")
    (model,) = [model for model in speech.models.list() if str(model.display_name).startswith(f"{name} [")]
    assert version.tags[tags.MODEL_ID] == model.id == runs[0].data.tags[tags.MODEL_ID]
    if place.logged_models:
        assert [one.name for one in mlflow_.models() if one.name == name] == [name]
    return {"run_id": runs[0].info.run_id, "model_id": model.id, "version": str(version.version)}


def test_an_interrupted_training_goes_on(place: Place, speech: SpeechClient, text: Path) -> None:
    process = begin(place, text, "killed")
    run = None
    while process.poll() is None and run is None:  # until the service is at work
        time.sleep(0.05)
        experiment = place.mlflow.client.get_experiment_by_name(place.experiment)
        runs = place.mlflow.runs("train") if experiment else []
        run = next(
            (one for one in runs if one.info.run_name == f"killed-{place.kind}" and tags.MODEL_ID in one.data.tags), None
        )
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert run is not None
    done = end(begin(place, text, "killed"))
    assert (done["run_id"], done["model_id"]) == (run.info.run_id, run.data.tags[tags.MODEL_ID])
    assert once(place, speech, "killed") == {key: done[key] for key in ("run_id", "model_id", "version")}


def test_two_at_once_train_once(place: Place, speech: SpeechClient, text: Path) -> None:
    first, second = [end(process) for process in [begin(place, text, "two") for _ in range(2)]]
    facts = once(place, speech, "two")
    for done in (first, second):
        assert {key: done[key] for key in facts} == facts
