from __future__ import annotations

import pytest

from speech_mlflow.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    CorpusError,
    OperationFailedError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SettingsError,
    SpeechMlflowError,
    TransportError,
    WaitTimeoutError,
)
from speech_mlflow.tracking import models, runs, tags
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import open_store
from speech_mlflow.workflow.failing import is_final, recorded
from tests.fixtures.mlflow import MlflowStore


def api(kind: type[ApiError], status: int) -> ApiError:
    return kind("no", status=status)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (OperationFailedError("the training failed"), True),
        (CorpusError("bad line"), True),
        (SettingsError("no such base model"), True),
        (api(BadRequestError, 400), True),
        (api(AuthenticationError, 401), False),
        (api(PermissionDeniedError, 403), False),
        (api(RateLimitError, 429), False),
        (api(ServerError, 503), False),
        (TransportError("reset"), False),
        (WaitTimeoutError("still at work"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_run_is_closed_only_where_trying_again_is_of_no_use(
    error: SpeechMlflowError, final: bool, mlflow_store: MlflowStore
) -> None:
    assert is_final(error) is final
    store = open_store(mlflow_store.uri, experiment="speech")
    begun = runs.begin(store, Work(tags.KIND_TRAIN, "k", "clinic"))

    def work() -> None:
        with recorded(store, begun) as failing:
            failing.logged_model_id = models.begin_custom(store, run_id=begun.id, name="clinic", model_tags={}, params={})
            raise error

    with pytest.raises(type(error)):
        work()
    run = store.client.get_run(begun.id)
    (logged,) = store.client.search_logged_models([store.experiment_id])
    assert (run.info.status, logged.status.value) == (("FAILED", "FAILED") if final else ("RUNNING", "PENDING"))
    assert (tags.ERROR in run.data.tags) is final


def test_an_interrupt_leaves_the_run_open(mlflow_store: MlflowStore) -> None:
    store = open_store(mlflow_store.uri, experiment="speech")
    begun = runs.begin(store, Work(tags.KIND_TRAIN, "k", "clinic"))
    with pytest.raises(KeyboardInterrupt), recorded(store, begun):
        raise KeyboardInterrupt
    assert store.client.get_run(begun.id).info.status == "RUNNING"


def test_trouble_with_mlflow_does_not_hide_the_reason(mlflow_store: MlflowStore, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(mlflow_store.uri, experiment="speech")
    begun = runs.begin(store, Work(tags.KIND_TRAIN, "k", "clinic"))
    store.client.delete_run(begun.id)
    with pytest.raises(OperationFailedError, match="the training failed"), recorded(store, begun):
        raise OperationFailedError("the training failed")
    assert "could not be marked as failed" in caplog.text
