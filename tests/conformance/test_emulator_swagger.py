"""The offline service beside the official Swagger: operations, parameters, bodies, entities, error words.

Differences are listed with their reasons; one that is not listed fails, and so does a listed one that is gone.
"""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from speech_mlflow.emulator import app, copying, filters, payloads, problems
from speech_mlflow.emulator.coverage import LEFT_OUT, coverage
from speech_mlflow.emulator.webhooks import EVENTS
from tests.conformance.swagger import document, examples, operations, properties, required, resolve
from tests.emulator.conftest import (
    ToneService,
    archive,
    base_model,
    create,
    files_of,
    id_of,
    ref,
    start_tone_service,
    stop_tone_service,
    upload,
)

PAYLOADS: dict[str, type[BaseModel]] = {
    "Datasets_Create": payloads.DatasetCreate,
    "Datasets_Update": payloads.Update,
    "Datasets_CommitBlocks": payloads.CommitEntry,
    "Endpoints_Create": payloads.EndpointCreate,
    "Endpoints_Update": payloads.EndpointUpdate,
    "Evaluations_Create": payloads.EvaluationCreate,
    "Evaluations_Update": payloads.Update,
    "Models_Create": payloads.ModelCreate,
    "Models_Update": payloads.Update,
    "Models_Copy": payloads.CopyAuthorization,
    "Models_AuthorizeCopy": payloads.CopyDefinition,
    "Projects_Create": payloads.ProjectCreate,
    "Projects_Update": payloads.ProjectUpdate,
    "Transcriptions_Submit": payloads.TranscriptionCreate,
    "Transcriptions_Update": payloads.Update,
    "WebHooks_Create": payloads.WebHookCreate,
    "WebHooks_Update": payloads.WebHookUpdate,
}
BINARY = ("Datasets_UploadBlock",)

NOT_TAKEN = {
    ("Evaluations_Create", "transcription1"): "made by the service",
    ("Evaluations_Create", "transcription2"): "made by the service",
    ("Transcriptions_Submit", "properties.languageIdentification.speechModelMapping"): "language identification is refused",
    ("Transcriptions_Submit", "properties.languageIdentification.mode"): "language identification is refused",
    ("WebHooks_Create", "events.*"): "any word is read and compared with the known events, so that one error names all",
    ("WebHooks_Update", "events.*"): "any word is read and compared with the known events, so that one error names all",
}
"""Writable in the document, but not read from requests (sent anyway, they are ignored)."""

ALSO_REQUIRED = {
    "CommitEntry": {"kind", "id"},  # an entry without either names no block
}
"""Fields that the document does not require, but without which a request has no meaning."""

NOT_SHOWN = {
    "Transcription.contentUrls": "never returned, as the document says",
    "Transcription.contentContainerUrl": "not supported",
    "Transcription.properties.channels": "shown when sent",
    "Transcription.properties.destinationContainerUrl": "not supported",
    "Transcription.properties.displayFormWordLevelTimestampsEnabled": "shown when sent",
    "Transcription.properties.punctuationMode": "shown when sent",
    "Transcription.properties.profanityFilterMode": "shown when sent",
    "Transcription.properties.languageIdentification": "not supported",
    "Transcription.properties.diarization": "not supported",
    "Transcription.properties.error": "only of failed entities",
    "CustomModel.properties.error": "only of failed entities",
    "Endpoint.properties.error": "only of failed entities",
    "Evaluation.properties.error": "only of failed entities",
    "WebHook.properties.error": "only of failed entities",
    "WebHook.properties.secret": "a secret is not given back",
    "Operation.error": "only of failed operations",
}
"""Properties of entities that the answers collected here do not have."""

# operations


def test_every_operation_is_routed_and_every_route_is_an_operation() -> None:
    documented = {
        operation.id: (operation.method, operation.path.replace("{fileId}", "{file}"), operation.consumes)
        for operation in operations().values()
        if operation.id not in LEFT_OUT
    }
    routed = {route.operation: (route.method, route.path, route.consumes) for route in app.MANAGEMENT}
    assert routed == documented


