"""Per-utterance tables in the form of ``MlflowClient.log_table``, which MLflow's own views show and ``load_table`` reads.

A table is one artifact however many rows it has; ``log_table`` itself would read the whole of it back to append to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
"""The run tag by which MLflow knows which artifacts are tables."""


def table(columns: Mapping[str, Sequence[object]]) -> str:
    """Columns of equal length as the JSON text of a table. Raises ValueError where the lengths differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different length: {lengths}")
    rows = [[_cell(value) for value in row] for row in zip(*columns.values(), strict=True)]
    text = json.dumps({"columns": list(columns), "data": rows}, ensure_ascii=False)
    # a lone surrogate, which a transcript may hold, is no UTF-8, but may be escaped in JSON
    return text.encode("utf-8", "backslashreplace").decode()


def read_table(text: str) -> dict[str, list[object]]:
    """The columns of a table."""
    document = json.loads(text)
    data = zip(*document["data"], strict=True) if document["data"] else [[] for _ in document["columns"]]
    return {name: list(column) for name, column in zip(document["columns"], data, strict=True)}


def mark(known: str | None, paths: Sequence[str]) -> str:
    """The value of the tag ``mlflow.loggedArtifacts`` with ``paths`` added to what it was."""
    entries = json.loads(known) if known else []
    for path in paths:
        entry = {"path": path, "type": "table"}
        if entry not in entries:
            entries.append(entry)
    return json.dumps(entries)


def _cell(value: object) -> object:
    value = value.item() if hasattr(value, "item") else value  # a number of numpy's
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None  # JSON has neither NaN nor infinity
    return str(value)
