"""The official Swagger document, read: operations with their parameters, and definitions with their parents merged in.

Its path comes from SPEECH_MLFLOW_SPEC, the folder of its examples from SPEECH_MLFLOW_SPEC_EXAMPLES; tests that need them are
skipped without.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Schema = dict[str, Any]


@functools.cache
def document() -> Schema:
    path = os.environ.get("SPEECH_MLFLOW_SPEC")
    if not path:
        pytest.skip("SPEECH_MLFLOW_SPEC names no Swagger document")
    loaded: Schema = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    return loaded


@functools.cache
def examples() -> Mapping[str, Schema]:
    """The examples by file name."""
    path = os.environ.get("SPEECH_MLFLOW_SPEC_EXAMPLES")
    if not path:
        pytest.skip("SPEECH_MLFLOW_SPEC_EXAMPLES names no folder of examples")
    return {file.name: json.loads(file.read_text(encoding="utf-8-sig")) for file in sorted(Path(path).glob("*.json"))}


@dataclass(frozen=True)
class Operation:
    """One operation: its place, what it takes and what it answers with when all is well."""

    id: str
    method: str
    path: str
    query: Mapping[str, bool]  # name → required
    body: Schema | None
    consumes: tuple[str, ...]
    status: int
    answer: Schema | None
    example_files: tuple[str, ...]

    def matches(self, method: str, path: str) -> bool:
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.path))
        return method == self.method and re.fullmatch(f"/speechtotext{pattern}", path) is not None


@functools.cache
def operations() -> Mapping[str, Operation]:
    found = (
        _operation(path, method, value)
        for path, methods in document()["paths"].items()
        for method, value in methods.items()
        if method != "parameters"
    )
    return {operation.id: operation for operation in found}


def _operation(path: str, method: str, value: Schema) -> Operation:
    parameters = [resolve(parameter) for parameter in value.get("parameters", [])]
    status, answer = next((int(code), answer) for code, answer in value["responses"].items() if code.startswith("2"))
    return Operation(
        id=value["operationId"],
        method=method.upper(),
        path=path,
        query={one["name"]: bool(one.get("required")) for one in parameters if one["in"] == "query"},
        body=next((one["schema"] for one in parameters if one["in"] == "body"), None),
        consumes=tuple(value.get("consumes", ())),
        status=status,
        answer=answer.get("schema"),
        example_files=tuple(Path(one["$ref"]).name for one in value.get("x-ms-examples", {}).values()),
    )


def resolve(schema: Schema) -> Schema:
    """What a ``$ref`` leads to."""
    while "$ref" in schema:
        _, section, name = schema["$ref"].split("/")
        schema = document()[section][name]
    return schema


def properties(schema: Schema) -> dict[str, Schema]:
    """The properties of an object, those of its parents with them."""
    schema = resolve(schema)
    merged: dict[str, Schema] = {}
    for parent in schema.get("allOf", []):
        merged.update(properties(parent))
    merged.update(schema.get("properties", {}))
    return merged


def required(schema: Schema) -> set[str]:
    schema = resolve(schema)
    return set(schema.get("required", [])).union(*(required(parent) for parent in schema.get("allOf", [])))


def violations(schema: Schema, value: Any, place: str = "$") -> Iterator[str]:
    """Where a value sent in a request departs from its schema: types, enum words, missing, unknown and read-only properties."""
    schema = resolve(schema)
    kind = schema.get("type", "object" if "properties" in schema or "allOf" in schema else None)
    kinds = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}
    if kind and not isinstance(value, kinds[kind]):
        yield f"{place} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place} is {value!r}, not one of {schema['enum']}"
    if kind == "array":
        for index, item in enumerate(value):
            yield from violations(schema["items"], item, f"{place}[{index}]")
    if kind == "object" and "additionalProperties" not in schema:
        known = properties(schema)
        for name in required(schema) - set(value):
            yield f"{place}.{name} is missing"
        for name, item in value.items():
            if name not in known:
                yield f"{place}.{name} is unknown"
            elif known[name].get("readOnly"):
                yield f"{place}.{name} is read-only"
            else:
                yield from violations(known[name], item, f"{place}.{name}")


def writable(schema: Schema, place: str = "", depth: int = 4) -> Iterator[str]:
    """The dotted names of everything that a request may hold."""
    schema = resolve(schema)
    if schema.get("type") == "array":
        yield from writable(schema["items"], place, depth)
    for name, inner in properties(schema).items():
        target = resolve(inner)
        if inner.get("readOnly") or target.get("readOnly"):
            continue
        nested = list(writable(target, f"{place}{name}.", depth - 1)) if depth else []
        yield from nested or [f"{place}{name}"]


def names_in(value: Any, place: str = "") -> Iterator[str]:
    """The dotted names of everything that a request holds, with their objects' names."""
    if isinstance(value, list):
        for item in value:
            yield from names_in(item, place)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield f"{place}{name}"
            yield from names_in(item, f"{place}{name}.")


def sample(schema: Schema, own: str, enum_index: int = 0, depth: int = 9) -> Any:
    """A value that uses all of a schema; ``own`` is the URL for every ``self``."""
    schema = resolve(schema)
    if "enum" in schema:
        return schema["enum"][enum_index % len(schema["enum"])]
    kind = schema.get("type", "object")
    if kind == "array":
        return [sample(schema["items"], own, enum_index, depth - 1)] if depth else []
    if kind == "object":
        if not properties(schema):
            return {"a-key": sample(schema.get("additionalProperties", {"type": "string"}), own, enum_index, depth - 1)}
        named = ((name, inner) for name, inner in properties(schema).items() if depth and name != "@nextLink")
        return {name: own if name == "self" else sample(inner, own, enum_index, depth - 1) for name, inner in named}
    by_format = {"date-time": "2026-03-01T12:00:00Z", "uri": "https://a.example/x"}
    values: dict[str, Any] = {"boolean": True, "integer": 7, "number": 0.25}
    return values.get(kind, by_format.get(schema.get("format", ""), "text"))
