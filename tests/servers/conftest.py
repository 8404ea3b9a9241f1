"""One MLflow of each kind: a database opened directly, a server on PostgreSQL with several workers, one that asks who is
there, and two that lack a part of the API (a proxy before the server on PostgreSQL answers as they do)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.promotion import usecases
from speech_mlflow.service import SpeechClient
from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow_server import MlflowServer, proxy, serve
from tests.fixtures.postgres import postgres
from tests.servers.places import KINDS, Place, Story
from tests.workflow.conftest import CLINIC, speech, testing

__all__ = ["postgres", "speech", "testing"]

WORKERS = 3
LINES = 40
ADMIN, USER, READER = "admin", "ada", "bob"
PASSWORD = "correct horse battery"
NOT_FOUND_PAGE = b"<!doctype html><title>404 Not Found</title>"


def login(user: str) -> dict[str, str]:
    """The variables by which MLflow's client says who it is."""
    return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": PASSWORD}


@pytest.fixture(scope="session")
def postgres_server(postgres: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """``mlflow server`` on PostgreSQL, with several workers, handing out artifacts."""
    with serve(postgres("mlflow"), tmp_path_factory.mktemp("on-postgres"), workers=WORKERS) as server:
        yield server


@pytest.fixture(scope="session")
def auth_server(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """``mlflow server --app-name basic-auth`` with an administrator, a user who may make things and one who may only look."""
    import requests

    folder = tmp_path_factory.mktemp("basic-auth")
    settings = folder / "auth.ini"
    settings.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = {ADMIN}\nadmin_password = {PASSWORD}\nauth_cache_ttl_seconds = 3600\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environ = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for a test"}
    with serve(mlflow_database, folder, "--app-name", "basic-auth", environment=environ) as server:
        for user in (USER, READER):
            person = {"username": user, "password": PASSWORD}
            url = f"{server.uri}/api/2.0/mlflow/users/create"
            requests.post(url, json=person, auth=(ADMIN, PASSWORD), timeout=60).raise_for_status()
        yield server


def without_logged_models(method: str, path: str) -> tuple[int, bytes] | None:
    """The answers of a server that has never heard of logged models."""
    return (404, NOT_FOUND_PAGE) if "/logged-models" in path or path.endswith("/runs/outputs") else None


def without_stages(method: str, path: str) -> tuple[int, bytes] | None:
    """The answers of a registry without stages."""
    gone = ("/model-versions/transition-stage", "/registered-models/get-latest-versions")
    return (404, NOT_FOUND_PAGE) if path.endswith(gone) else None


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Related text, none of it in the test set: a gate looks."""
    path = tmp_path_factory.mktemp("text") / "related-text.txt"
    lines = (CLINIC / "training" / "related-text.txt").read_text("utf-8-sig").splitlines()
    path.write_text("\n".join(lines[:LINES]) + "\n", "utf-8-sig")
    return path


@pytest.fixture(scope="module", params=KINDS)
def place(
    request: pytest.FixtureRequest, emulator: RunningEmulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """One MLflow after the other, with the process's environment as a user of it has it."""
    kind = request.param
    weight = 90 - KINDS.index(kind)  # no two places train the same: the service would have the model already
    with ExitStack() as stack:
        environ: dict[str, str] = {}
        if kind == "sqlite":
            database = tmp_path_factory.mktemp("sqlite") / "mlflow.db"
            shutil.copyfile(request.getfixturevalue("mlflow_database"), database)
            uri = f"sqlite:///{database}"
        elif kind == "basic-auth":
            uri = request.getfixturevalue("auth_server").uri
            environ = login(USER)
        else:
            uri = request.getfixturevalue("postgres_server").uri
            refuse = {"no-logged-models": without_logged_models, "no-stages": without_stages}.get(kind)
            if refuse is not None:
                uri = stack.enter_context(proxy(uri, refuse)).uri
        environ |= {"SPEECH_MLFLOW_TRACKING_URI": uri, "MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri}
        environ["SPEECH_MLFLOW_STATE_DIR"] = str(emulator.state_dir)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environ.items():
            patch.setenv(name, value)
        yield Place(kind, uri, weight, environ)


@pytest.fixture(scope="module")
def story(place: Place, speech: SpeechClient, text: Path, testing: Corpus) -> Story:
    """Train, test, promote, once in each place."""
    trained = workflow.train(
        speech, name="first", data=[text], registered_model=place.name, weight_percent=place.weight, **place.where
    )
    tested = workflow.test(speech, data=testing, models=["base", trained.model], **place.where)
    promoted = usecases.promote(speech, place.mlflow.client, place.name, "1", place.target)
    return Story(place, trained, tested, promoted)
