"""Base models, custom models and their training, manifests, and copies between resources."""

from __future__ import annotations

import datetime
import re

from speech_mlflow.emulator.filters import parse_date
from speech_mlflow.emulator.payloads import CopyAuthorization, CopyDefinition, ModelCreate, changes, parse
from speech_mlflow.emulator.problems import (
    COPY_AUTHORIZATION_HOURS,
    RETRY_AFTER_SECONDS,
    conflict,
    invalid,
    not_found,
    refuse,
)
from speech_mlflow.emulator.recognition import BaseModel
from speech_mlflow.emulator.rendering import render, render_base, show_time
from speech_mlflow.emulator.routing import (
    JSON,
    MERGE_PATCH,
    Answer,
    Call,
    Route,
    created,
    find,
    get,
    get_file,
    known_locale,
    list_files,
    listing,
    locales,
    minutes,
    must_be_done,
    must_succeed,
    page,
    patch,
    refer,
    refer_model,
    refer_project,
    same_locale,
    show,
)
from speech_mlflow.emulator.sas import sign_url
from speech_mlflow.emulator.store import Record

RESOURCE_ID = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.CognitiveServices/accounts/[^/]+", re.IGNORECASE
)


def list_base(call: Call) -> Answer:
    """GET /models/base."""
    return page(call, call.core.models.base_models(), lambda model: render_base(call.core, model, call.links), "base")


def _base(call: Call) -> BaseModel:
    model = call.core.models.base(call.id)
    if model is None:
        raise not_found(f"The base model {call.id}")
    return model


def get_base(call: Call) -> Answer:
    """GET /models/base/{id}."""
    return Answer(200, render_base(call.core, _base(call), call.links))


def create(call: Call) -> Answer:
    """POST /models: training begins."""
    wanted = parse(ModelCreate, call.body)
    core = call.core
    locale = known_locale(call, wanted.locale)
    with core.store.transaction():
        base = _trainable(call, wanted, locale)
        datasets = [refer(call, item, "datasets", f"datasets[{place}]") for place, item in enumerate(wanted.datasets or [])]
        _check_datasets(datasets, base, locale)
        body = {
            **changes(wanted),
            "locale": locale,
            "baseModel": base.path,
            "datasets": list(dict.fromkeys(record.path for record in datasets)),
            "customModelWeightPercent": wanted.properties.customModelWeightPercent if wanted.properties else None,
            "project": refer_project(call, wanted.project, locale),
        }
        record = core.create("models", body, action="train")
    core.begin("train", record)
    return created(call, record)


def _trainable(call: Call, wanted: ModelCreate, locale: str) -> BaseModel:
    """The base model to train on. Raises Problem 400."""
    core = call.core
    if wanted.baseModel is None:
        base = core.models.newest(locale)
        if base is None:
            raise invalid("InvalidLocale", f"There is no base model for {locale!r}.", "$.locale")
    else:
        found = refer_model(call, wanted.baseModel, "baseModel")
        if isinstance(found, Record):
            raise invalid("InvalidBaseModel", "A custom model cannot be adapted further.", "$.baseModel")
        base = found
    same_locale(base.spec.locale, locale, "baseModel")
    adaptation = core.models.dates(base).adaptation
    if adaptation is not None and core.now() >= adaptation:
        message = f"The specified model is deprecated: adaptation ended on {show_time(adaptation)}."
        raise invalid("ModelDeprecated", message, "$.baseModel")
    return base


def _check_datasets(datasets: list[Record], base: BaseModel, locale: str) -> None:
    if not datasets:
        raise invalid("InvalidDataset", "At least one dataset is needed to adapt a model.", "$.datasets")
    kinds = {str(record.body["kind"]) for record in datasets}
    for place, record in enumerate(datasets):
        where = f"datasets[{place}]"
        if record.status == "Failed":
            raise invalid("FailedDataset", f"The dataset {record.id} has failed.", f"$.{where}")
        must_succeed(record, "InvalidDataset", f"$.{where}")
        same_locale(str(record.body["locale"]), locale, where)
        if record.body["kind"] not in base.spec.adapts_with:
            message = f"The base model does not support adaptation with {record.body['kind']} data."
            raise invalid("InvalidAdaptationMapping", message, f"$.{where}")
    if {"LanguageMarkdown", "Pronunciation"} <= kinds:
        message = "Structured text carries its own pronunciations and cannot be combined with a Pronunciation dataset."
        raise invalid("UnsupportedClassBasedAdaptation", message, "$.datasets")


def delete(call: Call) -> Answer:
    """DELETE /models/{id}."""
    core = call.core
    with core.store.transaction():
        record = core.store.get("models", call.id)
        if record is None:
            return Answer(204)
        must_be_done(record)
        for endpoint in core.entities("endpoints"):
            if record.path in (endpoint.body.get("model"), endpoint.body.get("served")):
                raise conflict("InUseViolation", f"The model is in use by the endpoint {endpoint.id}.")
        for kind in ("evaluations", "transcriptions"):
            for user in core.store.entities(kind):
                used = (user.body.get(name) for name in ("model", "model1", "model2"))
                if not user.terminal and record.path in used:
                    raise conflict("InUseViolation", f"The model is in use by {user.path}, whose status is {user.status}.")
        core.delete(record)
    return Answer(204)


