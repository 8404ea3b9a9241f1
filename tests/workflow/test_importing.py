"""What was made in the speech resource without us is brought into MLflow: once, whole, and without a write to the service."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.emulator.faults import Fault
from speech_mlflow.errors import SettingsError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import CustomModel, Dataset, Evaluation, Project
from speech_mlflow.service.retry import Timing
from speech_mlflow.tracking import answers, tags
from speech_mlflow.tracking.lineage import lineage
from speech_mlflow.workflow.importing import Item, import_existing
from tests.cli.tools import answer, invoke
from tests.fixtures.emulator import RunningEmulator, StartEmulator
from tests.fixtures.mlflow_server import MlflowServer
from tests.workflow.tools import Mlflow

pytestmark = pytest.mark.slow  # a whole project is made by hand first

NAME = "Clinic: dictation/v1"
REGISTERED = "Clinic- dictation-v1"


@dataclass(frozen=True)
class Studio:
    """A resource in which somebody worked by hand: a project with a model and its test, and things outside the project."""

    service: RunningEmulator
    speech: SpeechClient
    project: Project
    related: Dataset
    tested: Dataset
    model: CustomModel
    evaluation: Evaluation
    inspection: Evaluation
    alone: Evaluation


@pytest.fixture(scope="module")
def studio(
    emulator_factory: StartEmulator, text: Path, testing: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Studio]:
    service = emulator_factory()
    folder = tmp_path_factory.mktemp("uploads")
    timing = Timing(sleep=lambda seconds: time.sleep(seconds / 50))
    with SpeechClient(service.url, service.key, resource=service.resource, timing=timing) as speech:
        project = speech.projects.create(display_name="Clinic", locale="en-US")

        def uploaded(name: str, path: Path, kind: str, **more: Any) -> Dataset:
            made = speech.datasets.create(kind=kind, display_name=name, locale="en-US", **more)
            block = base64.b64encode(b"0").decode()
            speech.datasets.put_block(made, block, path.read_bytes())
            speech.datasets.commit_blocks(made, [block])
            return speech.wait(speech.datasets.get(made))

        (speechless := folder / "audio").mkdir()
        (speechless / "t01.wav").write_bytes(testing.audio("t01.wav"))
        heard_only = read_corpus(speechless, locale="en-US", kind="AudioFiles").write_upload(folder)
        related = uploaded("Related text", text, "Language", project=project)
        tested = uploaded("Dictated", testing.write_upload(folder), "Acoustic", project=project)
        audio = uploaded("Recordings", heard_only, "AudioFiles")
        base = max(speech.models.list_base("locale eq 'en-US'"), key=lambda one: str(one.created_date_time))
        given: dict[str, Any] = {"locale": "en-US", "project": project}
        model = speech.wait(
            speech.models.create(
                display_name=NAME,
                datasets=[related],
                base_model=base,
                custom_model_weight_percent=90,
                description="by hand",
                **given,
            )
        )
        evaluations = [
            speech.evaluations.create(display_name="Accuracy", model1=base, model2=model, dataset=tested, **given),
            speech.evaluations.create(display_name="Look", locale="en-US", model1=base, dataset=audio, testing_kind=None),
            speech.evaluations.create(display_name="Base alone", locale="en-US", model1=base, dataset=tested),
        ]
        evaluation, inspection, alone = speech.wait_all(evaluations)
        yield Studio(service, speech, project, related, tested, model, evaluation, inspection, alone)


def everything(speech: SpeechClient) -> dict[str, Any]:
    """All that the service holds, as it says itself."""
    lists = (speech.projects, speech.datasets, speech.models, speech.evaluations, speech.endpoints, speech.transcriptions)
    return {entity.id: entity.to_json() for one in lists for entity in one.list()}


def outcomes(items: list[Item]) -> dict[str, str]:
    """What became of models and evaluations."""
    return {item.name: item.outcome for item in items if item.kind != "data set"}


def milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def test_models_and_evaluations_become_runs_logged_models_and_versions_once(
    studio: Studio, testing: Corpus, mlflow: Mlflow
) -> None:
    speech, model, evaluation = studio.speech, studio.model, studio.evaluation
    before = everything(speech)
    planned = import_existing(speech, dry_run=True, **mlflow.where)
    assert outcomes(planned) == {
        NAME: "to be imported",
        "Accuracy": "to be imported",
        "Base alone": "to be imported",
        "Look": "skipped",
    }
    assert mlflow.runs() == []

    items = {item.name: item for item in import_existing(speech, **mlflow.where)}
    assert outcomes(list(items.values())) == {
        NAME: "imported",
        "Accuracy": "imported",
        "Base alone": "imported",
        "Look": "skipped",
    }
    assert "no transcripts" in str(items["Look"].reason)
    assert [item.reason for item in items.values() if item.outcome == "imported"] == [None, None, None]
    assert everything(speech) == before, "nothing was written to the service"

    (train,) = mlflow.runs("train")
    assert (train.info.run_id, train.info.status, train.info.run_name) == (items[NAME].run_id, "FINISHED", NAME)
    assert (train.info.start_time, train.info.end_time) == (
        milliseconds(model.created_date_time),
        milliseconds(model.last_action_date_time),
    )
    assert train.data.params["used_weight_percent"] == "90"
    assert train.data.params["data"] == '["Related text (Language)"]'
    assert train.data.tags[tags.MODEL_ID] == model.id
    assert train.data.tags[tags.DATASET_IDS] == studio.related.id
    assert train.data.tags[tags.PROJECT_ID] == studio.project.id
    assert train.data.tags["mlflow.note.content"] == "by hand"
    assert tags.IMPORTED in train.data.tags
    assert train.data.metrics["data.accepted_lines"] == 4
    whole = mlflow.client.get_run(train.info.run_id)
    assert whole.inputs is not None
    (given,) = whole.inputs.dataset_inputs
    assert given.dataset.name == "Related text"
    assert json.loads(given.dataset.profile)["words"] > 4
    version = mlflow.client.get_model_version(REGISTERED, "1")
    assert items[NAME].version == f"{REGISTERED}/1"
    assert version.run_id == train.info.run_id

    tests = {run.info.run_name: run for run in mlflow.runs("test")}
    accuracy = tests["Accuracy"]
    assert (accuracy.info.start_time, accuracy.info.end_time) == (
        milliseconds(evaluation.created_date_time),
        milliseconds(evaluation.last_action_date_time),
    )
    assert evaluation.properties is not None
    for side, label in ((1, "base 20250115"), (2, f"{REGISTERED} v1")):
        counts = evaluation.properties.counts(side)  # type: ignore[arg-type]
        assert counts is not None
        assert accuracy.data.metrics[f"wer/{label}"] == counts.wer
    assert accuracy.data.tags[tags.FINGERPRINT] == testing.fingerprint, "the same content as a test of ours would have"
    assert {"utterances.json", "report.html"} <= set(mlflow.artifacts(accuracy.info.run_id))
    table = mlflow.json(accuracy.info.run_id, "utterances.json")
    references = [dict(zip(table["columns"], row, strict=True))["reference"] for row in table["data"]]
    assert references == [utterance.text for utterance in testing.utterances]
    assert set(tests["Base alone"].data.metrics) >= {"wer", "wer/base 20250115"}
    metric = mlflow.client.get_metric_history(accuracy.info.run_id, f"wer/{REGISTERED} v1")[0]
    assert metric.timestamp == milliseconds(evaluation.last_action_date_time)

    best = answers.best(mlflow.client, testing)[0]
    assert best.versions == (f"{REGISTERED}/1",)
    kinds = {node.kind for node in lineage(mlflow.client, f"{REGISTERED}/1").nodes.values()}
    assert kinds == {"data", "base model", "train", "model", "test", "version"}

    count = len(mlflow.runs()), len(mlflow.models())
    again = {item.name: item for item in import_existing(speech, **mlflow.where)}
    assert {again[name].outcome for name in (NAME, "Accuracy", "Base alone")} == {"present"}
    assert again[NAME].run_id == train.info.run_id
    assert (len(mlflow.runs()), len(mlflow.models())) == count
    assert everything(speech) == before


def test_an_import_that_was_interrupted_goes_on(studio: Studio, mlflow: Mlflow) -> None:
    """What is left by a process that died before it registered the model and tested the versions is put back."""
    chosen: dict[str, Any] = {"models": [studio.model.id], "registered_model": "clinic", **mlflow.where}
    first = import_existing(studio.speech, **chosen)
    for item in first:
        mlflow.client.update_run(str(item.run_id), status="RUNNING")
    mlflow.client.delete_model_version("clinic", "1")
    second = import_existing(studio.speech, **chosen)
    assert [item.outcome for item in second] == ["imported", "imported"]
    assert [item.run_id for item in second] == [item.run_id for item in first]
    assert {run.info.status for run in mlflow.runs()} == {"FINISHED"}
    assert len(mlflow.models()) == 2
    (version,) = mlflow.client.search_model_versions("name = 'clinic'")
    assert version.tags[tags.MODEL_ID] == studio.model.id


def test_an_older_test_does_not_displace_a_later_one(studio: Studio, testing: Corpus, mlflow: Mlflow) -> None:
    import_existing(studio.speech, models=[studio.model.id], registered_model="clinic", **mlflow.where)
    (old,) = mlflow.runs("test")
    later = workflow.test(studio.speech, data=testing, models=["clinic/1"], **mlflow.where)
    assert mlflow.client.get_model_version("clinic", "1").tags[tags.TEST_RUN_ID] == later.run_id
    mlflow.client.delete_run(old.info.run_id)
    again = import_existing(studio.speech, models=[studio.model.id], **mlflow.where)
    assert outcomes(again)["Accuracy"] == "imported"
    assert mlflow.client.get_model_version("clinic", "1").tags[tags.TEST_RUN_ID] == later.run_id
    assert later.evaluation is not None
    studio.speech.evaluations.delete(later.evaluation)


def test_a_project_or_models_are_chosen(studio: Studio, mlflow: Mlflow) -> None:
    speech = studio.speech
    for project in ("Clinic", studio.project.id):
        planned = import_existing(speech, project=project, dry_run=True, **mlflow.where)
        assert outcomes(planned) == {NAME: "to be imported", "Accuracy": "to be imported"}
    chosen = import_existing(speech, models=[studio.model.id], registered_model="clinic", dry_run=True, **mlflow.where)
    assert outcomes(chosen) == {NAME: "to be imported", "Accuracy": "to be imported"}
    with pytest.raises(SettingsError, match="no custom model of the resource") as raised:
        import_existing(speech, models=["nothing"], **mlflow.where)
    assert "--dry-run" in str(raised.value.hint)
    with pytest.raises(SettingsError, match="there is no project 'Other'") as raised:
        import_existing(speech, project="Other", **mlflow.where)
    assert "Clinic" in str(raised.value.hint)
    assert [one.display_name for one in speech.projects.list()] == ["Clinic"], "no project was made"


def test_one_that_cannot_be_read_is_reported_and_the_rest_is_imported(studio: Studio, mlflow: Mlflow) -> None:
    faults = studio.service.faults
    assert faults is not None
    path = f"/datasets/{studio.related.id}"
    faults.add(Fault("status", path=path, status=500, times=None))
    try:
        items = {item.name: item for item in import_existing(studio.speech, **mlflow.where)}
    finally:
        faults.clear()
    assert (items[NAME].outcome, items["Accuracy"].outcome) == ("failed", "imported")
    assert "500" in str(items[NAME].reason)
    assert mlflow.runs("train") == [], "half an import is none"
    assert {model.name for model in mlflow.models()} == {"base-20250115", "Clinic- dictation-v1"}
    assert mlflow.client.search_registered_models() == []

    done = {item.name: item for item in import_existing(studio.speech, registered_model="clinic", **mlflow.where)}
    assert (done[NAME].outcome, done[NAME].version, done["Accuracy"].outcome) == ("imported", "clinic/1", "present")


def test_the_command_lists_imports_and_exits_with_1_where_something_failed(studio: Studio, mlflow: Mlflow) -> None:
    environ = {
        "SPEECH_MLFLOW_ENDPOINT": studio.service.url,
        "SPEECH_MLFLOW_KEY": studio.service.key.get_secret_value(),
        "SPEECH_MLFLOW_TRACKING_URI": mlflow.uri,
        "SPEECH_MLFLOW_EXPERIMENT": "speech",
    }
    listed = answer("import", "--dry-run", "--project", "Clinic", **environ)
    assert {(one["kind"], one["name"], one["outcome"]) for one in listed} == {
        ("model", NAME, "to be imported"),
        ("evaluation", "Accuracy", "to be imported"),
    }
    assert mlflow.runs() == []
    faults = studio.service.faults
    assert faults is not None
    faults.add(Fault("status", path=f"/evaluations/{studio.evaluation.id}/files", status=404, times=None))
    faults.add(Fault("status", path=f"/datasets/{studio.related.id}$", status=403, times=None))
    try:
        failed = answer("import", studio.model.id, code=1, **environ)
    finally:
        faults.clear()
    assert {one["name"]: one["outcome"] for one in failed} == {NAME: "failed", "Accuracy": "imported"}
    assert "no table of utterances" in failed[1]["reason"], "what could be had was brought"
    printed = invoke("import", studio.model.id, "--registered-model", "clinic", **environ).stdout
    assert "clinic/1" in printed
    assert printed.splitlines()[-1] == "1 imported, 1 present"


def test_data_that_is_gone_leaves_the_counts_of_the_service(
    emulator_factory: StartEmulator, studio: Studio, testing: Corpus, mlflow: Mlflow, tmp_path: Path
) -> None:
    speech = studio.speech
    doomed = speech.datasets.create(kind="Acoustic", display_name="Doomed", locale="en-US")
    block = base64.b64encode(b"0").decode()
    speech.datasets.put_block(doomed, block, testing.write_upload(tmp_path).read_bytes())
    speech.datasets.commit_blocks(doomed, [block])
    speech.wait(speech.datasets.get(doomed))
    made = speech.wait(speech.evaluations.create(display_name="Old", locale="en-US", model1=studio.model, dataset=doomed))
    speech.datasets.delete(doomed)
    (old,) = [item for item in import_existing(speech, **mlflow.where) if item.name == "Old"]
    assert old.outcome == "imported"
    assert f"data set {doomed.id} is no more in the service" in str(old.reason)
    run = mlflow.client.get_run(str(old.run_id))
    assert made.properties is not None
    counts = made.properties.counts(1)
    assert counts is not None
    assert run.data.metrics["wer"] == counts.wer
    assert mlflow.artifacts(str(old.run_id)) == ["service/evaluation-1.json"]
    speech.evaluations.delete(made)


@pytest.mark.timeout(600)
def test_a_real_server_takes_an_import(studio: Studio, testing: Corpus, mlflow_server: MlflowServer) -> None:
    there = Mlflow(mlflow_server.uri)
    given: dict[str, Any] = {"models": [studio.model.id], "registered_model": "imported", **there.where}
    assert {item.outcome for item in import_existing(studio.speech, **given)} == {"imported"}
    (run,) = [run for run in there.runs("test") if run.data.tags[tags.EVALUATION_ID] == studio.evaluation.id]
    assert run.info.start_time == milliseconds(studio.evaluation.created_date_time)
    assert {"utterances.json", "report.html"} <= set(there.artifacts(run.info.run_id))
    assert there.client.get_model_version("imported", "1").tags[tags.TEST_RUN_ID] == run.info.run_id
    assert answers.best(there.client, testing)[0].versions == ("imported/1",)
    assert {item.outcome for item in import_existing(studio.speech, **given)} == {"present"}