def test_what_is_left_out_has_a_reason_and_is_listed() -> None:
    assert set(LEFT_OUT) <= set(operations())
    assert all(LEFT_OUT.values())
    listed = {item.name: item for item in coverage() if item.kind == "operation"}
    assert set(operations()) == set(listed) - {"Recognition_ShortAudio"}
    assert all(item.note for item in coverage() if item.state != "emulated")


def test_filters_take_the_documented_properties() -> None:
    compared = 0
    for methods in document()["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []) if isinstance(operation, dict) else []:
                if parameter.get("name") != "filter":
                    continue
                found = re.search(r"Supported properties: ([\w, ]+?)\.", parameter["description"])
                assert found is not None, parameter["description"]
                words = set(re.split(r",\s*|\s+and\s+", found[1].strip()))
                assert words == set(filters.PROPERTIES[_filter_kind(operation["operationId"])]), operation["operationId"]
                compared += 1
    assert compared == 17


def _filter_kind(operation: str) -> str:
    if operation.endswith("ListFiles"):
        return "files"
    if operation == "Models_ListBaseModels":
        return "base"
    word = operation.partition("_List")[2] if operation.startswith("Projects_List") else operation.partition("_")[0]
    return (word or "Projects").lower()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToneService]:
    started = start_tone_service(tmp_path_factory.mktemp("swagger"))
    yield started
    stop_tone_service(started)


def test_every_list_reads_its_parameters(service: ToneService) -> None:
    wrong = {"skip": "x", "top": "x", "filter": "x", "sasLifetimeMinutes": "x"}
    world = _world(service)
    for operation in operations().values():
        if operation.method != "GET":
            continue
        path = _fill(operation.path, world)
        for name in set(operation.query) - {"api-version"}:
            answer = service.api.get(path, params={"sasLifetimeMinutes": 60, name: wrong[name]})
            assert answer.status_code == 400, (operation.id, name)
        missing = service.web.get(f"{service.url}/speechtotext{path}", headers=service.headers)
        assert missing.status_code == 400, operation.id


# bodies


def test_every_body_has_a_record() -> None:
    assert set(PAYLOADS) == {o.id for o in operations().values() if o.body is not None and o.id not in (*LEFT_OUT, *BINARY)}


@pytest.mark.parametrize("operation", sorted(PAYLOADS))
def test_a_body_is_read_as_documented(operation: str) -> None:
    schema = operations()[operation].body
    assert schema is not None
    schema = resolve(schema)
    schema = resolve(schema["items"]) if schema.get("type") == "array" else schema
    differences = set(_differences(schema, PAYLOADS[operation], ""))
    explained = {name for place, name in NOT_TAKEN if place == operation}
    assert not differences - explained, f"not explained: {differences - explained}"


def test_no_explanation_is_left_over() -> None:
    found = set()
    for operation, model in PAYLOADS.items():
        schema = resolve(operations()[operation].body or {})
        schema = resolve(schema["items"]) if schema.get("type") == "array" else schema
        found |= {(operation, name) for name in _differences(schema, model, "")}
    assert set(NOT_TAKEN) <= found, sorted(set(NOT_TAKEN) - found)


def _aliases(model: type[BaseModel]) -> dict[str, Any]:
    return {(info.alias or name): info for name, info in model.model_fields.items()}


