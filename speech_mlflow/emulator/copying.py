"""Copies of models between offline services: the source packs its model and sends it to the target that gave the
authorisation.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from speech_mlflow.corpus.archive import Archive
from speech_mlflow.emulator.filters import parse_date
from speech_mlflow.emulator.jobs import JobError, Outcome
from speech_mlflow.emulator.payloads import Create, Payload, Text, parse
from speech_mlflow.emulator.problems import invalid, not_found, refuse
from speech_mlflow.emulator.routing import OCTETS, Answer, Call, same_locale
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


class CopiedModel(Create):
    """What a copy knows of its original."""

    locale: Text
    customModelWeightPercent: int | None = None
    learnt: bool | None = None


class Description(Payload):
    """``copy.json`` of a package: whence the model comes, and what it is."""

    source: str
    engine: str
    base: str
    body: CopiedModel


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
    description = Description(
        source=core.resource_id, engine=base.engine, base=base.spec.key, body=CopiedModel.model_validate(model.body)
    )
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(DESCRIPTION, description.model_dump_json())
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
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            raise JobError("InternalCommunicationFailed", f"The target could not be reached: {error}") from None


def authorized(call: Call) -> Record:
    """The authorisation that a package is sent under. Raises Problem 404, or 400 when it has expired."""
    authorization = call.core.store.get("authorizations", call.id)
    if authorization is None:
        raise not_found("The copy authorization")
    expiry = parse_date(str(authorization.body["expiry"]))
    if expiry is None or call.core.now() >= expiry:
        raise invalid("ModelCopyAuthorizationExpired", "The copy authorization has expired.")
    return authorization


def receive(call: Call, package: Path) -> Answer:
    """PUT on the target: take a model under an authorisation given before. Each authorisation serves once."""
    core = call.core
    with core.blobs.workspace() as folder:
        try:
            description = _unpack(package, folder / "model")
        except (ArchiveError, KeyError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise invalid("InvalidModel", f"The model cannot be read: {error}") from None
        with core.store.transaction():
            authorization = authorized(call)
            if description.source.lower() != str(authorization.body["source"]).lower():
                message = "The model comes from another resource than the authorized one."
                raise refuse(403, "Forbidden", message, inner="Forbidden")
            record = _adopt(call, description, folder / "model")
            core.store.delete(authorization)
    return Answer(201, {"link": call.links.entity(record.path)})


def _adopt(call: Call, description: Description, directory: Path) -> Record:
    core = call.core
    base = next(
        (m for m in core.models.base_models() if (m.engine, m.spec.key) == (description.engine, description.base)), None
    )
    if base is None:
        raise invalid("InvalidBaseModel", "The base model of the copied model is not offered here.")
    same_locale(base.spec.locale, description.body.locale, "baseModel")
    record = core.create("models", {**description.body.model_dump(), "baseModel": base.path})
    place, files = install(core, record, directory)
    core.store.add_files(record, files, core.now())
    return core.store.update(record, {"directory": place}, status=SUCCEEDED, now=core.now())


def _unpack(package: Path, target: Path) -> Description:
    """Model files below ``target``; returns the description. The archive's names are checked before they are used as paths."""
    target.mkdir()
    with Archive(package, name="model.zip") as archive:
        description = parse(Description, archive.read(DESCRIPTION, limit=1024 * 1024))
        for entry in archive.entries:
            if not entry.name.startswith("model/"):
                continue
            path = target / entry.name.removeprefix("model/")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as stream, open(path, "wb") as file:
                shutil.copyfileobj(stream, file, 1024 * 1024)
    if not any(target.iterdir()):
        raise invalid("InvalidModel", "The model has no files.")
    return description
