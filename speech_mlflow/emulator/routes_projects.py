"""Projects: they group entities, so that the portals show them together."""

from __future__ import annotations

from speech_mlflow.emulator.payloads import ProjectCreate, ProjectUpdate, changes, parse
from speech_mlflow.emulator.rendering import render
from speech_mlflow.emulator.routing import (
    JSON,
    MERGE_PATCH,
    Answer,
    Call,
    Handler,
    Route,
    created,
    find,
    get,
    known_locale,
    listing,
    locales,
    page,
    show,
)

GROUPED = ("datasets", "models", "evaluations", "endpoints", "transcriptions")


def create(call: Call) -> Answer:
    """POST /projects."""
    wanted = parse(ProjectCreate, call.body)
    body = {**changes(wanted), "locale": known_locale(call, wanted.locale)}
    return created(call, call.core.create("projects", body, status=None))


def update(call: Call) -> Answer:
    """PATCH /projects/{id}."""
    wanted = parse(ProjectUpdate, call.body)
    with call.core.store.transaction():
        return show(call, call.core.store.update(find(call, "projects"), changes(wanted)))


def delete(call: Call) -> Answer:
    """DELETE /projects/{id}: its entities stay."""
    core = call.core
    with core.store.transaction():
        record = core.store.get("projects", call.id)
        if record is not None:
            for kind in GROUPED:
                for entity in core.store.entities(kind):
                    if entity.body.get("project") == record.path:
                        core.store.update(entity, {"project": None})
            core.store.delete(record)
    return Answer(204)


def grouped(kind: str) -> Handler:
    """A handler that lists the entities of one kind in a project."""

    def handler(call: Call) -> Answer:
        project = find(call, "projects")
        records = [record for record in call.core.entities(kind) if record.body.get("project") == project.path]
        return page(call, records, lambda record: render(call.core, record, call.links), kind)

    return handler


ROUTES = (
    Route("GET", "/projects/locales", "Projects_ListSupportedLocales", locales),
    Route("GET", "/projects", "Projects_List", listing("projects")),
    Route("POST", "/projects", "Projects_Create", create, (JSON,)),
    Route("GET", "/projects/{id}", "Projects_Get", get("projects")),
    Route("PATCH", "/projects/{id}", "Projects_Update", update, (JSON, MERGE_PATCH)),
    Route("DELETE", "/projects/{id}", "Projects_Delete", delete),
    *(Route("GET", f"/projects/{{id}}/{kind}", f"Projects_List{kind.capitalize()}", grouped(kind)) for kind in GROUPED),
)