def manifest(call: Call) -> Answer:
    """GET /models/{id}/manifest: the files of the model."""
    record, lifetime = find(call, "models"), minutes(call, required=True)
    must_succeed(record, "InvalidModel", "id")
    files = [file for file in call.core.store.files(record) if file.kind == "_ModelFile"]
    shown = [{"name": f.name, "contentUrl": sign_url(call.core, call.origin, f.id, f.name, lifetime)} for f in files]
    return _manifest(call, record.path, shown, base=str(record.body["baseModel"]))


def base_manifest(call: Call) -> Answer:
    """GET /models/base/{id}/manifest. The files of a base model lie in the engine's package, so there are none to fetch."""
    model = _base(call)
    minutes(call, required=True)
    return _manifest(call, model.path, [], base=model.path)


def _manifest(call: Call, path: str, files: list[dict[str, str]], base: str) -> Answer:
    model = call.core.models.base(base.rpartition("/")[2])
    properties = {} if model is None else {"engine": model.engine, "baseModel": model.spec.key}
    return Answer(200, {"model": {"self": call.links.entity(path)}, "modelFiles": files, "properties": properties})


# copies


def authorize_copy(call: Call) -> Answer:
    """POST /models:authorizecopy: let a model of another resource be copied to this one."""
    source = parse(CopyDefinition, call.body).sourceResourceId
    if not RESOURCE_ID.fullmatch(source):
        raise invalid(
            "InvalidSourceAzureResourceId", "sourceResourceId is not the id of a speech resource.", "$.sourceResourceId"
        )
    core = call.core
    expiry = core.now() + datetime.timedelta(hours=COPY_AUTHORIZATION_HOURS)
    record = core.store.insert("authorizations", {"source": source, "expiry": show_time(expiry)}, now=core.now(), status=None)
    return Answer(
        200,
        {
            "targetResourceRegion": core.options.region,
            "targetResourceId": core.resource_id,
            "targetResourceEndpoint": call.origin,
            "sourceResourceId": source,
            "expirationDateTime": record.body["expiry"],
            "id": record.id,
        },
    )


def copy(call: Call) -> Answer:
    """POST /models/{id}:copy: send the model to the resource that gave the authorisation."""
    core = call.core
    record, wanted = find(call, "models"), parse(CopyAuthorization, call.body)
    must_succeed(record, "InvalidModel", "id")
    if wanted.sourceResourceId.lower() != core.resource_id.lower():
        message = "The authorization was given to another source resource."
        raise refuse(403, "Forbidden", message, inner="Forbidden", target="$.sourceResourceId")
    expiry = parse_date(wanted.expirationDateTime)
    if expiry is None or core.now() >= expiry:
        raise invalid("ModelCopyAuthorizationExpired", "The copy authorization has expired.", "$.expirationDateTime")
    body = {"source": record.path, "target": wanted.targetResourceEndpoint, "authorization": wanted.id}
    operation = core.create("operations", body, action="copy")
    core.begin("copy", operation)
    location = call.links.entity(f"operations/models/copy/{operation.id}")
    headers = {"Operation-Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)}
    return Answer(202, render(core, operation, call.links), headers)


def get_copy(call: Call) -> Answer:
    """GET /operations/models/copy/{id}."""
    record = find(call, "operations")
    call.core.jobs.gate.read(record)
    return show(call, record)


ROUTES = (
    Route("GET", "/models/locales", "Models_ListSupportedLocales", locales),
    Route("GET", "/models/base", "Models_ListBaseModels", list_base),
    Route("GET", "/models/base/{id}", "Models_GetBaseModel", get_base),
    Route("GET", "/models/base/{id}/manifest", "Models_GetBaseModelManifest", base_manifest),
    Route("POST", "/models:authorizecopy", "Models_AuthorizeCopy", authorize_copy, (JSON,)),
    Route("GET", "/models", "Models_ListCustomModels", listing("models")),
    Route("POST", "/models", "Models_Create", create, (JSON,)),
    Route("POST", "/models/{id}:copy", "Models_Copy", copy, (JSON,)),
    Route("GET", "/models/{id}/manifest", "Models_GetCustomModelManifest", manifest),
    Route("GET", "/models/{id}/files", "Models_ListFiles", list_files("models")),
    Route("GET", "/models/{id}/files/{file}", "Models_GetFile", get_file("models")),
    Route("GET", "/models/{id}", "Models_GetCustomModel", get("models")),
    Route("PATCH", "/models/{id}", "Models_Update", patch("models"), (JSON, MERGE_PATCH)),
    Route("DELETE", "/models/{id}", "Models_Delete", delete),
    Route("GET", "/operations/models/copy/{id}", "Operations_GetModelCopy", get_copy),
)
