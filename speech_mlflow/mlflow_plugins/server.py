"""``mlflow server --app-name speech-mlflow``: MLflow's own server, with two ears and a hand.

It wakes the controller at once when a stage, an alias or the tag ``speech.production`` changes (``receiver_url`` and
``receiver_secret`` in the settings), and it refuses a move to Production that the recorded evidence speaks against (``guard``, on by
default). The settings are read where the server runs: ``SPEECH_MLFLOW_*`` and the ``speech-mlflow.toml`` of its working directory,
whose targets say which gates there are. ``speech-mlflow-basic-auth`` does the same on MLflow's basic authentication.

The stages and aliases are still served by Flask in MLflow 3.17, below its FastAPI application: so its hooks see every such
request, of the API and of the pages, under uvicorn, gunicorn and waitress. Whatever fails in here is logged, and MLflow answers
as if we were not there: the controller asks the gates anyway before anything is deployed.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask, Response
    from mlflow import MlflowClient

    from speech_mlflow.promotion.guard import Move
    from speech_mlflow.promotion.wake import Waker

STAGE = "/mlflow/model-versions/transition-stage"
ALIAS = "/mlflow/registered-models/alias"
SET_TAG, DELETE_TAG = "/mlflow/registered-models/set-tag", "/mlflow/registered-models/delete-tag"
ACTIONS = {STAGE: "stage_changed", ALIAS: "alias_changed", SET_TAG: "tag_changed", DELETE_TAG: "tag_changed"}
"""What wakes the controller; of tags the one alone that may say what is to be served."""
GUARD_SECONDS = 10.0
"""How long a request waits for what the gates say; then it passes."""
GUARDS_AT_ONCE = 4

log = logging.getLogger("speech_mlflow.server")
_room = threading.BoundedSemaphore(GUARDS_AT_ONCE)


def create_app() -> Any:
    """MLflow's application with our hooks: what the entry point ``speech-mlflow`` names."""
    from mlflow.server import app

    _hook_in(app)
    if os.environ.get("_MLFLOW_SGI_NAME") != "uvicorn":  # gunicorn and waitress serve the Flask application alone
        return app
    from mlflow.server.fastapi_app import create_fastapi_app

    return create_fastapi_app(app)


def create_app_with_auth() -> Any:
    """The same on MLflow's basic authentication: what the entry point ``speech-mlflow-basic-auth`` names."""
    from mlflow.server import app
    from mlflow.server.auth import create_app as create_protected

    protected = create_protected(app)
    _hook_in(app)  # after MLflow's own: who may not do it is told so first, and learns nothing else
    return protected


def _hook_in(app: Flask) -> None:
    try:
        app.before_request(_guard)
        app.after_request(_observer(_waker()))
    except Exception:
        log.exception("speech-mlflow is not at work in this server")


# --- the hand: a refusal -----------------------------------------------------------------------------------------------------


def _guard() -> Response | None:
    """Refuse a move to Production, or say nothing."""
    try:
        move = _move()
        reason = _in_time(lambda: _judge(move)) if move is not None else None
    except Exception:
        log.exception("the guard failed and lets the move pass; the controller asks the gates before it deploys")
        return None
    return None if reason is None else _refused(reason)


def _move() -> Move | None:
    """The move to Production that the request at hand asks for."""
    from flask import request

    from speech_mlflow.promotion.guard import Move

    if request.method != "POST":
        return None
    for path, move_of in ((STAGE, Move.of_stage), (ALIAS, Move.of_alias), (SET_TAG, Move.of_tag)):
        if request.path.endswith(path):
            return move_of(_asked())
    return None


def _judge(move: Move) -> str | None:
    from speech_mlflow.promotion.guard import refusal
    from speech_mlflow.promotion.usecases import target_of
    from speech_mlflow.settings import Settings

    settings = Settings.load()  # anew each time: moves are rare, and an edited file counts at once
    return refusal(_client(), move, target_of(settings, move.name)) if settings.guard else None


def _in_time(ask: Callable[[], str | None]) -> str | None:
    """What ``ask`` returns, in a thread of its own so that a gate that hangs holds no request up. Raises what it raises,
    and TimeoutError."""
    if not _room.acquire(blocking=False):
        raise TimeoutError("too many gates hang")
    said: list[str | None] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            said.append(ask())
        except BaseException as error:
            failed.append(error)
        finally:
            _room.release()

    context = contextvars.copy_context()  # MLflow keeps the workspace of a request there
    thread = threading.Thread(target=context.run, args=(run,), name="speech-mlflow guard", daemon=True)
    thread.start()
    thread.join(GUARD_SECONDS)
    if failed:
        raise RuntimeError("a gate failed") from failed[0]
    if not said:
        raise TimeoutError(f"the gates said nothing within {GUARD_SECONDS:.0f} s")
    return said[0]


def _refused(reason: str) -> Response:
    """MLflow's own kind of error, so that its client raises it and its pages show it."""
    from flask import Response
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    log.warning("%s", reason)
    error: Any = MlflowException(reason, error_code=BAD_REQUEST)
    return Response(error.serialize_as_json(), status=error.get_http_status_code(), mimetype="application/json")


def _client() -> MlflowClient:
    """MLflow as this server has it: its databases, without a detour over HTTP."""
    from mlflow.server.constants import BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    from speech_mlflow.mlflow_plugins.inside import ServersOwnClient

    store = os.environ[BACKEND_STORE_URI_ENV_VAR]
    return ServersOwnClient(store, os.environ.get(REGISTRY_STORE_URI_ENV_VAR) or store)


# --- the ears: a wake ---------------------------------------------------------------------------------------------------------


def _waker() -> Waker | None:
    """What wakes the controller; None where the settings name no receiver (or cannot be read, which is logged)."""
    from speech_mlflow.promotion.wake import Waker
    from speech_mlflow.settings import Settings

    try:
        settings = Settings.load()
        if settings.receiver_url is None or settings.receiver_secret is None:
            return None
        return Waker(settings.receiver_url, settings.receiver_secret)
    except Exception as error:
        log.warning("the controller will not be woken: %s", error)
        return None


def _observer(waker: Waker | None) -> Callable[[Response], Response]:
    def observe(response: Response) -> Response:
        try:
            if waker is not None and response.status_code == 200:
                _tell(waker)
        except Exception:
            log.exception("the controller is not woken")
        return response

    return observe


def _tell(waker: Waker) -> None:
    from flask import request

    from speech_mlflow.tracking import tags

    if request.method not in {"POST", "DELETE"}:
        return
    action = next((said for path, said in ACTIONS.items() if request.path.endswith(path)), None)
    asked = {**request.args.to_dict(), **_asked()} if action else {}
    if action == "tag_changed" and asked.get("key") != tags.PRODUCTION:
        return
    name = asked.get("name")
    if action is not None and isinstance(name, str):
        waker.wake(name, action)


def _asked() -> Mapping[str, object]:
    """The request's JSON as MLflow reads it: old clients send it as a string within JSON."""
    from flask import request

    document = request.get_json(force=True, silent=True)
    if isinstance(document, str):
        document = json.loads(document)
    return document if isinstance(document, dict) else {}
