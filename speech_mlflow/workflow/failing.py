"""What becomes of a run when the work stops: failed where it cannot go on, left open where it can."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from speech_mlflow.errors import ApiError, DataError, OperationFailedError, SettingsError, SpeechMlflowError
from speech_mlflow.tracking import models, runs, tags
from speech_mlflow.tracking.runs import Begun
from speech_mlflow.tracking.store import Store

log = logging.getLogger(__name__)


@dataclass
class Failing:
    """Which run, and which logged model, fail with the work."""

    run_id: str
    logged_model_id: str | None = None


@contextmanager
def recorded(store: Store, begun: Begun) -> Iterator[Failing]:
    """Mark the run as failed where what happened is final. Everything else (no network, a time-out, an interrupt) leaves it
    open: the same call goes on with it."""
    failing = Failing(begun.id)
    try:
        yield failing
    except SpeechMlflowError as error:
        if is_final(error):
            record_failure(store, failing, error)
        raise


def is_final(error: SpeechMlflowError) -> bool:
    """Whether trying again without a change would end the same way."""
    if isinstance(error, ApiError):
        return not error.retryable and error.status not in {401, 403}
    return isinstance(error, (OperationFailedError, DataError, SettingsError))


def record_failure(store: Store, failing: Failing, error: SpeechMlflowError) -> None:
    """Close the run as failed with the reason; trouble in doing so does not hide the reason."""
    try:
        runs.log(store, failing.run_id, run_tags={tags.ERROR: str(error)})
        models.finish(store, failing.logged_model_id, ready=False)
        runs.finish(store, failing.run_id, "FAILED")
    except Exception as trouble:  # MLflow is asked while something else is already wrong
        log.warning("run %s could not be marked as failed: %s", failing.run_id, trouble)
