"""Metadata beside the data: who speaks, into what, where; for reports by group, never uploaded.

The service's formats have no place for a speaker. So a file beside the data (not in it) may describe the utterances: for
``data/test.zip`` or the folder ``data/test`` it is ``data/test.metadata.csv`` or ``.jsonl``, else ``data/metadata.csv`` or
``.jsonl``, which may describe several corpora. It has a column ``id``, the name of the WAV file with or without ``.wav``, and
any others, of which ``speaker`` is known by name::

    id,speaker,device
    a01.wav,mary,headset
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from speech_mlflow.corpus.records import Problem, error, excerpt, warning
from speech_mlflow.corpus.text import Text, decode

MAX_BYTES = 100 << 20
"""Held in memory; ten thousand utterances with a hundred columns stay below."""

SUFFIXES = (".csv", ".jsonl")


@dataclass(frozen=True)
class Metadata:
    """``groups`` by utterance id (with ``.wav``). ``file`` is None where there is no metadata file."""

    file: str | None = None
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_metadata(data: Path, ids: Collection[str]) -> Metadata:
    """The metadata that lies beside ``data``, for the utterances ``ids``; rows of other utterances are left out."""
    path = _find(data)
    if path is None:
        return Metadata()
    if path.stat().st_size > MAX_BYTES:
        return Metadata(path.name, {}, (error("metadata", f"has more than {MAX_BYTES >> 20} MiB", path.name),))
    text = decode(path.read_bytes(), path.name)
    problems = list(text.problems)
    rows = _csv(text, problems) if path.suffix == ".csv" else _json_lines(text, problems)
    groups: dict[str, dict[str, str]] = {}
    for number, row in rows:
        name = row.pop("id", "").strip()
        if not name:
            problems.append(error("metadata-id", "there is no id", path.name, number, "each row needs id, the WAV file's name"))
            continue
        key = name if name.lower().endswith(".wav") else f"{name}.wav"
        if key in groups:
            problems.append(error("metadata-id", f"{excerpt(name)} is described twice", path.name, number))
        elif key in ids:
            groups[key] = row
    missing = len(ids) - len(groups)
    if missing and ids:
        what = f"{missing} of {len(ids)} utterances are not described"
        problems.append(warning("metadata-missing", what, path.name, hint="an id is the name of the WAV file"))
    return Metadata(path.name, groups, tuple(problems))


def _find(data: Path) -> Path | None:
    data = data.absolute()
    stem = data.name if data.is_dir() else data.stem
    candidates = [data.parent / f"{prefix}metadata{suffix}" for prefix in (f"{stem}.", "") for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def _csv(text: Text, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO("\n".join(text.lines)))
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                if "id" not in header:
                    hint = "begin the file with a line like: id,speaker,device"
                    problems.append(error("metadata-columns", "there is no column id", text.file, reader.line_num, hint))
                    return
            elif len(cells) != len(header):
                what = f"the row has {len(cells)} cells, the header {len(header)}"
                problems.append(error("metadata-columns", what, text.file, reader.line_num))
            else:
                row = zip(header, cells, strict=True)
                yield reader.line_num, {name: cell.strip() for name, cell in row if cell.strip()}
    except csv.Error as problem:
        problems.append(error("metadata", f"is not CSV: {problem}", text.file, reader.line_num))


def _json_lines(text: Text, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in text.numbered():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            problems.append(error("metadata", f"is not JSON: {problem}", text.file, number))
            continue
        if not isinstance(row, dict) or any(isinstance(value, (dict, list)) for value in row.values()):
            what = "is not an object with plain values"
            problems.append(error("metadata", what, text.file, number, 'write {"id": "a01.wav", "speaker": "mary"}'))
            continue
        yield number, {name: str(value) for name, value in row.items() if value is not None}
