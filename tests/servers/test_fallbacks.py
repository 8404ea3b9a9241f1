"""Servers that lack something: what is said where it cannot be done without, and the other way in which such servers say no."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import TrackingError
from speech_mlflow.promotion import usecases
from speech_mlflow.promotion.target import Target
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import registry
from tests.fixtures.mlflow_server import MlflowServer, proxy
from tests.servers.conftest import without_stages
from tests.workflow.tools import Mlflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOT_FOUND_OF_A_HOST = b'{"error": {"code": "UserError", "message": "Not found"}, "statusCode": 404}'


def test_a_host_that_answers_404_in_words_of_its_own(
    speech: SpeechClient, text: Path, testing: Corpus, mlflow_server: MlflowServer
) -> None:
    """A hosted server without logged models: JSON, and no error code of MLflow's in it."""

    def refuse(method: str, path: str) -> tuple[int, bytes] | None:
        return (404, NOT_FOUND_OF_A_HOST) if "/logged-models" in path else None

    with proxy(mlflow_server.uri, refuse) as host:
        mlflow = Mlflow(host.uri)
        trained = workflow.train(
            speech, name="hosted", data=[text], registered_model="hosted", weight_percent=7, **mlflow.where
        )
        tested = workflow.test(speech, data=testing, models=["hosted/1"], **mlflow.where)
        asked = [path for _, path in host.seen if "/logged-models" in path]
    assert trained.logged_model_id is None
    assert mlflow_server.uri != host.uri
    behind = Mlflow(mlflow_server.uri)
    version = behind.client.get_model_version("hosted", "1")
    assert version.source == f"runs:/{trained.run_id}/{registry.RUN_ARTIFACT}"
    assert trained.model.id in behind.text(trained.run_id, f"{registry.RUN_ARTIFACT}/MLmodel")
    assert behind.client.get_run(tested.run_id).data.metrics["wer/hosted v1"] == tested.wer["hosted v1"]
    assert {path.rpartition("/logged-models")[2] for path in asked} == {"/search"}, "what a search has shown is not asked again"


def test_a_registry_without_stages_says_what_to_do(speech: SpeechClient, text: Path, mlflow_server: MlflowServer) -> None:
    with proxy(mlflow_server.uri, without_stages) as host:
        mlflow = Mlflow(host.uri)
        workflow.train(speech, name="staged", data=[text], registered_model="staged", weight_percent=8, **mlflow.where)
        with pytest.raises(TrackingError, match="has no stages, so that staged 1 cannot be moved to Production") as caught:
            usecases.promote(speech, mlflow.client, "staged", "1")
        assert 'trigger = "alias"' in str(caught.value.hint)
        assert not [one for one in speech.endpoints.list() if one.display_name == "speech-mlflow/staged/default"]
        applied = usecases.promote(speech, mlflow.client, "staged", "1", Target(trigger="alias"))
        assert applied.result == "served"
        assert mlflow.client.get_model_version_by_alias("staged", "production").version == "1"
