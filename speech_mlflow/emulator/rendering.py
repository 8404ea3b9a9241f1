"""Entities as the API shows them: links made from the request's own host, nothing that is null."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from speech_mlflow.emulator.recognition import BASE, BaseModel, created_time
from speech_mlflow.emulator.sas import sign_url
from speech_mlflow.emulator.store import FileRecord, Record

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

API_VERSION = "2025-10-15"
PREFIX = "/speechtotext"
REFERENCES = ("project", "baseModel", "model", "model1", "model2", "dataset", "transcription1", "transcription2")
SIMPLE = ("displayName", "description", "customProperties", "locale", "foundryProjectName", "kind", "webUrl", "events")


class Links:
    """Makes URLs of this service. ``origin`` is scheme and host as the client wrote them."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def entity(self, path: str, query: str = "") -> str:
        """URL of ``datasets/<id>`` and the like, with its api-version."""
        before = f"{query}&" if query else ""
        return f"{self.origin}{PREFIX}/{path}?{before}api-version={API_VERSION}"

    def web_socket(self, endpoint: str) -> str:
        """The address that the Speech SDK would use for an endpoint."""
        host = self.origin.partition("://")[2]
        scheme = "wss" if self.origin.startswith("https") else "ws"
        return f"{scheme}://{host}/stt/speech/universal/v2?cid={endpoint}"


def show_time(moment: datetime.datetime) -> str:
    """The API's form of a moment: UTC, whole seconds."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def render(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    """An entity as JSON."""
    body = record.body
    shown: dict[str, Any] = {"self": links.entity(record.path)}
    for name in SIMPLE:
        if name in body:
            shown[name] = body[name]
    for name in REFERENCES:
        if name in body:
            shown[name] = {"self": links.entity(body[name])}
    shown["createdDateTime"] = show_time(record.created)
    if record.status is not None:
        shown["lastActionDateTime"] = show_time(record.last_action)
        shown["status"] = record.status
    shown.update(_RENDERERS[record.kind](core, record, links))
    properties = shown.get("properties")
    if "error" in body and properties is not None:
        properties["error"] = body["error"]
    return shown


def _project(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    parts = ("evaluations", "datasets", "models", "endpoints", "transcriptions")
    return {"links": {part: links.entity(f"{record.path}/{part}") for part in parts}}


def _dataset(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    names = ("acceptedLineCount", "rejectedLineCount", "durationMilliseconds", "textNormalizationKind")
    where = {"files": links.entity(f"{record.path}/files")}
    if record.body.get("blocks"):
        where["commitBlocks"] = links.entity(f"{record.path}/blocks:commit")
        where["listBlocks"] = where["uploadBlocks"] = links.entity(f"{record.path}/blocks")
    shown: dict[str, Any] = {"links": where, "properties": {name: record.body[name] for name in names if name in record.body}}
    if "contentUrl" in record.body:
        shown["contentUrl"] = record.body["contentUrl"]
    return shown


def _features() -> dict[str, Any]:
    return {
        "supportsTranscriptionsSubmit": True,
        "supportsTranscriptionsTranscribe": False,
        "supportsEndpoints": True,
        "supportsTranscriptionsOnSpeechContainers": False,
        "supportedOutputFormats": ["Lexical", "Display"],
    }


def _model(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "deprecationDates": {"transcriptionDateTime": show_time(core.models.dates(record).transcription)},
        "features": _features(),
    }
    if "customModelWeightPercent" in record.body:
        properties["customModelWeightPercent"] = record.body["customModelWeightPercent"]
    return {
        "datasets": [{"self": links.entity(path)} for path in record.body.get("datasets", [])],
        "links": {
            "manifest": links.entity(f"{record.path}/manifest"),
            "copy": links.entity(f"{record.path}:copy"),
            "files": links.entity(f"{record.path}/files"),
        },
        "properties": properties,
    }


RESULT_NAMES = (
    "wordErrorRate",
    "sentenceErrorRate",
    "sentenceCount",
    "wordCount",
    "correctWordCount",
    "wordSubstitutionCount",
    "wordDeletionCount",
    "wordInsertionCount",
)
"""Result properties that read -1 until the evaluation has succeeded; those of tokens are absent until then."""


def _evaluation(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for side in ("1", "2"):
        results: Mapping[str, Any] = record.body.get(f"results{side}", {})
        for name in RESULT_NAMES:
            properties[name + side] = results.get(name, -1.0 if name.endswith("Rate") else -1)
        for name, value in results.items():
            properties[name + side] = value
    return {"links": {"files": links.entity(f"{record.path}/files")}, "properties": properties}


def _endpoint(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    properties = {"loggingEnabled": bool(record.body.get("loggingEnabled", False))}
    return {"links": {"webSocket": links.web_socket(record.id)}, "properties": properties}


def _transcription(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    properties = dict(record.body.get("settings", {}))
    properties["durationMilliseconds"] = record.body.get("durationMilliseconds", 0)
    return {"links": {"files": links.entity(f"{record.path}/files")}, "properties": properties}


def _webhook(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    return {
        "links": {"ping": links.entity(f"{record.path}:ping"), "test": links.entity(f"{record.path}:test")},
        "properties": {"apiVersion": API_VERSION},
    }


def _operation(core: Emulator, record: Record, links: Links) -> dict[str, Any]:
    path = f"operations/models/copy/{record.id}"
    shown: dict[str, Any] = {"id": record.id, "self": links.entity(path)}
    if "link" in record.body:
        shown["result"] = {"link": record.body["link"]}
    if "error" in record.body:
        shown["error"] = record.body["error"]
    return shown


_RENDERERS = {
    "projects": _project,
    "datasets": _dataset,
    "models": _model,
    "evaluations": _evaluation,
    "endpoints": _endpoint,
    "transcriptions": _transcription,
    "webhooks": _webhook,
    "operations": _operation,
}


def render_base(core: Emulator, model: BaseModel, links: Links) -> dict[str, Any]:
    """A base model as JSON."""
    created, dates = show_time(created_time(model)), core.models.dates(model)
    assert dates.adaptation is not None
    path = f"{BASE}/{model.id}"
    return {
        "self": links.entity(path),
        "displayName": model.spec.display_name,
        "description": model.spec.description,
        "locale": model.spec.locale,
        "createdDateTime": created,
        "lastActionDateTime": created,
        "status": "Succeeded",
        "links": {"manifest": links.entity(f"{path}/manifest")},
        "properties": {
            "deprecationDates": {
                "adaptationDateTime": show_time(dates.adaptation),
                "transcriptionDateTime": show_time(dates.transcription),
            },
            "features": {**_features(), "supportsAdaptationsWith": list(model.spec.adapts_with)},
            "chargeForAdaptation": False,
        },
    }


def render_file(core: Emulator, file: FileRecord, links: Links, minutes: int) -> dict[str, Any]:
    """A file as JSON, with a content URL that works for ``minutes``."""
    properties: dict[str, Any] = {"size": file.size}
    if file.milliseconds is not None:
        properties["durationMilliseconds"] = file.milliseconds
    return {
        "self": links.entity(f"{file.owner}/files/{file.id}"),
        "name": file.name,
        "kind": file.kind,
        "links": {"contentUrl": sign_url(core, links.origin, file.id, file.name, minutes)},
        "properties": properties,
        "createdDateTime": show_time(file.created),
    }
