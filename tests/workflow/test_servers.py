"""The same work against real MLflow servers: one as it is, and one without the logged-models API."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import answers, registry, tags
from speech_mlflow.tracking.registry import logged_model_of
from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow_server import MlflowServer, proxy
from tests.workflow.tools import Mlflow

with warnings.catch_warnings():  # of types inside MLflow, at its import
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOT_FOUND_PAGE = b"<!doctype html><title>404 Not Found</title>"
NOT_FOUND_OF_A_HOST = b'{"error": {"code": "UserError", "message": "Not found"}, "statusCode": 404}'


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, emulator: RunningEmulator) -> Callable[[str], None]:
    def configure(uri: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
        monkeypatch.setenv("SPEECH_MLFLOW_STATE_DIR", str(emulator.state_dir))

    return configure


def story(
    speech: SpeechClient, text: Path, testing: Corpus, where: Mlflow, name: str
) -> tuple[workflow.TrainResult, workflow.TestResult]:
    trained = workflow.train(speech, name="first", data=[text], registered_model=name, weight_percent=90, **where.where)
    tested = workflow.test(speech, data=testing, models=["base", trained.model], **where.where)
    return trained, tested


def test_a_server_that_keeps_the_artifacts(
    speech: SpeechClient,
    text: Path,
    testing: Corpus,
    mlflow_server: MlflowServer,
    user: Callable[[str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    user(mlflow_server.uri)
    where = Mlflow(mlflow_server.uri)
    trained, tested = story(speech, text, testing, where, "clinic")
    assert capfd.readouterr().out == "", "standard output belongs to the program"
    version = where.client.get_model_version("clinic", "1")
    assert logged_model_of(version) == trained.logged_model_id
    assert "report.html" in where.artifacts(tested.run_id)
    assert where.client.get_run(tested.run_id).info.artifact_uri.startswith("mlflow-artifacts:/")
    assert answers.best(where.client, "testing")[0].versions == ("clinic/1",)
    run = where.client.get_run(tested.run_id)
    assert run.inputs is not None
    given = run.inputs.dataset_inputs[0].dataset
    data = {"dataset_name": given.name, "dataset_digest": given.digest}
    best = where.client.search_logged_models(
        [where.experiment_id],
        "metrics.wer >= 0",
        datasets=[data],
        order_by=[{"field_name": "metrics.wer", "ascending": True, **data}],
        max_results=1,
    )
    assert best[0].model_id == trained.logged_model_id
    registry.set_stage(where.client, "clinic", "1", "Production")
    loaded = mlflow.pyfunc.load_model("models:/clinic/Production", suppress_warnings=True)
    heard = loaded.predict([str(testing.source / "t01.wav")], params={"form": "lexical"})
    assert heard == [tested.scores["clinic v1"]["t01.wav"].hypothesis]
    again = workflow.test(speech, data=testing, models=["base", "clinic/1"], **where.where)
    assert (again.reused, again.run_id) == (True, tested.run_id)


@pytest.fixture(params=[NOT_FOUND_PAGE, NOT_FOUND_OF_A_HOST], ids=["page", "json"])
def older_server(request: pytest.FixtureRequest, mlflow_server: MlflowServer) -> Iterator[str]:
    """A server that answers 404 to all of the logged-models API, in the two ways seen."""

    def refuse(method: str, path: str) -> tuple[int, bytes] | None:
        return (404, request.param) if "/logged-models" in path else None

    with proxy(mlflow_server.uri, refuse) as before:
        yield before.uri


def test_a_server_without_logged_models(
    speech: SpeechClient,
    text: Path,
    testing: Corpus,
    older_server: str,
    user: Callable[[str], None],
    request: pytest.FixtureRequest,
) -> None:
    user(older_server)
    where = Mlflow(older_server)
    name = f"older {request.node.callspec.id}"
    options = {"tracking_uri": older_server, "experiment": name}
    trained = workflow.train(speech, name="first", data=[text], registered_model=name, weight_percent=90, **options)
    assert trained.logged_model_id is None
    version = where.client.get_model_version(name, "1")
    assert version.source == f"runs:/{trained.run_id}/{registry.RUN_ARTIFACT}"
    assert version.tags[tags.MODEL_ID] == trained.model.id
    tested = workflow.test(speech, data=testing, models=["base", f"{name}/1"], **options)
    metrics = where.client.get_run(tested.run_id).data.metrics
    assert metrics[f"wer/{name} v1"] == tested.wer[f"{name} v1"]
    assert workflow.train(speech, name="first", data=[text], registered_model=name, weight_percent=90, **options).reused
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1", suppress_warnings=True)
    heard = loaded.predict([str(testing.source / "t01.wav")], params={"form": "lexical"})
    assert heard == [tested.scores[f"{name} v1"]["t01.wav"].hypothesis]
