"""What the report's script works on: utterances, alignments and audio as one compact JSON value."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from speech_mlflow.scoring.alignment import DEL, Edit
from speech_mlflow.scoring.inputs import Groups
from speech_mlflow.scoring.records import Int64Array
from speech_mlflow.scoring.scores import Score

AudioSource = Callable[[str], bytes | None]


@dataclass(frozen=True)
class EmbeddedAudio:
    """Recordings as base64 by row of the report, and a sentence for the reader on what is missing and why."""

    recordings: Mapping[int, str]
    message: str


def chosen_rows(scores: Mapping[str, Score], most: int) -> Int64Array:
    """Positions of the utterances to list: all, or those with the most errors; in their order."""
    errors = total_errors(scores)
    if len(errors) <= most:
        return np.arange(len(errors), dtype=np.int64)
    return np.sort(np.argsort(-errors, kind="stable")[:most])


def total_errors(scores: Mapping[str, Score]) -> Int64Array:
    """Errors of all models together, per utterance."""
    total: Int64Array = np.sum([score.arrays.errors for score in scores.values()], axis=0, dtype=np.int64)
    return total


def report_data(
    scores: Mapping[str, Score],
    rows: Int64Array,
    groups: Groups,
    written: Sequence[str] | None,
    columns: Mapping[str, Sequence[object]],
) -> dict[str, Any]:
    """Everything about the listed utterances.

    Per utterance: id, normalised reference (words joined by spaces), reference and hypotheses as written where they
    differ from the normalised words, group labels as numbers, further columns, and per model the errors as a flat
    list of position, operation and word.
    """
    first = next(iter(scores.values()))
    references = [" ".join(first.reference_words(index)) for index in rows.tolist()]
    as_written = first.texts()[0] if written is None else written
    return {
        "models": list(scores),
        "spaced": first.normalizer.spaced,
        "ids": [first.ids[index] for index in rows.tolist()],
        "references": references,
        "written": _where_different([as_written[index] for index in rows.tolist()], references),
        "groups": [_group(name, [labels[index] for index in rows.tolist()]) for name, labels in groups.items()],
        "columns": [
            {"name": name, "values": [plain(values[index]) for index in rows.tolist()]} for name, values in columns.items()
        ],
        "systems": [_system(score, rows) for score in scores.values()],
    }


def embed_audio(scores: Mapping[str, Score], rows: Int64Array, source: AudioSource | None, limit: int) -> EmbeddedAudio:
    """Take recordings, those with the most errors first, until `limit` bytes are full."""
    if source is None:
        return EmbeddedAudio({}, "")
    ids = next(iter(scores.values())).ids
    errors = total_errors(scores)[rows]
    recordings: dict[int, str] = {}
    left, absent, foreign, too_much = limit, 0, 0, 0
    for row in np.argsort(-errors, kind="stable").tolist():
        content = source(ids[rows[row]]) if left > 0 else b""
        if content is None:
            absent += 1
        elif left <= 0 or len(content) > left:
            too_much += 1
        elif content[:4] != b"RIFF" or content[8:12] != b"WAVE":
            foreign += 1
        else:
            recordings[row] = base64.b64encode(content).decode()
            left -= len(content)
    return EmbeddedAudio(recordings, _audio_message(len(rows), len(recordings), absent, foreign, too_much, limit))


def _audio_message(total: int, embedded: int, absent: int, foreign: int, too_much: int, limit: int) -> str:
    if embedded == total:
        return f"All {total} recordings are in this file, unchanged."
    reasons = []
    if too_much:
        reasons.append(f"{too_much} would make the file larger than its limit of {limit / 1e6:.0f} MB of audio")
    if absent:
        reasons.append(f"{absent} were not found")
    if foreign:
        reasons.append(f"{foreign} are not WAV files")
    first = ", those with the most errors first" if too_much else ""
    return f"{embedded} of {total} recordings are in this file, unchanged{first}: {' and '.join(reasons)}."


def script_json(value: Any) -> Markup:
    """JSON that is safe within a script element: no `<`, `>` or `&`, whatever the texts contain."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # a lone surrogate, which a text may hold, cannot be written to a file
    return Markup(text.encode("utf-8", "backslashreplace").decode())  # noqa: S704 - escaped above


def _group(name: str, labels: list[str]) -> dict[str, Any]:
    number: dict[str, int] = {}
    index = [number.setdefault(label, len(number)) for label in labels]
    return {"name": name, "labels": list(number), "index": index}


def _system(score: Score, rows: Int64Array) -> dict[str, Any]:
    edits = dict(score.edits.by_utterance())
    hypotheses = score.texts()[1]
    words = [score.hypothesis_words(index) for index in rows.tolist()]
    return {
        "edits": [_flat(edits.get(index, []), heard) for index, heard in zip(rows.tolist(), words, strict=True)],
        "written": _where_different([hypotheses[index] for index in rows.tolist()], [" ".join(heard) for heard in words]),
    }


def _flat(edits: list[Edit], heard: list[str]) -> list[Any]:
    flat: list[Any] = []
    for op, i, j in edits:
        flat += (i, op, "" if op == DEL else heard[j])
    return flat


def _where_different(texts: list[str], normalized: list[str]) -> list[str | None]:
    return [text if text != plain else None for text, plain in zip(texts, normalized, strict=True)]


def plain(value: object) -> Any:
    """A value of a further column as JSON knows it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return str(value)
