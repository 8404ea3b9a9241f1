from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import LoggedModelStatus

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.errors import BadRequestError, CorpusError, DataError, SettingsError
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.entities import BaseModel, CustomModel
from speech_mlflow.tracking import models, tags
from speech_mlflow.tracking.store import open_store
from speech_mlflow.workflow.training import _Training
from tests.workflow.tools import Mlflow

OPTIONS = {"weight_percent": 90}
"""What the model is trained with that most tests share: it is trained once, and found by its content."""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences that no other tests train on, whichever of them share the service of the session."""
    path = tmp_path_factory.mktemp("text") / "related-text.txt"
    lines = ("Start amiodarone once daily.", "Hold amiodarone before the bronchoscopy.", "Continue digoxin.", "Stop digoxin.")
    path.write_text("\n".join(lines) + "\n", "utf-8-sig")
    return path


def named(speech: SpeechClient, name: str) -> list[CustomModel]:
    """The service's models whose displayName begins with a name."""
    return [model for model in speech.models.list() if str(model.display_name).startswith(f"{name} [")]


def test_a_training_is_a_run_a_logged_model_and_a_version(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    trained = workflow.train(speech, name="solo", data=[text], registered_model="clinic", **OPTIONS, **mlflow.where)
    assert (trained.version, trained.reused, trained.done) == ("1", False, True)

    (run,) = mlflow.runs("train")
    assert (run.info.run_id, run.info.status, run.info.run_name) == (trained.run_id, "FINISHED", "solo")
    facts = run.data.tags
    assert facts[tags.MODEL_ID] == trained.model.id
    assert facts[tags.RESOURCE] == speech.resource
    assert facts[tags.API_VERSION] == "2025-10-15"
    assert trained.model.base_model is not None
    assert facts[tags.BASE_MODEL_ID] == trained.model.base_model.id
    assert run.data.params["weight_percent"] == run.data.params["used_weight_percent"] == "90"
    assert run.data.metrics["data.text_lines"] == run.data.metrics["data.accepted_lines"] == 4
    assert run.data.metrics["training.seconds"] > 0
    said = "20250115 fine-tuned with related-text (Language), weight 90 %"
    assert facts["mlflow.note.content"] == said
    assert run.data.metrics["training.custom_perplexity"] > 1
    assert {"service/model.json", "service/report.json"} <= set(mlflow.artifacts(trained.run_id))
    whole = mlflow.client.get_run(trained.run_id)
    assert whole.inputs is not None
    (given,) = whole.inputs.dataset_inputs
    assert given.dataset.name == "related-text"
    assert {tag.value for tag in given.tags} >= {"training", facts[tags.DATASET_IDS]}
    assert whole.outputs is not None
    assert [output.model_id for output in whole.outputs.model_outputs] == [trained.logged_model_id]

    (logged,) = mlflow.models()
    assert (logged.model_id, logged.status) == (trained.logged_model_id, LoggedModelStatus.READY)
    assert logged.tags[tags.MODEL_ID] == trained.model.id
    (accepted,) = [metric for metric in logged.metrics or [] if metric.key == "data.accepted_lines"]
    assert (accepted.value, accepted.dataset_name) == (4, "related-text")
    assert not [name for name in run.data.metrics if name.startswith("dataset.")], "the run shows sums alone"
    version = mlflow.client.get_model_version("clinic", "1")
    assert (version.source, version.run_id) == (f"models:/{trained.logged_model_id}", trained.run_id)
    assert version.tags[tags.MODEL_ID] == trained.model.id
    assert version.tags[tags.TRAIN_RUN_ID] == trained.run_id

    properties = trained.model.custom_properties or {}
    assert properties["managed-by"] == "speech-mlflow"
    assert len(properties["mlflow-run-id"]) == 32, "of the run that trained it, in whatever MLflow that was"
    assert properties["fingerprint"] == facts[tags.KEY]
    assert str(trained.model.display_name) == f"solo [{facts[tags.KEY][:12]}]"
    for content in (json.dumps(dict(facts)), mlflow.text(trained.run_id, "service/model.json")):
        assert speech.endpoint not in content, "URLs change with the endpoint and are not stored"

    again = workflow.train(speech, name="other name", data=[text], registered_model="clinic", **OPTIONS, **mlflow.where)
    assert (again.run_id, again.model.id, again.version, again.reused) == (trained.run_id, trained.model.id, "1", True)
    assert len(mlflow.runs()) == len(mlflow.models()) == len(named(speech, "solo")) == 1
    elsewhere = workflow.train(speech, name="solo", data=[text], registered_model="two", **OPTIONS, **mlflow.where)
    assert (elsewhere.version, elsewhere.registered_model, elsewhere.reused) == ("1", "two", True)
    assert workflow.register(speech, trained.model.id, name="three", **mlflow.where) == "1"


@pytest.mark.slow
def test_begun_without_waiting_it_is_finished_later_by_whoever_comes(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    begun = workflow.train(speech, name="later", data=[text], registered_model="later", wait=False, **mlflow.where)
    assert (begun.version, begun.done, begun.reused) == (None, False, False)
    (run,) = mlflow.runs("train")
    assert run.info.status == "RUNNING"
    (logged,) = mlflow.models()
    assert logged.status == LoggedModelStatus.PENDING
    (now,) = workflow.status(speech, **mlflow.where)
    assert (now.run_id, now.kind, now.entity_id, now.resumable) == (begun.run_id, "train", begun.model.id, True)
    assert now.service_status in {"NotStarted", "Running"}

    done = workflow.wait(speech, begun.run_id, **mlflow.where)
    assert (done.run_id, done.model.id, done.version) == (begun.run_id, begun.model.id, "1")
    assert [run.info.status for run in mlflow.runs()] == ["FINISHED"]
    assert workflow.status(speech, **mlflow.where) == []
    same = workflow.train(speech, name="later", data=[text], registered_model="later", **mlflow.where)
    assert (same.run_id, same.reused) == (begun.run_id, True)
    assert len(named(speech, "later")) == 1


@pytest.mark.parametrize("lost", ["the model's id", "the name of the model", "the logged model", "the version"])
def test_a_process_that_died_is_gone_on_with(lost: str, speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    """What a process leaves behind that dies at different points is put back, and the same call made again."""
    given = {"name": "solo", "data": [text], "registered_model": "clinic", **OPTIONS, **mlflow.where}
    begun = workflow.train(speech, **given)
    assert begun.logged_model_id is not None
    mlflow.client.update_run(begun.run_id, status="RUNNING")
    if lost != "the version":
        mlflow.client.delete_model_version("clinic", "1")
        mlflow.client.delete_tag(begun.run_id, tags.MODEL_ID)
    if lost == "the name of the model":
        mlflow.client.delete_tag(begun.run_id, tags.DISPLAY_NAME)
    if lost == "the logged model":
        mlflow.client.delete_logged_model(begun.logged_model_id)
    done = workflow.train(speech, **given)
    assert (done.run_id, done.model.id, done.reused) == (begun.run_id, begun.model.id, False)
    assert len(named(speech, "solo")) == 1
    assert [run.info.status for run in mlflow.runs()] == ["FINISHED"]
    assert [model.status for model in mlflow.models()] == [LoggedModelStatus.READY]
    (version,) = mlflow.client.search_model_versions("name = 'clinic'")
    assert version.tags[tags.MODEL_ID] == begun.model.id


def test_another_mlflow_finds_the_model_in_the_service(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    """A fresh MLflow knows no run; the service knows the model, by its name, proven by the content key."""
    before = {model.id for model in named(speech, "solo")}
    trained = workflow.train(speech, name="solo", data=[text], **OPTIONS, **mlflow.where)
    assert trained.model.id in (before or {trained.model.id})
    assert {model.id for model in named(speech, "solo")} == (before or {trained.model.id})


def test_what_the_service_refuses_fails_the_run_and_the_next_try_is_a_new_one(
    speech: SpeechClient, text: Path, mlflow: Mlflow
) -> None:
    base = min(speech.models.list_base(filters.eq("locale", "en-US")), key=lambda model: str(model.created_date_time))
    for attempt in ("1", "2"):
        with pytest.raises(BadRequestError, match="ModelDeprecated"):
            workflow.train(speech, name="refused", data=[text], base_model=base, **mlflow.where)
        run = mlflow.runs("train")[0]
        assert (run.info.status, run.data.tags[tags.ATTEMPT]) == ("FAILED", attempt)
        assert "ModelDeprecated" in run.data.tags[tags.ERROR]
    assert {model.status for model in mlflow.models()} == {LoggedModelStatus.FAILED}
    assert named(speech, "refused") == []


@pytest.mark.slow
def test_a_model_that_is_gone_from_the_service_is_trained_again(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    first = workflow.train(speech, name="gone", data=[text], weight_percent=42, **mlflow.where)
    speech.models.delete(first.model.id)
    second = workflow.train(speech, name="gone", data=[text], weight_percent=42, wait=False, **mlflow.where)
    assert second.run_id != first.run_id
    assert second.model.id != first.model.id


def test_bad_data_is_named_before_anything_is_made(speech: SpeechClient, tmp_path: Path, mlflow: Mlflow) -> None:
    empty, broken = tmp_path / "empty.txt", tmp_path / "broken.txt"
    empty.write_text("", "utf-8-sig")
    broken.write_bytes(b"\xef\xbb\xbf" + b"ok\n" + b"\xff\xfe\xfa\n")
    with pytest.raises(CorpusError) as raised:
        workflow.train(speech, name="bad", data=[empty, broken], **mlflow.where)
    assert "empty.txt" in str(raised.value)
    assert "broken.txt" in str(raised.value)
    with pytest.raises(DataError, match="no data was given"):
        workflow.train(speech, name="bad", data=[], **mlflow.where)
    assert mlflow.runs() == []


@pytest.mark.parametrize("name", ["a/b", "x:y", " "])
def test_a_name_that_no_registered_model_can_have_is_refused_before_anything_is_made(
    name: str, speech: SpeechClient, text: Path, mlflow: Mlflow
) -> None:
    with pytest.raises(SettingsError, match="registered model"):
        workflow.train(speech, name="named", data=[text], registered_model=name, weight_percent=61, **mlflow.where)
    with pytest.raises(SettingsError, match="registered model"):
        workflow.import_existing(speech, registered_model=name, **mlflow.where)
    assert mlflow.client.get_experiment_by_name(mlflow.experiment) is None
    assert named(speech, "named") == []


def test_data_of_another_locale_is_refused(speech: SpeechClient, testing: Corpus, mlflow: Mlflow) -> None:
    with pytest.raises(DataError, match=r"another locale than de-DE: testing \(en-US\)"):
        workflow.train(speech, name="bad", data=[testing], locale="de-DE", **mlflow.where)


def test_models_of_another_resource_are_another_s(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    trained = workflow.train(speech, name="solo", data=[text], **OPTIONS, **mlflow.where)
    store = open_store(mlflow.uri, experiment="speech")
    assert models.find(store, resource=speech.resource, model_id=trained.model.id) is not None
    assert models.find(store, resource="another", model_id=trained.model.id) is None


def test_what_decides_the_outcome_is_in_the_key_and_nothing_else(text: Path, testing: Corpus, mlflow: Mlflow) -> None:
    store = open_store(mlflow.uri, experiment="speech")

    def key(**changed: Any) -> str:
        with SpeechClient("https://one.cognitiveservices.azure.com", "k", resource=changed.pop("resource", "r1")) as speech:
            base = BaseModel.model_validate({"self": f"https://one/models/base/{changed.pop('base', 'b1')}"})
            given = {"name": "a", "corpora": [read_corpus(text, locale="en-US")], "locale": "en-US", "weight_percent": None}
            rest = {"project": None, "registered_model": None, "progress": None}
            return _Training(speech=speech, store=store, base=base, **{**given, **rest, **changed}).key

    plain = key()
    both = [read_corpus(text, locale="en-US"), testing]
    assert key(corpora=both) == key(corpora=both[::-1])
    assert plain == key(name="b", project="p", registered_model="m")
    others = [
        key(resource="r2"),
        key(base="b2"),
        key(weight_percent=30),
        key(weight_percent=31),
        key(corpora=both),
        key(locale="en-GB"),
    ]
    assert len({plain, *others}) == 7


@pytest.mark.slow
def test_a_foreign_model_of_the_same_name_is_not_taken_for_ours(speech: SpeechClient, text: Path, mlflow: Mlflow) -> None:
    begun = workflow.train(speech, name="proof", data=[text], weight_percent=44, wait=False, **mlflow.where)
    assert begun.model.base_model is not None
    speech.wait(begun.model)
    speech.models.delete(begun.model.id)
    foreign = speech.models.create(
        display_name=str(begun.model.display_name),
        locale="en-US",
        datasets=begun.model.datasets or [],
        base_model=begun.model.base_model,
        custom_properties={"fingerprint": "of something else"},
    )
    again = workflow.train(speech, name="proof", data=[text], weight_percent=44, wait=False, **mlflow.where)
    assert again.run_id == begun.run_id
    assert again.model.id not in {begun.model.id, foreign.id}
    assert again.model.display_name == foreign.display_name
