"""What the demo leaves behind, in MLflow and in the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.story.conftest import Demo, counted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = pytest.mark.timeout(900)
MODEL = "clinic-en-us"


@pytest.fixture(scope="module")
def client(demo: Demo) -> MlflowClient:
    from mlflow import MlflowClient

    uri = f"sqlite:///{demo.directory / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(client: MlflowClient, kind: str) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`speech.kind` = '{kind}'", order_by=["attributes.start_time ASC"]))


def test_custom_wer_is_at_most_half_of_base_wer_and_more_data_is_better(demo: Demo) -> None:
    base, first, second = (line["wer"] for line in demo.first["models"])
    assert 0 < first <= base / 2
    assert second < first


def test_a_second_run_finds_its_own_work_and_makes_nothing_twice(demo: Demo) -> None:
    assert demo.second["models"] == demo.first["models"]
    assert demo.second["endpoint"] == demo.first["endpoint"]
    assert counted(demo.directory) == demo.before == {"data sets": 7, "endpoints": 1, "versions": 2}


def test_version_1_is_served_again_after_the_rollback(demo: Demo) -> None:
    (endpoint,) = json.loads(demo.run("speech-mlflow", "endpoints", "list", "--json").stdout)
    listed = {row["version"]: row for row in json.loads(demo.run("speech-mlflow", "models", "list", "--json").stdout)}
    assert endpoint["model"]["self"].split("?")[0].endswith(listed[1]["model_id"])
    assert (listed[1]["stage"], listed[1]["served"]) == ("Production", True)
    assert (listed[2]["stage"], listed[2]["served"]) == ("Archived", False)
    assert listed[2]["wer"] < listed[1]["wer"]


def test_train_runs_name_their_data_and_their_model(client: MlflowClient) -> None:
    trained = runs(client, "train")
    assert len(trained) == 2
    for run in trained:
        assert run.info.status == "FINISHED"
        contexts = {tag.value for given in run.inputs.dataset_inputs for tag in given.tags if tag.key == "mlflow.data.context"}
        assert contexts == {"training"}
        assert len(run.outputs.model_outputs) == 1
    assert [len(run.inputs.dataset_inputs) for run in trained] == [3, 6]


def test_test_runs_carry_both_models_table_and_report(client: MlflowClient, demo: Demo) -> None:
    tested = runs(client, "test")
    assert len(tested) == 2
    for run in tested:
        (given,) = run.inputs.dataset_inputs
        assert {tag.value for tag in given.tags if tag.key == "mlflow.data.context"} == {"testing"}
        files = {file.path for folder in ("", "eval", "report") for file in client.list_artifacts(run.info.run_id, folder)}
        assert any(path.endswith(".html") for path in files), files


def test_the_best_model_on_the_test_set_is_one_query_away(client: MlflowClient) -> None:
    (experiment,) = [one for one in client.search_experiments() if one.name == "clinic"]
    found = client.search_logged_models(
        experiment_ids=[experiment.experiment_id],
        order_by=[{"field_name": "metrics.wer", "ascending": True, "dataset_name": "testing"}],
    )
    best = found[0]
    versions = client.search_model_versions(f"name = '{MODEL}'")
    assert {version.version for version in versions if version.source == f"models:/{best.model_id}"} & {"2", 2}


def test_each_promotion_is_a_run_that_says_what_changed(demo: Demo) -> None:
    past = json.loads(demo.run("speech-mlflow", "history", MODEL, "--json").stdout)
    assert {one["result"] for one in past} == {"served"}
    assert [one["version"] for one in reversed(past)][:3] == ["1", "2", "1"]
    assert len({one["endpoint_id"] for one in past}) == 1


def test_the_plan_is_empty_afterwards(demo: Demo) -> None:
    demo.run("speech-mlflow", "plan", "--exit-code")


def test_the_endpoint_hears_with_the_model_it_serves(demo: Demo) -> None:
    recording = demo.first["heard"]
    assert recording["heard"]
    from speech_mlflow.cli.demo import example_corpus

    wav = example_corpus() / "testing" / recording["recording"]
    (heard,) = json.loads(demo.run("speech-mlflow", "transcribe", str(wav), "--model", MODEL, "--json").stdout)
    assert heard["display"] == recording["heard"]
