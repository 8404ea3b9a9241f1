"""What requests carry: pydantic records that check a body and name all its faults at once."""

from __future__ import annotations

import re
import urllib.parse
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from speech_mlflow.emulator.filters import parse_date
from speech_mlflow.emulator.problems import invalid, invalid_payload, refuse

DatasetKind = Literal["Language", "Acoustic", "Pronunciation", "AudioFiles", "LanguageMarkdown", "OutputFormatting"]
MAX_CUSTOM_PROPERTIES = 10
MIN_TIME_TO_LIVE_HOURS, MAX_TIME_TO_LIVE_HOURS = 6, 744
MAX_CONTENT_URLS = 1000

Text = Annotated[str, Field(min_length=1)]
CustomProperties = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=256)]], Field(max_length=MAX_CUSTOM_PROPERTIES)
]


def _web_url(text: str) -> str:
    try:
        parts = urllib.parse.urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that are none
        fits = False
    if not fits or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("must be an absolute http or https URL")
    return text


def _date(text: str) -> str:
    if parse_date(text) is None:
        raise ValueError("must be a date-time such as 2025-10-15T08:00:00Z")
    return text


WebUrl = Annotated[str, AfterValidator(_web_url)]
Date = Annotated[str, AfterValidator(_date)]


class Payload(BaseModel):
    """Base of all bodies: types are strict, unknown properties are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Reference(Payload):
    """A link to another entity."""

    self_: Annotated[str, Field(alias="self")]


class Create(Payload):
    """What every entity may be created with."""

    displayName: Text
    description: str | None = None
    customProperties: CustomProperties | None = None


class Located(Create):
    """An entity with a locale and perhaps a project."""

    locale: Text
    project: Reference | None = None


class Update(Payload):
    """What a PATCH may change; null removes, absent keeps."""

    displayName: Text | None = None
    description: str | None = None
    customProperties: CustomProperties | None = None
    project: Reference | None = None


class ProjectCreate(Create):
    """POST /projects."""

    locale: Text
    foundryProjectName: str | None = None


class ProjectUpdate(Payload):
    """PATCH /projects/{id}."""

    displayName: Text | None = None
    description: str | None = None
    customProperties: CustomProperties | None = None
    foundryProjectName: str | None = None


class DatasetProperties(Payload):
    """Settable properties of a data set."""

    textNormalizationKind: Literal["Default", "None"] | None = None


class DatasetCreate(Located):
    """POST /datasets."""

    kind: DatasetKind
    contentUrl: WebUrl | None = None
    properties: DatasetProperties | None = None


class CommitEntry(Payload):
    """One entry of a block list."""

    kind: Literal["Committed", "Uncommitted", "Latest"]
    id: Text


class ModelProperties(Payload):
    """Settable properties of a custom model."""

    customModelWeightPercent: Annotated[int, Field(ge=1, le=100)] | None = None


class ModelCreate(Located):
    """POST /models."""

    baseModel: Reference | None = None
    datasets: list[Reference] | None = None
    properties: ModelProperties | None = None


class EvaluationCreate(Located):
    """POST /evaluations."""

    model1: Reference
    model2: Reference
    dataset: Reference


class EndpointProperties(Payload):
    """Settable properties of a new endpoint."""

    loggingEnabled: bool | None = None


class EndpointCreate(Located):
    """POST /endpoints."""

    model: Reference | None = None
    properties: EndpointProperties | None = None


class EndpointPropertiesUpdate(Payload):
    """Changeable properties of an endpoint."""

    contentLoggingEnabled: bool | None = None


class EndpointUpdate(Update):
    """PATCH /endpoints/{id}."""

    model: Reference | None = None
    properties: EndpointPropertiesUpdate | None = None


class LanguageIdentification(Payload):
    """Settings that the offline service refuses: it knows one locale per model."""

    candidateLocales: list[str]


class Diarization(Payload):
    """Settings of speaker separation, which the offline service refuses when enabled."""

    enabled: bool | None = None
    maxSpeakers: Annotated[int, Field(ge=2, le=35)] | None = None


class TranscriptionProperties(Payload):
    """Properties of a batch transcription."""

    timeToLiveHours: Annotated[int, Field(ge=MIN_TIME_TO_LIVE_HOURS, le=MAX_TIME_TO_LIVE_HOURS)]
    wordLevelTimestampsEnabled: bool | None = None
    displayFormWordLevelTimestampsEnabled: bool | None = None
    channels: list[int] | None = None
    punctuationMode: Literal["None", "Dictated", "Automatic", "DictatedAndAutomatic"] | None = None
    profanityFilterMode: Literal["None", "Removed", "Tags", "Masked"] | None = None
    destinationContainerUrl: WebUrl | None = None
    languageIdentification: LanguageIdentification | None = None
    diarization: Diarization | None = None


class TranscriptionCreate(Located):
    """POST /transcriptions:submit."""

    contentUrls: Annotated[list[WebUrl], Field(max_length=MAX_CONTENT_URLS)] | None = None
    contentContainerUrl: WebUrl | None = None
    dataset: Reference | None = None
    model: Reference | None = None
    properties: TranscriptionProperties


class CopyDefinition(Payload):
    """POST /models:authorizecopy."""

    sourceResourceId: Text


class CopyAuthorization(Payload):
    """POST /models/{id}:copy."""

    targetResourceRegion: Text
    targetResourceId: Text
    targetResourceEndpoint: WebUrl
    sourceResourceId: Text
    expirationDateTime: Date
    id: Text


class WebHookProperties(Payload):
    """Settable properties of a web hook."""

    secret: str | None = None


class WebHookCreate(Create):
    """POST /webhooks."""

    webUrl: WebUrl
    events: dict[str, Any]
    properties: WebHookProperties | None = None


class WebHookUpdate(Payload):
    """PATCH /webhooks/{id}."""

    displayName: Text | None = None
    description: str | None = None
    customProperties: CustomProperties | None = None
    webUrl: WebUrl | None = None
    events: dict[str, Any] | None = None
    properties: WebHookProperties | None = None


P = TypeVar("P", bound=Payload)
REQUIRED_WHEN_PRESENT = ("displayName", "webUrl", "events", "model")
"""Properties that a PATCH may not set to null."""


def parse(model: type[P], body: bytes) -> P:
    """Check a body. Raises Problem 400 with every fault and its JSON path."""
    if not body.strip():
        raise invalid("EmptyRequest", "The request has no body.")
    try:
        parsed = model.model_validate_json(body)
    except ValidationError as error:
        raise _problem(error) from None
    if issubclass(model, (Update, ProjectUpdate, WebHookUpdate)):
        nulls = [name for name in REQUIRED_WHEN_PRESENT if name in parsed.model_fields_set and getattr(parsed, name) is None]
        if nulls:
            raise invalid_payload([(f"$.{name}", "The supplied value is invalid.") for name in nulls])
    return parsed


_BLOCK_LIST: TypeAdapter[list[CommitEntry]] = TypeAdapter(list[CommitEntry])


def parse_block_list(body: bytes) -> list[CommitEntry]:
    """Check the body of a commit. Raises Problem 400."""
    if not body.strip():
        raise invalid("EmptyRequest", "The request has no body.")
    try:
        return _BLOCK_LIST.validate_json(body)
    except ValidationError as error:
        raise _problem(error) from None


def changes(update: Payload) -> dict[str, Any]:
    """The simple properties that a PATCH names, None where it removes one."""
    names = ("displayName", "description", "customProperties", "foundryProjectName", "webUrl")
    return {name: getattr(update, name) for name in names if name in update.model_fields_set}


def _problem(error: ValidationError) -> Exception:
    faults: list[tuple[str, str]] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        if item["type"] == "json_invalid":
            return refuse(400, "InvalidRequest", f"The body is not valid JSON. {item['msg']}", inner="InvalidRequestBodyFormat")
        path = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
        reason = "The value is required." if item["type"] == "missing" else f"The supplied value is invalid. {item['msg']}."
        faults.append((path, reason))
    return invalid_payload(faults)
