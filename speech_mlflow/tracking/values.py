"""Values that MLflow would cut: what is too long goes whole into an artifact, and the place says so.

MLflow silently truncates parameters and tags of runs (``MLFLOW_TRUNCATE_LONG_VALUES``).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PARAM_LIMIT = 6000
TAG_LIMIT = 8000
KEY_LIMIT = 250
RUN_NAME_LIMIT = 250
DESCRIPTION_LIMIT = 5000
"""Of a registered version. These two are widths of columns: MLflow does not look, and PostgreSQL refuses."""
FOLDER = "speech/long"
"""Where values lie that MLflow would cut: one file each, so that a later value takes the place of no other."""
HASH_DIGITS = 10

_NOT_IN_A_NAME = re.compile(r"[^\w.\-: /]", re.ASCII)


@dataclass(frozen=True)
class Fitted:
    """Parameters and tags that MLflow keeps whole, and by artifact path the values that it would have cut."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    long: dict[str, str] = field(default_factory=dict)


def fit(params: Mapping[str, object], tags: Mapping[str, object]) -> Fitted:
    """Write all values as text; a value that is too long is replaced by its beginning and a note on where it is whole."""
    long: dict[str, str] = {}

    def fitted(kind: str, values: Mapping[str, object], limit: int) -> dict[str, str]:
        return {
            name(key): _within(f"{kind}/{name(key)}", text(value), limit, long)
            for key, value in values.items()
            if value is not None
        }

    return Fitted(fitted("params", params, PARAM_LIMIT), fitted("tags", tags, TAG_LIMIT), long)


def text(value: object) -> str:
    """A value as people read it: strings as they are, lists and mappings as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def name(key: str) -> str:
    """A name that MLflow takes for a parameter, metric or tag: other characters become ``_``, and the end of a long one a hash,
    so that two long names stay two."""
    clean = _NOT_IN_A_NAME.sub("_", key)
    if len(clean) <= KEY_LIMIT:
        return clean
    return f"{clean[: KEY_LIMIT - HASH_DIGITS - 3]}...{hashlib.sha256(key.encode()).hexdigest()[:HASH_DIGITS]}"


def label(value: str) -> str:
    """A name for a model in the name of a metric, ``wer/<label>``."""
    return name(value).replace("/", " v").strip(" .:") or "model"


def short(value: str, limit: int) -> str:
    """A text that is only for reading, with dots in the place of what is too much."""
    return value if len(value) <= limit else f"{value[: limit - 3]}..."


def literal(value: str) -> str | None:
    """``value`` as a string of MLflow's filter language, which has no escape for quotes; None where it cannot be written."""
    if "'" not in value:
        return f"'{value}'"
    return f'"{value}"' if '"' not in value else None


def ids(values: Iterable[str]) -> str:
    """Several ids in one tag."""
    return ",".join(values)


def finite(metrics: Mapping[str, float | int | None]) -> dict[str, float]:
    """The metrics that were measured: None and what is not a finite number is not one."""
    return {name(key): float(value) for key, value in metrics.items() if value is not None and math.isfinite(value)}


def _within(key: str, value: str, limit: int, long: dict[str, str]) -> str:
    if len(value) <= limit:
        return value
    kind, _, plain = key.partition("/")
    path = f"{FOLDER}/{kind}/{plain.replace('/', '_').replace(':', '_')}.txt"
    long[path] = value
    note = f" ... [{len(value)} characters in all, whole in the artifact {path}]"
    return value[: limit - len(note)] + note
