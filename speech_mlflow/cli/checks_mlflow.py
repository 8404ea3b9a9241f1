"""What ``doctor`` looks at in MLflow: server and store, experiment, what promotion is triggered by, logged models, webhooks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.cli.checks import Finding, cannot_connect, cannot_open
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENCRYPTION_KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
READS = 8
"""Times that the webhooks are listed: of two workers with different keys, one reads what the other wrote every second time."""
NEW_CONNECTION = {"Connection": "close"}
"""A connection that is kept would ask the same worker each time."""
ANSWER_SECONDS = 8


def mlflow(settings: Settings) -> Iterable[Finding]:
    """The tracking server or store, then all that needs it."""
    uri = settings.tracking_uri
    remote = uri.startswith(("http://", "https://"))
    if remote and (reason := cannot_connect(uri)):
        yield Finding("mlflow", "fail", f"{uri} cannot be reached: {reason}", "start the server, or correct --tracking-uri")
        return
    if reason := cannot_open(uri):
        yield Finding(
            "mlflow", "fail", f"{uri} cannot be opened: {reason}", "give a store that you may write to with --tracking-uri"
        )
        return
    if uri.startswith("sqlite:///") and not Path(uri[len("sqlite:///") :]).exists():
        yield Finding("mlflow", "ok", f"{uri} will be made when it is first used; MLflow {_installed()}")
        return
    from mlflow.exceptions import MlflowException

    from speech_mlflow.connection import mlflow_client

    try:
        client = mlflow_client(settings)
        server = _server(client, uri, remote)
    except MlflowException as error:  # a store that is opened directly is read at once
        server = _unreadable(error, uri)
    yield server
    if server.state == "fail":
        return
    yield from _experiment(client, settings)
    yield from _trigger(client, settings)
    yield from _logged_models(client, settings)
    yield from (_webhooks_of_server(client, settings) if remote else _webhooks_of_store(client, settings))


def _server(client: MlflowClient, uri: str, remote: bool) -> Finding:
    """The version. Raises MlflowException where the store cannot be read."""
    client.search_experiments(max_results=1)
    if not remote:
        return Finding("mlflow", "ok", f"{uri}, opened directly with MLflow {_installed()}")
    answer = _get(client, "/version")
    version = answer.text.strip() if answer.status_code == 200 and len(answer.text) < 40 else None
    if version is None:
        return Finding("mlflow", "warn", f"{uri} answers, and does not say its version", "MLflow 3.17 or newer is tested")
    if version.split(".")[0] < "3":
        return Finding("mlflow", "fail", f"{uri} runs MLflow {version}", "upgrade the server to MLflow 3")
    return Finding("mlflow", "ok", f"{uri} runs MLflow {version}; the client is {_installed()}")


def _unreadable(error: Exception, uri: str) -> Finding:
    text = f"{uri}: {(str(error).splitlines() or [type(error).__name__])[0]}"
    if "schema" in text:
        return Finding("mlflow", "fail", text, f"back it up, then run `mlflow db upgrade {uri}`")
    fix = "see that it is an MLflow server, and that MLFLOW_TRACKING_USERNAME/PASSWORD or _TOKEN open it"
    return Finding("mlflow", "fail", text, fix)


def _experiment(client: MlflowClient, settings: Settings) -> Iterable[Finding]:
    from speech_mlflow.tracking.store import find_experiment

    found = find_experiment(client, settings)
    if found is None:
        yield Finding("experiment", "ok", f"{settings.experiment!r} will be made when it is first used")
    elif found.lifecycle_stage != "active":
        fix = f"run `mlflow experiments restore --experiment-id {found.experiment_id}`, or name another with --experiment"
        yield Finding("experiment", "fail", f"{found.name!r} was deleted", fix)
    else:
        yield Finding("experiment", "ok", f"{found.name!r}, artifacts in {found.artifact_location}")


def _trigger(client: MlflowClient, settings: Settings) -> Iterable[Finding]:
    """Stages are deprecated in MLflow 3 and do not exist in Unity Catalog; aliases are everywhere."""
    uri = settings.registry_uri or settings.tracking_uri
    if settings.trigger == "stage" and uri.startswith("databricks-uc"):
        fix = 'set trigger = "alias" in speech-mlflow.toml'
        yield Finding("registry", "fail", f"{uri} has no stages, and they are what promotes", fix)
        return
    client.search_registered_models(max_results=1)
    mark = {"stage": "stage Production", "alias": "the alias `production`", "tag": "the tag `speech.production`"}
    yield Finding("registry", "ok", f"readable; what promotes is {mark[settings.trigger]}")


def _logged_models(client: MlflowClient, settings: Settings) -> Iterable[Finding]:
    from mlflow.exceptions import MlflowException

    from speech_mlflow.tracking.store import find_experiment

    found = find_experiment(client, settings)
    try:
        client.search_logged_models([found.experiment_id if found else "0"], max_results=1)
    except (MlflowException, NotImplementedError) as error:
        text = (str(error).splitlines() or [""])[0]
        fix = "it works without: metrics are on runs only; MLflow 3 servers have them"
        yield Finding("logged models", "warn", f"not to be had: {text}", fix)
    else:
        yield Finding("logged models", "ok", "metrics are tied to models and data sets")


def _webhooks_of_server(client: MlflowClient, settings: Settings) -> Iterable[Finding]:
    """Each worker of a server without the variable encrypts with a key of its own and cannot read what another one wrote."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(READS) as pool:  # at once, so that no single worker answers all
        answers = list(pool.map(lambda _: _get(client, "/api/2.0/mlflow/webhooks"), range(READS)))
    broken = [answer for answer in answers if answer.status_code >= 500]
    if broken:
        fix = f"set {ENCRYPTION_KEY} to one Fernet key for all workers of the server, restart it, and make the webhooks again"
        text = f"{len(broken)} of {READS} lists of webhooks failed: the server's workers cannot read each other's secrets"
        yield Finding("webhooks", "fail", text, fix)
    elif answers[0].status_code != 200:
        text = f"cannot be listed ({answers[0].status_code})"
        yield Finding("webhooks", "ok", f"{text}: the registry is read every {settings.poll_seconds:g} s")
    else:
        count = len(answers[0].json().get("webhooks", []))
        note = "" if count else f"; before one with a secret is made, {ENCRYPTION_KEY} must be set on the server"
        yield Finding("webhooks", "ok", f"{count}, all readable{note}")


