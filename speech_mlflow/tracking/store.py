"""The MLflow in use: one client, one experiment, and what this server can do.

Everything goes through an explicit client. The process's active run, tracking URI and environment are read where nothing was
given, and never written.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode

from speech_mlflow.errors import TrackingError
from speech_mlflow.settings import Settings
from speech_mlflow.tracking import values

T = TypeVar("T")
ARTIFACTS = "mlartifacts"
KIND_OF_EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's pages list training runs from the start; without it they guess what an experiment is for."""
PAGE = 1000
"""Runs or experiments in one answer."""
WRITES = 6
_COLLISIONS = ("UniqueViolation", "UNIQUE constraint failed", "Duplicate entry", "UNIQUE KEY constraint", "DeadlockDetected")
"""What PostgreSQL, SQLite, MySQL and SQL Server say of a row that somebody else has just written."""
_ALREADY = ErrorCode.Name(RESOURCE_ALREADY_EXISTS)
_MISSING = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


@dataclass
class Store:
    """An MLflow tracking server (or database) with its registry, and the experiment in which runs are made.

    ``logged_models`` is None until the server was first asked for one, then whether it has the logged-models API.
    """

    client: MlflowClient
    experiment_id: str
    logged_models: bool | None = field(default=None, repr=False)

    @property
    def tracking_uri(self) -> str:
        """Where runs are kept."""
        return str(self.client.tracking_uri)


def open_client(tracking_uri: str | None = None, registry_uri: str | None = None) -> MlflowClient:
    """A client of the store named, else of the one in the settings, else of the one that MLflow itself would use."""
    if tracking_uri is None:
        settings = Settings.load()
        if settings.origin("tracking_uri") != "default":
            tracking_uri, registry_uri = settings.tracking_uri, registry_uri or settings.registry_uri
        else:
            tracking_uri = mlflow.get_tracking_uri()
            registry_uri = registry_uri or settings.registry_uri or mlflow.get_registry_uri()
    return MlflowClient(tracking_uri=_absolute(tracking_uri), registry_uri=_absolute(registry_uri or tracking_uri))


def open_store(
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    *,
    artifact_location: str | None = None,
) -> Store:
    """Open the store and its experiment, which is made where it does not exist.

    ``artifact_location`` is where a new experiment puts its artifacts; by default the folder ``mlartifacts`` beside a
    SQLite database, and the server's own choice everywhere else. Raises TrackingError where the experiment was deleted.
    """
    client = open_client(tracking_uri, registry_uri)
    return Store(client, ensure_experiment(client, experiment, artifact_location=artifact_location))


def ensure_experiment(client: MlflowClient, name: str | None = None, *, artifact_location: str | None = None) -> str:
    """The id of the experiment named, else of MLFLOW_EXPERIMENT_ID's, else of the one in the settings."""
    if name is None:
        settings = Settings.load()
        name, artifact_location = settings.experiment, artifact_location or settings.artifact_location
        found = find_experiment(client, settings)
    else:
        found = client.get_experiment_by_name(name)
    if found is None:
        try:
            where = artifact_location or _beside(client.tracking_uri, name)
            return str(client.create_experiment(name, where, tags=KIND_OF_EXPERIMENT))
        except MlflowException as error:
            if error.error_code != _ALREADY:
                raise
            found = client.get_experiment_by_name(name)  # somebody was faster
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"the MLflow experiment {found.name if found else name!r} was deleted",
            hint="restore it (`mlflow experiments restore`) or name another with --experiment; "
            f"server: {public(client.tracking_uri)}",
        )
    return str(found.experiment_id)


def find_experiment(client: MlflowClient, settings: Settings) -> Experiment | None:
    """The experiment of the settings, else of MLFLOW_EXPERIMENT_ID, else "speech"; None where it was not made yet."""
    told = None if "experiment" in settings.model_fields_set else os.environ.get("MLFLOW_EXPERIMENT_ID")
    return client.get_experiment(told) if told else client.get_experiment_by_name(settings.experiment)


def write(action: Callable[[], T]) -> T:
    """Do a write to MLflow that may be done twice, and do it again where another process wrote the same at the same moment.

    MLflow looks at what is there and inserts the rest; of two that do so at once, the database refuses one.
    """
    for attempt in range(WRITES):
        try:
            return action()
        except MlflowException as error:
            if attempt == WRITES - 1 or not any(words in str(error) for words in _COLLISIONS):
                raise
            time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - spreads writers, guards nothing
    raise AssertionError


def search_all(client: MlflowClient, experiment_ids: Sequence[str], wanted: str, *, page_size: int = PAGE) -> list[Run]:
    """All runs that a filter finds, oldest first, whatever the number; [] where there is no experiment to look in."""
    found: list[Run] = []
    token: str | None = None
    while experiment_ids:
        page = client.search_runs(list(experiment_ids), wanted, max_results=page_size, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def all_experiments(client: MlflowClient) -> list[str]:
    """Ids of all active experiments that this user may see."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=PAGE, page_token=token)
        found += [str(one.experiment_id) for one in page]
        token = page.token
        if not token:
            return found


def quoted(value: str) -> str:
    """A text as a filter of MLflow's takes it. Raises TrackingError for one with both kinds of quotation marks."""
    found = values.literal(value)
    if found is None:
        raise TrackingError(f"a name with both kinds of quotation marks cannot be looked up in MLflow: {value!r}")
    return found


def is_missing(error: MlflowException) -> bool:
    """Whether MLflow said that a thing does not exist."""
    return bool(error.error_code == _MISSING)


def already_exists(error: MlflowException) -> bool:
    """Whether MLflow said that a thing of this name exists."""
    return bool(error.error_code == _ALREADY)


def public(uri: str) -> str:
    """A URI without the user name and password in it, for messages."""
    scheme, separator, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else uri


def _absolute(uri: str) -> str:
    """A SQLite URI with an absolute path: MLflow would look for a relative one from wherever the process stands later."""
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{Path(uri[len('sqlite:///') :]).absolute()}"
    return uri


def _beside(tracking_uri: str, experiment: str) -> str | None:
    """The folder of artifacts beside a SQLite database. MLflow's own default depends on the working directory."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    folder = Path(unquote(tracking_uri[len("sqlite:///") :])).parent / ARTIFACTS  # MLflow writes its own default with %20
    return (folder / experiment.replace("/", "_")).as_uri()
