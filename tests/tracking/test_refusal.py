"""What a server refuses, in words; what is found whatever its number; what is written though another process writes it, too."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from speech_mlflow.errors import TrackingError
from speech_mlflow.tracking import registry, store
from speech_mlflow.tracking.refusal import explained, no_such_api, refusal
from tests.fixtures.mlflow import MlflowStore

FORBIDDEN = "API request to endpoint /api/2.0/mlflow/{} failed with error code 403 != 200. Response body: 'Permission denied'"


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("runs/create", "EDIT on the experiment"),
        ("logged-models", "EDIT on the experiment"),
        ("experiments/create", "make experiments"),
        ("registered-models/create", "make registered models"),
        ("model-versions/transition-stage", "EDIT on the registered model"),
    ],
)
def test_a_missing_permission_is_named(path: str, needed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")

    error = MlflowException(FORBIDDEN.format(path), error_code=PERMISSION_DENIED)
    said = refusal(error)
    assert said is not None
    assert f"does not let the user 'bob' do this ({path})" in str(said)
    assert needed in str(said.hint)


def test_a_server_s_own_reason_is_kept() -> None:
    error = RestException({"error_code": "PERMISSION_DENIED", "message": "only on weekdays"})

    @explained
    def work() -> None:
        raise error

    with pytest.raises(TrackingError, match="only on weekdays") as caught:
        work()
    assert caught.value.__cause__ is error


def test_other_errors_pass_as_they_are(mlflow_store: MlflowStore) -> None:
    with pytest.raises(MlflowException, match="not found"):
        explained(mlflow_store.client.get_run)("f" * 32)


def test_a_missing_thing_is_no_missing_api(mlflow_store: MlflowStore) -> None:
    with pytest.raises(MlflowException) as caught:
        mlflow_store.client.get_logged_model("m-" + "f" * 32)
    assert not no_such_api(caught.value)
    assert no_such_api(RestException({"error": {"code": "UserError"}, "statusCode": 404}))


def test_a_move_within_a_registry_that_lacks_the_version_is_not_about_stages(mlflow_store: MlflowStore) -> None:
    mlflow_store.client.create_registered_model("clinic")
    with pytest.raises(MlflowException, match="not found"):
        registry.set_stage(mlflow_store.client, "clinic", "7", "Production")


def test_all_runs_are_found_page_by_page(mlflow_store: MlflowStore) -> None:
    client = mlflow_store.client
    made = [client.create_run("0", start_time=number, tags={"n": "1"}).info.run_id for number in range(1, 6)]
    found = store.search_all(client, ["0"], "tags.n = '1'", page_size=2)
    assert [run.info.run_id for run in found] == made
    assert store.search_all(client, [], "tags.n = '1'") == []


def test_a_write_that_met_another_is_done_again() -> None:
    said = iter(["(psycopg2.errors.UniqueViolation) duplicate key", "UNIQUE constraint failed: inputs.source_id", ""])

    def write() -> str:
        if reason := next(said):
            raise MlflowException(reason)
        return "written"

    assert store.write(write) == "written"
    with pytest.raises(MlflowException, match="no space left"):
        store.write(lambda: (_ for _ in ()).throw(MlflowException("no space left")))


def test_a_password_in_an_address_is_not_shown() -> None:
    assert store.public("https://ada:secret@mlflow.example/path@1") == "https://mlflow.example/path@1"
    assert store.public("postgresql+psycopg2://ada:secret@db:5432/mlflow") == "postgresql+psycopg2://db:5432/mlflow"
    assert store.public("sqlite:////home/me/mlflow.db") == "sqlite:////home/me/mlflow.db"
