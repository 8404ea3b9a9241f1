"""What is wrong in a settings file, for people: every problem at once, with its line and the nearest known name."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pydantic

_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_HEADER = re.compile(r"^\s*(\[\[?)(.*?)\]")
_ASSIGNED = re.compile(r"""^\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_.\s-])+?)\s*=""")

Key = tuple[str | int, ...]


def problems_of(error: pydantic.ValidationError, model: type[pydantic.BaseModel]) -> list[tuple[Key, str]]:
    """What pydantic found, as pairs of the key and what is wrong with it. The value is never part of it: it may be a secret.

    An unknown key comes with the nearest known one of its table.
    """
    found: list[tuple[Key, str]] = []
    for item in error.errors(include_input=False, include_url=False):
        key: Key = item["loc"]
        if item["type"] == "extra_forbidden":
            found.append((key, f"unknown{nearest(str(key[-1]), known_keys(model, key[:-1]))}"))
        else:
            found.append((key, str(item["msg"]).removeprefix("Value error, ")))
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing where no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def known_keys(model: type[pydantic.BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys of the table at ``path`` inside a model; none where that is no table of fixed keys."""
    here: Any = model
    for part in path:
        here = _inside(here, part)
        if here is None:
            return []
    found = _model_in(here)
    return list(found.model_fields) if found else []


def dotted(key: Key) -> str:
    """A key as it stands in the file: ``pipeline.models.clinic-en-us.train[0]``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{word}" if text else word
    return text


def where(path: Path, key: Key, text: str | None = None) -> str:
    """``file:line: key``; without the line where it cannot be told."""
    if text is None:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
    line = line_of(text, key)
    return f"{path}{f':{line}' if line else ''}: {dotted(key)}"


def line_of(text: str, key: Key) -> int | None:
    """The line (from 1) of a key in a TOML text, or of the nearest table or value that holds it; None where nothing does.

    tomllib tells no positions. This reads headers and assignments only, which is enough to point at a line.
    """
    wanted = tuple(str(part) for part in key if not isinstance(part, int))
    best, found = 0, None
    for number, assigned in _keys(text):
        common = 0
        while common < min(len(assigned), len(wanted)) and assigned[common] == wanted[common]:
            common += 1
        if common > best and common in {len(assigned), len(wanted)}:
            best, found = common, number
    return found


def _keys(text: str) -> Iterable[tuple[int, tuple[str, ...]]]:
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _split(header.group(2))
            yield number, table
        elif assigned := _ASSIGNED.match(line):
            yield number, (*table, *_split(assigned.group(1)))


def _split(dotted_key: str) -> tuple[str, ...]:
    return tuple(next(word for word in match.groups() if word is not None) for match in _PART.finditer(dotted_key))


def _inside(annotation: Any, part: str | int) -> Any:
    """The type of what lies under ``part`` in a value of this type; None where that is not known."""
    for one in [annotation, *typing.get_args(annotation)]:
        if typing.get_origin(one) in {dict, tuple, list}:
            arguments = [each for each in typing.get_args(one) if each is not Ellipsis]
            return arguments[-1] if arguments else None
    model = _model_in(annotation)
    field = model.model_fields.get(str(part)) if model is not None else None
    return None if field is None else field.annotation


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    for one in [annotation, *typing.get_args(annotation)]:
        if isinstance(one, type) and issubclass(one, pydantic.BaseModel):
            return one
    return None
