"""Copies of models between offline services: the source packs its model and sends it to the target that gave the
authorisation.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.corpus.archive import Archive
from speech_mlflow.emulator.filters import parse_date
from speech_mlflow.emulator.jobs import JobError, Outcome
from speech_mlflow.emulator.problems import invalid, not_found, refuse
from speech_mlflow.emulator.recognition import BASE
from speech_mlflow.emulator.routing import OCTETS, Answer, Call
from speech_mlflow.emulator.store import SUCCEEDED, Record
from speech_mlflow.emulator.training import MODEL_FILE, install
from speech_mlflow.errors import ArchiveError

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

RECEIVE = "/copies"
"""Where a target takes a model. It is not part of the public API; its permission is the id of the authorisation."""
DESCRIPTION = "copy.json"
MAX_COPY_BYTES = 1024 * 1024 * 1024
SEND_SECONDS = 600


def run_copy(core: Emulator, record: Record) -> Outcome:
    """The job of a copy operation on the source."""
    model = core.store.get("models", str(record.body["source"]).rpartition("/")[2])
    if model is None or "directory" not in model.body:
        raise JobError("InvalidModel", "The model is not there any more.")
    with core.blobs.workspace() as folder:
        package = folder / "model.zip"
        _pack(core, model, package)
        url = f"{str(record.body['target']).rstrip('/')}{RECEIVE}/{record.body['authorization']}"
        return Outcome({"link": _send(url, package)})


def _pack(core: Emulator, model: Record, package: Path) -> None:
    base = core.models.base(str(model.body["baseModel"]).rpartition("/")[2])
    if base is None:
        raise JobError("InvalidBaseModel", "The base model is not offered any more.")
    names = ("displayName", "description", "locale", "customProperties", "customModelWeightPercent", "learnt")
    description = {
        "source": core.resource_id,
        "engine": base.engine,
        "base": base.spec.key,
        "body": {name: model.body[name] for name in names if name in model.body},
    }
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(DESCRIPTION, json.dumps(description))
        for file in core.store.files(model):
            if file.kind == MODEL_FILE:
                archive.write(core.blobs.path(file.blob), f"model/{file.name}")


def _send(url: str, package: Path) -> str:
    with open(package, "rb") as file:
        headers = {"Content-Type": OCTETS, "Content-Length": str(package.stat().st_size)}
        request = urllib.request.Request(url, data=file, headers=headers, method="PUT")  # noqa: S310 - payloads admit http(s) only
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with contextlib.closing(opener.open(request, timeout=SEND_SECONDS)) as answer:
                return str(json.loads(answer.read())["link"])
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                raise JobError(
                    "Forbidden", f"The target refused the model: {error.code} {error.read(2000).decode(errors='replace')}"
                ) from None
        except (OSError, ValueError, KeyError) as error:
            raise JobError("InternalCommunicationFailed", f"The target could not be reached: {error}") from None


def receive(call: Call, package: Path) -> Answer:
    """PUT on the target: take a model under an authorisation given before. Each authorisation serves once."""
    core = call.core
    authorization = core.store.get("authorizations", call.id)
    if authorization is None:
        raise not_found("The copy authorization")
    expiry = parse_date(str(authorization.body["expiry"]))
    if expiry is None or core.now() >= expiry:
        raise invalid("ModelCopyAuthorizationExpired", "The copy authorization has expired.")
    with core.blobs.workspace() as folder:
        try:
            description = _unpack(package, folder / "model")
        except (ArchiveError, ValueError, KeyError) as error:
            raise invalid("InvalidModel", f"The model cannot be read: {error}") from None
        if str(description["source"]).lower() != str(authorization.body["source"]).lower():
            raise refuse(403, "Forbidden", "The model comes from another resource than the authorized one.", inner="Forbidden")
        return _adopt(call, authorization, description, folder / "model")


def _adopt(call: Call, authorization: Record, description: dict[str, Any], directory: Path) -> Answer:
    core = call.core
    base = next(
        (m for m in core.models.base_models() if (m.engine, m.spec.key) == (description["engine"], description["base"])), None
    )
    if base is None:
        raise invalid("InvalidBaseModel", "The base model of the copied model is not offered here.")
    body = {**description["body"], "baseModel": f"{BASE}/{base.id}"}
    with core.store.transaction():
        record = core.create("models", body)
        place, files = install(core, record, directory)
        core.store.add_files(record, files, core.now())
        core.store.update(record, {"directory": place}, status=SUCCEEDED, now=core.now())
        core.store.delete(authorization)
    return Answer(201, {"link": call.links.entity(record.path)})


def _unpack(package: Path, target: Path) -> dict[str, Any]:
    """Model files below ``target``; returns the description. The archive's names are checked before they are used as paths."""
    with Archive(package, name="model.zip") as archive:
        description = json.loads(archive.read(DESCRIPTION, limit=1024 * 1024))
        for entry in archive.entries:
            if not entry.name.startswith("model/"):
                continue
            path = target / entry.name.removeprefix("model/")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as stream, open(path, "wb") as file:
                shutil.copyfileobj(stream, file, 1024 * 1024)
    if not isinstance(description, dict) or not isinstance(description.get("body"), dict):
        raise ValueError("it has no description")
    return description
