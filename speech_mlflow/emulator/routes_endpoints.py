"""Endpoints: a model that is served under an id which stays when the model changes."""

from __future__ import annotations

from speech_mlflow.emulator.payloads import EndpointCreate, EndpointUpdate, changes, parse
from speech_mlflow.emulator.problems import conflict, invalid
from speech_mlflow.emulator.recognition import BaseModel
from speech_mlflow.emulator.routing import (
    JSON,
    MERGE_PATCH,
    Answer,
    Call,
    Route,
    created,
    find,
    get,
    known_locale,
    listing,
    locales,
    model_locale,
    must_be_done,
    refer_model,
    refer_project,
    same_locale,
    show,
    update_body,
)
from speech_mlflow.emulator.store import NOT_STARTED, Record


def deployable(call: Call, model: Record | BaseModel, locale: str) -> str:
    """The path of a model that may be served. Raises Problem 400."""
    if isinstance(model, Record):
        if model.status == "Failed":
            raise invalid("DeployingFailedModel", f"The model {model.id} has failed.", "$.model")
        if not model.terminal:
            raise invalid("ModelNotDeployable", f"The model {model.id} has status {model.status}.", "$.model")
    same_locale(model_locale(model), locale, "model")
    if call.core.now() >= call.core.models.dates(model).transcription:
        raise invalid("ModelDeprecated", "The specified model is deprecated.", "$.model")
    return model.path


def no_logging(wanted: bool | None) -> None:
    """Content logging needs the customer's own storage. Raises Problem 400."""
    if wanted:
        message = "Content logging is only available for resources with bring-your-own-storage."
        raise invalid("EndpointLoggingNotSupported", message, "$.properties")


def create(call: Call) -> Answer:
    """POST /endpoints: deployment begins."""
    wanted = parse(EndpointCreate, call.body)
    core = call.core
    locale = known_locale(call, wanted.locale)
    no_logging(wanted.properties.loggingEnabled if wanted.properties else None)
    with core.store.transaction():
        model = refer_model(call, wanted.model, "model") if wanted.model else core.models.newest(locale)
        assert model is not None
        body = {
            **changes(wanted),
            "locale": locale,
            "model": deployable(call, model, locale),
            "project": refer_project(call, wanted.project, locale),
        }
        core.quotas.check_count("endpoints", len(core.entities("endpoints")))
        record = core.create("endpoints", body, action="deploy")
    core.begin("deploy", record)
    return created(call, record)


def update(call: Call) -> Answer:
    """PATCH /endpoints/{id}: another model is loaded while the old one serves."""
    wanted = parse(EndpointUpdate, call.body)
    core = call.core
    no_logging(wanted.properties.contentLoggingEnabled if wanted.properties else None)
    with core.store.transaction():
        record = find(call, "endpoints")
        body = update_body(call, record, wanted)
        deploy = False
        if wanted.model is not None:
            model = refer_model(call, wanted.model, "model")
            body["model"] = deployable(call, model, str(record.body["locale"]))
            deploy = body["model"] != record.body["model"] or record.status == "Failed"
        if deploy and not record.terminal:
            raise conflict(
                "EndpointNotUpdatable", f"The model cannot be changed while the status is {record.status}.", "$.model"
            )
        if deploy:
            record = core.store.update(record, {**body, "error": None}, status=NOT_STARTED, now=core.now())
            core.store.add_job("deploy", record)
        else:
            record = core.store.update(record, body)
    if deploy:
        core.begin("deploy", record)
    return show(call, record)


def delete(call: Call) -> Answer:
    """DELETE /endpoints/{id}."""
    core = call.core
    with core.store.transaction():
        record = core.store.get("endpoints", call.id)
        if record is not None:
            must_be_done(record)
            core.delete(record)
    return Answer(204)


ROUTES = (
    Route("GET", "/endpoints/locales", "Endpoints_ListSupportedLocales", locales),
    Route("GET", "/endpoints", "Endpoints_List", listing("endpoints")),
    Route("POST", "/endpoints", "Endpoints_Create", create, (JSON,)),
    Route("GET", "/endpoints/{id}", "Endpoints_Get", get("endpoints")),
    Route("PATCH", "/endpoints/{id}", "Endpoints_Update", update, (JSON, MERGE_PATCH)),
    Route("DELETE", "/endpoints/{id}", "Endpoints_Delete", delete),
)