def _webhooks_of_store(client: MlflowClient, settings: Settings) -> Iterable[Finding]:
    from mlflow.exceptions import MlflowException

    polled = f"the registry is read every {settings.poll_seconds:g} s"
    fix = f"set {ENCRYPTION_KEY} to one Fernet key for all processes that open this store, and make the webhooks again"
    try:
        count = len(client.list_webhooks(max_results=100))
    except NotImplementedError:
        yield Finding("webhooks", "ok", f"this store has none: {polled}")
    except MlflowException as error:  # with no text of its own where a secret cannot be decrypted
        text = (str(error).splitlines() or ["a secret was encrypted with another key"])[0]
        yield Finding("webhooks", "fail", f"they cannot be read: {text}", fix)
    else:
        if count and not os.environ.get(ENCRYPTION_KEY):
            yield Finding("webhooks", "warn", f"{count}, and {ENCRYPTION_KEY} is not set here", fix)
        else:
            yield Finding("webhooks", "ok", f"{count}; {polled}")


def _get(client: MlflowClient, path: str) -> Any:
    """An answer of the server, whatever its status, asked for once with MLflow's own credentials."""
    from mlflow.utils.rest_utils import http_request

    creds = client._tracking_client.store.get_host_creds()
    return http_request(  # type: ignore[no-untyped-call]
        creds, path, "GET", max_retries=0, raise_on_status=False, timeout=ANSWER_SECONDS, extra_headers=NEW_CONNECTION
    )


def _installed() -> str:
    import importlib.metadata

    return importlib.metadata.version("mlflow")
