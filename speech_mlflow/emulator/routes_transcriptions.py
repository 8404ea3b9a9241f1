"""Batch transcription with any model, of a data set or of recordings on the web."""

from __future__ import annotations

from typing import Any

from speech_mlflow.emulator.payloads import TranscriptionCreate, TranscriptionProperties, changes, parse
from speech_mlflow.emulator.problems import conflict, invalid
from speech_mlflow.emulator.routes_evaluations import usable_audio, usable_model
from speech_mlflow.emulator.routing import (
    JSON,
    MERGE_PATCH,
    Answer,
    Call,
    Route,
    created,
    get,
    get_file,
    known_locale,
    list_files,
    listing,
    must_be_done,
    patch,
    refer,
    refer_model,
    refer_project,
)


def locales(call: Call) -> Answer:
    """GET /transcriptions/locales. Fast transcription takes no custom model and is not offered, so it has no locale."""
    return Answer(200, {"Submit": call.core.models.locales(), "Transcribe": []})


def submit(call: Call) -> Answer:
    """POST /transcriptions:submit."""
    wanted = parse(TranscriptionCreate, call.body)
    core = call.core
    core.quotas.check_batch()
    sources = [wanted.contentUrls or None, wanted.contentContainerUrl, wanted.dataset]
    if sum(source is not None for source in sources) != 1:
        message = "Exactly one of contentUrls, contentContainerUrl and dataset must be given."
        raise invalid("OnlyOneOfUrlsOrContainerOrDataset", message)
    settings = _settings(wanted)
    locale = known_locale(call, wanted.locale)
    with core.store.transaction():
        model = refer_model(call, wanted.model, "model") if wanted.model else core.models.newest(locale)
        assert model is not None
        usable_model(call, model, "model", locale)
        dataset = refer(call, wanted.dataset, "datasets", "dataset") if wanted.dataset else None
        if dataset is not None:
            usable_audio(dataset, "dataset", locale)
        body = {
            **changes(wanted),
            "locale": locale,
            "model": model.path,
            "dataset": dataset.path if dataset else None,
            "urls": wanted.contentUrls,
            "settings": settings,
            "project": refer_project(call, wanted.project, locale),
        }
        record = core.create("transcriptions", body, action="transcribe")
    core.begin("transcribe", record)
    return created(call, record)


def _settings(wanted: TranscriptionCreate) -> dict[str, Any]:
    """The properties to keep; what is not emulated is refused by name. Raises Problem 400."""
    properties: TranscriptionProperties = wanted.properties
    refused = {
        "contentContainerUrl": wanted.contentContainerUrl is not None,
        "properties.destinationContainerUrl": properties.destinationContainerUrl is not None,
        "properties.languageIdentification": properties.languageIdentification is not None,
        "properties.diarization": properties.diarization is not None and bool(properties.diarization.enabled),
    }
    for name, present in refused.items():
        if present:
            raise invalid("InvalidParameter", f"The offline service does not support {name}.", f"$.{name}")
    if properties.channels is not None and properties.channels not in ([0], [0, 1]):
        raise invalid("InvalidChannels", "The offline service mixes all channels into channel 0.", "$.properties.channels")
    return properties.model_dump(exclude_none=True, exclude={"diarization"})


def delete(call: Call) -> Answer:
    """DELETE /transcriptions/{id}."""
    core = call.core
    with core.store.transaction():
        record = core.store.get("transcriptions", call.id)
        if record is None:
            return Answer(204)
        must_be_done(record)
        for evaluation in core.store.entities("evaluations"):
            if record.path in (evaluation.body["transcription1"], evaluation.body["transcription2"]):
                raise conflict("InUseViolation", f"The transcription is part of the evaluation {evaluation.id}.")
        core.delete(record)
    return Answer(204)


ROUTES = (
    Route("GET", "/transcriptions/locales", "Transcriptions_ListSupportedLocales", locales),
    Route("GET", "/transcriptions", "Transcriptions_List", listing("transcriptions")),
    Route("POST", "/transcriptions:submit", "Transcriptions_Submit", submit, (JSON,)),
    Route("GET", "/transcriptions/{id}/files", "Transcriptions_ListFiles", list_files("transcriptions")),
    Route("GET", "/transcriptions/{id}/files/{file}", "Transcriptions_GetFile", get_file("transcriptions")),
    Route("GET", "/transcriptions/{id}", "Transcriptions_Get", get("transcriptions")),
    Route("PATCH", "/transcriptions/{id}", "Transcriptions_Update", patch("transcriptions"), (JSON, MERGE_PATCH)),
    Route("DELETE", "/transcriptions/{id}", "Transcriptions_Delete", delete),
)