def _differences(schema: dict[str, Any], model: type[BaseModel], place: str) -> Iterator[str]:
    """Dotted names of what the document and the record do not agree on."""
    fields = _aliases(model)
    for name, inner in properties(schema).items():
        target = resolve(inner)
        if inner.get("readOnly") or target.get("readOnly"):
            continue
        if name not in fields:
            if name != "self" or place:
                yield f"{place}{name}"
            continue
        annotation = fields[name].annotation
        nested = _model_in(annotation)
        if nested is not None and target.get("type") != "array":
            yield from _differences(target, nested, f"{place}{name}.")
        elif "properties" in target:
            yield f"{place}{name}.*"
        words = _words_in(annotation)
        if words is not None or "enum" in target:
            assert words == set(target.get("enum", ())), f"words of {place}{name}"
        limits = {key: target[key] for key in ("minimum", "maximum") if key in target}
        assert _limits_in(annotation, fields[name]) == limits or not limits, f"limits of {place}{name}"
    named = {name for name, info in fields.items() if info.is_required()}
    more = ALSO_REQUIRED.get(model.__name__, set())
    assert named == required(schema) | more, f"required in {model.__name__}: {named}, in the document {required(schema)}"
    assert set(fields) <= set(properties(schema)), f"unknown in {place}: {set(fields) - set(properties(schema))}"


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in typing.get_args(annotation):
        yield from _parts(part)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    return next((part for part in _parts(annotation) if inspect.isclass(part) and issubclass(part, BaseModel)), None)


def _words_in(annotation: Any) -> set[str] | None:
    literal = next((part for part in _parts(annotation) if typing.get_origin(part) is typing.Literal), None)
    return None if literal is None else set(typing.get_args(literal))


