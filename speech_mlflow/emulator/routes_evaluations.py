"""Evaluations: two models transcribe one data set and are scored against its transcripts."""

from __future__ import annotations

from speech_mlflow.emulator.payloads import EvaluationCreate, changes, parse
from speech_mlflow.emulator.problems import invalid
from speech_mlflow.emulator.recognition import BaseModel
from speech_mlflow.emulator.rendering import show_time
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
    locales,
    model_locale,
    must_be_done,
    must_succeed,
    patch,
    refer,
    refer_model,
    refer_project,
    same_locale,
)
from speech_mlflow.emulator.store import Record

EVALUATION_TRANSCRIPTION_HOURS = 744
"""``timeToLiveHours`` that is shown for the transcriptions of an evaluation; they live as long as it does (choice)."""


def usable_model(call: Call, model: Record | BaseModel, where: str, locale: str) -> None:
    """A model that is to transcribe must have succeeded, speak the locale, and not be expired. Raises Problem 400."""
    if isinstance(model, Record):
        must_succeed(model, "InvalidModel", f"$.{where}")
    same_locale(model_locale(model), locale, where)
    until = call.core.models.dates(model).transcription
    if call.core.now() >= until:
        message = f"The specified model is deprecated: transcription ended on {show_time(until)}."
        raise invalid("ModelDeprecated", message, f"$.{where}")


def usable_audio(dataset: Record, where: str, locale: str) -> None:
    """A data set that is to be transcribed must hold audio. Raises Problem 400."""
    if dataset.status == "Failed":
        raise invalid("FailedDataset", f"The dataset {dataset.id} has failed.", f"$.{where}")
    must_succeed(dataset, "InvalidDataset", f"$.{where}")
    same_locale(str(dataset.body["locale"]), locale, where)
    if dataset.body["kind"] not in ("Acoustic", "AudioFiles"):
        raise invalid("InvalidDataset", f"A dataset of kind {dataset.body['kind']} holds no audio.", f"$.{where}")


def create(call: Call) -> Answer:
    """POST /evaluations."""
    wanted = parse(EvaluationCreate, call.body)
    core = call.core
    locale = known_locale(call, wanted.locale)
    with core.store.transaction():
        models = [refer_model(call, ref, name) for name, ref in (("model1", wanted.model1), ("model2", wanted.model2))]
        for name, model in zip(("model1", "model2"), models, strict=True):
            usable_model(call, model, name, locale)
        dataset = refer(call, wanted.dataset, "datasets", "dataset")
        usable_audio(dataset, "dataset", locale)
        project = refer_project(call, wanted.project, locale)
        shared = {"locale": locale, "project": project, "dataset": dataset.path}
        transcriptions = [
            core.create("transcriptions", {**shared, **_transcription(wanted.displayName, side, model)})
            for side, model in zip("12", models, strict=True)
        ]
        body = {**changes(wanted), **shared, "model1": models[0].path, "model2": models[1].path}
        body |= {f"transcription{side}": record.path for side, record in zip("12", transcriptions, strict=True)}
        record = core.create("evaluations", body, action="evaluate")
    core.begin("evaluate", record)
    return created(call, record)


def _transcription(name: str, side: str, model: Record | BaseModel) -> dict[str, object]:
    settings = {"timeToLiveHours": EVALUATION_TRANSCRIPTION_HOURS, "wordLevelTimestampsEnabled": True}
    return {"displayName": f"{name} ({side})", "model": model.path, "settings": settings, "internal": True}


def delete(call: Call) -> Answer:
    """DELETE /evaluations/{id}, and its two transcriptions."""
    core = call.core
    with core.store.transaction():
        record = core.store.get("evaluations", call.id)
        if record is None:
            return Answer(204)
        must_be_done(record)
        for transcription in core.transcriptions(record):
            core.delete(transcription)
        core.delete(record)
    return Answer(204)


ROUTES = (
    Route("GET", "/evaluations/locales", "Evaluations_ListSupportedLocales", locales),
    Route("GET", "/evaluations", "Evaluations_List", listing("evaluations")),
    Route("POST", "/evaluations", "Evaluations_Create", create, (JSON,)),
    Route("GET", "/evaluations/{id}/files", "Evaluations_ListFiles", list_files("evaluations")),
    Route("GET", "/evaluations/{id}/files/{file}", "Evaluations_GetFile", get_file("evaluations")),
    Route("GET", "/evaluations/{id}", "Evaluations_Get", get("evaluations")),
    Route("PATCH", "/evaluations/{id}", "Evaluations_Update", patch("evaluations"), (JSON, MERGE_PATCH)),
    Route("DELETE", "/evaluations/{id}", "Evaluations_Delete", delete),
)