def _limits_in(annotation: Any, info: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for holder in (*_parts(annotation), info):
        for item in getattr(holder, "metadata", ()) or ():
            found |= {key: getattr(item, word) for key, word in (("minimum", "ge"), ("maximum", "le")) if hasattr(item, word)}
    return found


def test_web_hook_events_are_the_documented_ones() -> None:
    assert set(EVENTS) == set(properties(document()["definitions"]["WebHookEvents"]))


# entities


def _world(service: ToneService) -> dict[str, Any]:
    """One of each entity, with everything that can be set."""
    if hasattr(service, "world"):
        world: dict[str, Any] = service.world
        return world
    custom = {"customProperties": {"a": "1"}, "description": "d"}
    project = create(service, "/projects", foundryProjectName="f", **custom)
    shared = {**custom, "project": ref(project)}
    web = service.url  # any http URL will do where nothing is to be found
    sounds = upload(service, "Acoustic", archive({"a.wav": "one two"}), **shared)
    text = upload(service, "Language", "the gastric ward\n", **shared)
    by_url = service.wait(create(service, "/datasets", kind="Language", contentUrl=f"{web}/content/x", **shared))
    model = service.wait(create(service, "/models", baseModel=ref(base_model(service)), datasets=[ref(text)], **shared))
    endpoint = service.wait(create(service, "/endpoints", model=ref(model), **shared))
    sides = {"model1": ref(base_model(service)), "model2": ref(model)}
    evaluation = service.wait(create(service, "/evaluations", **sides, dataset=ref(sounds), **shared))
    settings = {"timeToLiveHours": 6, "wordLevelTimestampsEnabled": True}
    body = {"displayName": "t", "locale": "en-US", "dataset": ref(sounds), "properties": settings, **shared}
    transcription = service.wait(service.api.post("/transcriptions:submit", json=body).json())
    hook_body = {"displayName": "h", "webUrl": f"{web}/health", "events": dict.fromkeys(EVENTS, True), **custom}
    hook = service.api.post("/webhooks", json=hook_body).json()
    definition = {"sourceResourceId": service.resource_id}
    authorization = service.api.post("/models:authorizecopy", json=definition).json()
    operation = service.wait(service.api.post(f"/models/{id_of(model)}:copy", json=authorization).json())
    assert operation["status"] == "Succeeded", operation
    world = {
        "Project": [project],
        "Dataset": [sounds, text, by_url, create(service, "/datasets", kind="Language")],
        "CustomModel": [model],
        "BaseModel": [base_model(service)],
        "Endpoint": [endpoint],
        "Evaluation": [evaluation],
        "Transcription": [transcription, service.follow(evaluation["transcription1"]["self"])],
        "WebHook": [hook],
        "Operation": [operation],
        "ModelCopyAuthorization": [authorization],
        "File": [*files_of(service, sounds).values(), *files_of(service, model).values()],
        "ModelManifest": [service.api.get(f"/models/{id_of(model)}/manifest", params={"sasLifetimeMinutes": 9}).json()],
        "UploadedBlocks": [service.api.get(f"/datasets/{id_of(sounds)}/blocks").json()],
        "DatasetLocales": [service.api.get("/datasets/locales").json()],
        "TranscriptionLocales": [service.api.get("/transcriptions/locales").json()],
        "Error": [service.api.post("/datasets", json={"kind": "x"}).json()],
    }
    service.world = world  # type: ignore[attr-defined]
    return world


def _fill(path: str, world: dict[str, Any]) -> str:
    """A path of the document with ids of entities that exist."""
    kinds = {
        "/datasets": "Dataset",
        "/endpoints": "Endpoint",
        "/evaluations": "Evaluation",
        "/models/base": "BaseModel",
        "/models": "CustomModel",
        "/operations": "Operation",
        "/projects": "Project",
        "/transcriptions": "Transcription",
        "/webhooks": "WebHook",
    }
    kind = next(name for prefix, name in kinds.items() if path.startswith(prefix))
    file = next((item for item in world["File"] if id_of(world[kind][0]) in item["self"]), world["File"][0])
    return path.replace("{id}", id_of(world[kind][0])).replace("{fileId}", id_of(file))


KINDS: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def _departures(schema: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    """Where an answer departs from its definition: unknown properties, wrong types, unknown words, missing ones."""
    schema = resolve(schema)
    known = properties(schema)
    kind = schema.get("type", "object" if known else None)
    if kind and (not isinstance(value, KINDS[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
        yield f"{place} is {type(value).__name__}, not {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{place} is {value!r}"
    elif schema.get("format") == "date-time" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        yield f"{place} is no date-time: {value!r}"
    elif schema.get("format") == "uri" and not re.match(r"(https?|wss?)://", value):
        yield f"{place} is no URL: {value!r}"
    elif kind == "array":
        for item in value:
            yield from _departures(schema["items"], item, f"{place}[]")
    elif kind == "object" and known:
        yield from (f"{place}.{name} is missing" for name in required(schema) - set(value))
        for name, item in value.items():
            if name in known:
                yield from _departures(known[name], item, f"{place}.{name}")
            else:
                yield f"{place}.{name} is unknown"


def _documented(schema: dict[str, Any], place: str, depth: int = 3) -> Iterator[str]:
    for name, inner in properties(schema).items():
        yield f"{place}.{name}"
        if depth and "properties" in resolve(inner) and name not in ("innerError",):
            yield from _documented(resolve(inner), f"{place}.{name}", depth - 1)


def _present(value: Any, place: str) -> Iterator[str]:
    for name, item in value.items() if isinstance(value, dict) else ():
        yield f"{place}.{name}"
        yield from _present(item, f"{place}.{name}")


def test_answers_are_as_documented(service: ToneService) -> None:
    definitions = document()["definitions"]
    found = []
    for name, values in _world(service).items():
        for value in values:
            found += list(_departures(definitions[name], value, name))
    assert found == []


def test_every_documented_property_is_shown_or_explained(service: ToneService) -> None:
    definitions = document()["definitions"]
    missing = set()
    for name, values in _world(service).items():
        if name in ("Error", "DatasetLocales"):
            continue
        shown = {place for value in values for place in _present(value, name)}
        missing |= {place for place in _documented(definitions[name], name) if place not in shown}
    below = {place for place in missing if any(place.startswith(f"{explained}.") for explained in NOT_SHOWN)}
    unexplained = missing - set(NOT_SHOWN) - below
    assert not unexplained, sorted(unexplained)
    assert set(NOT_SHOWN) <= missing, sorted(set(NOT_SHOWN) - missing)


def test_lists_have_the_documented_shape(service: ToneService) -> None:
    world = _world(service)
    for operation in operations().values():
        schema = resolve(operation.answer or {})
        if "values" not in schema.get("properties", {}):
            continue
        answer = service.api.get(_fill(operation.path, world), params={"top": 1})
        assert list(_departures(schema, answer.json(), operation.id)) == []


# error words


def test_error_words_are_the_documented_ones() -> None:
    definitions = document()["definitions"]
    codes, details = set(definitions["ErrorCode"]["enum"]), set(definitions["DetailedErrorCode"]["enum"])
    used: set[tuple[str, str]] = set()
    for path in Path(problems.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                used |= set(_words(node.func.id, node))
    assert len(used) > 25
    assert {word for kind, word in used if kind == "code"} <= codes
    assert {word for kind, word in used if kind == "inner"} <= details


def _words(name: str, call: ast.Call) -> Iterator[tuple[str, str]]:
    texts = [argument.value if isinstance(argument, ast.Constant) else None for argument in call.args]
    if name in ("invalid", "conflict", "must_succeed") and texts:
        word = texts[1] if name == "must_succeed" else texts[0]
        if isinstance(word, str):
            yield "inner", word
    elif name == "refuse" and len(texts) > 1 and isinstance(texts[1], str):
        yield "code", texts[1]
    for keyword in call.keywords:
        if keyword.arg == "inner" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            yield "inner", keyword.value.value


# examples

REFUSED_EXAMPLES = {
    "create_endpoint.json": "InvalidRequest/EndpointLoggingNotSupported: it asks for content logging",
    "update_endpoint.json": "InvalidRequest/EndpointLoggingNotSupported: it asks for content logging",
    "copy_model_with_authorization.json": "Forbidden/Forbidden: its authorisation is another resource's",
    "commit_block_list.json": "InvalidRequest/InvalidPayload: its blocks have not been uploaded",
}


def test_the_requests_of_the_examples_are_accepted(service: ToneService) -> None:
    world = _world(service)
    sent = 0
    for operation in operations().values():
        for name in operation.example_files:
            if name not in examples() or operation.method == "GET" or operation.id in LEFT_OUT:
                continue
            parameters = examples()[name]["parameters"]
            bodies = {key: value for key, value in parameters.items() if isinstance(value, dict | list)}
            (body,) = bodies.values() if bodies else (None,)
            path = _fill(operation.path, world)
            if body is None:
                query = {"blockid": parameters["blockid"]}
                path = path.replace(id_of(world["Dataset"][0]), id_of(world["Dataset"][3]))
                answer = service.api.put(path, params=query, content=b"x", headers={"Content-Type": "application/octet-stream"})
            else:
                if name == "commit_block_list.json":
                    path = path.replace(id_of(world["Dataset"][0]), id_of(world["Dataset"][3]))
                answer = service.api.request(operation.method, path, json=_local(body, world, service))
            sent += 1
            if name in REFUSED_EXAMPLES:
                error = answer.json()
                words = f"{error['code']}/{error['innerError']['code']}"
                assert REFUSED_EXAMPLES[name].startswith(f"{words}:"), (name, answer.text)
            else:
                assert answer.status_code == operation.status, (name, answer.text)
    assert sent >= 10


def _local(value: Any, world: dict[str, Any], service: ToneService, name: str = "") -> Any:
    """An example with its links pointing to entities of this service."""
    kinds = {
        "project": "Project",
        "dataset": "Dataset",
        "datasets": "Dataset",
        "baseModel": "BaseModel",
        "model": "CustomModel",
        "model1": "BaseModel",
        "model2": "CustomModel",
    }
    if isinstance(value, list):
        return [_local(item, world, service, name) for item in value]
    if isinstance(value, dict):
        if "self" in value and name in kinds:
            return ref(world[kinds[name]][1 if name == "datasets" else 0])
        return {key: _local(item, world, service, key) for key, item in value.items()}
    if name in ("contentUrl", "webUrl"):
        return "http://127.0.0.1:9/nothing"
    if name == "expirationDateTime":
        return "2999-01-01T00:00:00Z"
    return value


def test_the_receiver_of_copies_is_the_only_route_beyond_the_document() -> None:
    """What is routed besides the document: contents, health, copies, short audio."""
    assert (copying.RECEIVE, app.HEALTH, app.CONTENT) == ("/copies", "/health", "/content")
