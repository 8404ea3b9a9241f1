"""Reading references and hypotheses from the files that recognisers and scoring tools write.

============  =================================================================================================
trn           ``the words of it (utterance-id)`` a line, as sclite reads it; ``;;`` starts a comment
text          ``utterance-id the words of it`` a line, as Kaldi writes it
tsv, csv      a header row that names the columns, or in a TSV file just ``id<TAB>text``
jsonl, json   an object a line (or a list of them) with the fields below
stm, ctm      segments with times, and words with times; see `speech_mlflow.scoring.timed`
============  =================================================================================================

In tables and JSON the id is the first of the columns in `ID_FIELDS` that is there, the text the first of
`REFERENCE_FIELDS` or `HYPOTHESIS_FIELDS`; columns in `GROUP_FIELDS` become groups. Ids are matched as they are or, where
that fails, by file name without folder and audio ending.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Literal

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring.inputs import Groups, listed, match_ids
from speech_mlflow.scoring.timed import assign_words, read_ctm, read_stm

Side = Literal["reference", "hypothesis"]

FORMATS = ("trn", "text", "tsv", "csv", "jsonl", "json", "stm", "ctm")

ID_FIELDS = ("id", "utterance_id", "utt_id", "uttid", "key", "audio_filepath", "audio", "filename", "file", "path", "wav")
REFERENCE_FIELDS = ("reference", "ref", "text", "transcript", "transcription", "sentence")
HYPOTHESIS_FIELDS = ("hypothesis", "hyp", "pred_text", "prediction", "predicted", "lexical", "display", "text", "transcript")
GROUP_FIELDS = ("speaker", "speaker_id", "voice", "device", "gender", "accent", "dialect", "locale", "domain", "group")

_ENDINGS = {f".{name}": name for name in FORMATS} | {".ndjson": "jsonl"}
_AUDIO_ENDING = re.compile(r"\.(wav|flac|mp3|ogg|opus|m4a|webm|sph)$", re.IGNORECASE)
_TRN = re.compile(r"(?P<text>.*?)\s*\((?P<id>[^()]+)\)\s*")
_ALTERNATIVES = re.compile(r"\{[^{}]*\s/\s[^{}]*\}")
_CTM = re.compile(r"\S+\s+\S+\s+[0-9.]+\s+[0-9.]+\s+\S+(\s+[0-9.]+)?\s*")
_SHOWN = 20


@dataclass(frozen=True)
class Entry:
    """One utterance of a file: where it stands, its id, its text and what groups it is in."""

    line: int
    id: str
    text: str
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a line."""

    line: int
    message: str


@dataclass(frozen=True)
class Transcripts:
    """Texts by id, in the order of the file, and the group columns that every utterance has."""

    source: Path
    format: str
    texts: Mapping[str, str]
    groups: Groups


Reader = Callable[[Path, Side], Iterator[Entry | Problem]]


def read_transcripts(path: str | Path, side: Side, *, format: str | None = None) -> Transcripts:
    """Read a file whole. `side` tells which text to take where a file has both.

    Raises ScoringError with every line that cannot be read and every id that occurs twice.
    """
    source = Path(path)
    chosen = detect_format(source) if format is None else format
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    groups: list[Mapping[str, str]] = []
    problems: list[Problem] = []
    for found in _reader(chosen)(source, side):
        if isinstance(found, Problem):
            problems.append(found)
        elif found.id in texts:
            problems.append(Problem(found.line, f"{found.id} occurs again, first in line {lines[found.id]}"))
        else:
            texts[found.id], lines[found.id] = found.text, found.line
            groups.append(found.groups)
    if problems:
        raise _problems(source, chosen, problems)
    if not texts:
        raise ScoringError(f"{source} has no utterances (read as {chosen})", hint=_format_hint())
    shared = [name for name in GROUP_FIELDS if all(name in row for row in groups)]
    return Transcripts(source, chosen, texts, {name: tuple(row[name] for row in groups) for name in shared})


def read_pair(
    reference: str | Path,
    hypotheses: Mapping[str, str | Path],
    *,
    reference_format: str | None = None,
    hypothesis_format: str | None = None,
    missing_as_empty: bool = False,
    ignore_extra: bool = False,
) -> tuple[Transcripts, dict[str, dict[str, str]]]:
    """Read a reference and any number of hypotheses by name, matched to its ids and in its order.

    missing_as_empty: take an utterance that has no hypothesis as one in which nothing was heard.
    ignore_extra: leave out hypotheses that have no reference.

    Raises ScoringError with all ids that have no partner.
    """
    segments = None
    if (reference_format or detect_format(Path(reference))) == "stm":
        segments = read_stm(Path(reference))
    first = read_transcripts(reference, "reference", format=reference_format)
    matched: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for name, path in hypotheses.items():
        chosen = hypothesis_format or detect_format(Path(path))
        if chosen == "ctm" and segments is not None:
            texts: Mapping[str, str] = assign_words(read_ctm(Path(path)), segments)
        else:
            texts = _same_ids(first.texts, read_transcripts(path, "hypothesis", format=chosen).texts)
        if missing_as_empty:
            texts = dict.fromkeys(first.texts, "") | dict(texts)
        if ignore_extra:
            texts = {key: text for key, text in texts.items() if key in first.texts}
        try:
            match_ids(first.texts, texts)
        except ScoringError as error:
            problems.append(f"{path}: {error}")
        matched[name] = {key: texts.get(key, "") for key in first.texts}
    if problems:
        hint = "missing ones may be taken as empty (--missing-as-empty) and extra ones left out (--ignore-extra)"
        raise ScoringError("\n".join(problems), hint=hint)
    return first, matched


def stream_pairs(
    reference: str | Path, hypothesis: str | Path, *, reference_format: str | None = None, hypothesis_format: str | None = None
) -> Iterator[tuple[str, str, str]]:
    """Ids, references and hypotheses of two files in the same order, one at a time, for `score_stream`.

    Raises ScoringError at the first line that cannot be read or at which the ids differ.
    """
    paths = Path(reference), Path(hypothesis)
    references = _entries(paths[0], "reference", reference_format)
    hypotheses = _entries(paths[1], "hypothesis", hypothesis_format)
    for first, second in zip_longest(references, hypotheses):
        if first is None or second is None:
            short, other = (paths[0], second) if first is None else (paths[1], first)
            raise ScoringError(f"{short} ends before {other.id}", hint="both files must have the same utterances in one order")
        if first.id != second.id and short_id(first.id) != short_id(second.id):
            raise ScoringError(
                f"{paths[0]} line {first.line} has {first.id} where {paths[1]} line {second.line} has {second.id}",
                hint="sort both files by id, or read them whole",
            )
        yield first.id, first.text, second.text


def _entries(path: Path, side: Side, format: str | None) -> Iterator[Entry]:
    """The utterances of a file one by one; a line that is not one is an error at once."""
    chosen = format or detect_format(path)
    for found in _reader(chosen)(path, side):
        if isinstance(found, Problem):
            raise _problems(path, chosen, [found])
        yield found


def detect_format(path: Path) -> str:
    """The format of a file, by its ending or its first lines. Raises ScoringError where the file cannot be read."""
    by_ending = _ENDINGS.get(path.suffix.lower())
    if by_ending:
        return by_ending
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.rstrip("\n") for line in islice((line for line in file if _content(line)), 50)]
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if lines and lines[0].lstrip().startswith(("{", "[{")):
        return "jsonl" if lines[0].lstrip().startswith("{") else "json"
    if all(_TRN.fullmatch(line) for line in lines):
        return "trn"
    if all(line.count("\t") == 1 for line in lines):
        return "tsv"
    return "ctm" if all(_CTM.fullmatch(line) for line in lines) else "text"


def short_id(name: str) -> str:
    """An id without folder and audio ending."""
    return _AUDIO_ENDING.sub("", re.split(r"[\\/]", name)[-1])


def _same_ids(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> Mapping[str, str]:
    """The hypotheses under the references' ids, where these are the same but for folder and ending."""
    if reference.keys() == hypothesis.keys():
        return hypothesis
    full = {short_id(name): name for name in reference}
    renamed = {full.get(short_id(name), name): text for name, text in hypothesis.items()}
    return renamed if len(full) == len(reference) and len(renamed) == len(hypothesis) else hypothesis


# --- the formats ------------------------------------------------------------------------------------------------


def _reader(name: str) -> Reader:
    readers: dict[str, Reader] = {
        "trn": _read_trn,
        "text": _read_text,
        "tsv": _read_table,
        "csv": _read_table,
        "jsonl": _read_json_lines,
        "json": _read_json,
        "stm": _read_segments,
        "ctm": _read_words,
    }
    if name not in readers:
        raise ScoringError(f"there is no format {name!r}", hint=_format_hint())
    return readers[name]


def _read_trn(path: Path, side: Side) -> Iterator[Entry | Problem]:
    for number, line in _lines(path):
        found = _TRN.fullmatch(line)
        if not found:
            yield Problem(number, "does not end with an id in parentheses")
        elif _ALTERNATIVES.search(found["text"]):
            yield Problem(number, "alternatives { a / b } are not supported: write out the one that counts")
        else:
            yield Entry(number, found["id"].strip(), found["text"])


def _read_text(path: Path, side: Side) -> Iterator[Entry | Problem]:
    for number, line in _lines(path):
        name, *rest = line.split(maxsplit=1)
        yield Entry(number, name, rest[0].rstrip() if rest else "")


def _read_table(path: Path, side: Side) -> Iterator[Entry | Problem]:
    delimiter = "\t" if path.suffix.lower() != ".csv" else None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if delimiter is None:
                first = file.readline()
                delimiter = max(",;\t", key=first.count)
                file.seek(0)
            quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
            rows = csv.reader(file, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
            yield from _table_rows(rows, side)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _table_rows(rows: Any, side: Side) -> Iterator[Entry | Problem]:
    header: list[str] | None = None
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [cell.strip().lower() for cell in row]
            if _choose(header, ID_FIELDS) is not None and _choose(header, _text_fields(side)) is not None:
                continue
            header = ["id", "reference" if side == "reference" else "hypothesis"]
        if len(row) != len(header):
            yield Problem(rows.line_num, f"has {len(row)} columns instead of {len(header)}")
        else:
            yield _from_fields(rows.line_num, dict(zip(header, row, strict=True)), side)


def _read_json_lines(path: Path, side: Side) -> Iterator[Entry | Problem]:
    for number, line in _lines(path, comments=False):
        try:
            yield _from_fields(number, json.loads(line), side)
        except json.JSONDecodeError as error:
            yield Problem(number, f"is not JSON: {error.msg} at column {error.colno}")


def _read_json(path: Path, side: Side) -> Iterator[Entry | Problem]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _unreadable(path, error) from error
    if isinstance(document, dict) and all(isinstance(value, str) for value in document.values()):
        document = [{"id": name, _text_fields(side)[0]: text} for name, text in document.items()]
    if not isinstance(document, list):
        raise ScoringError(f"{path} is neither a list of objects nor an object of texts by id")
    for number, entry in enumerate(document, start=1):
        yield _from_fields(number, entry, side)


def _read_segments(path: Path, side: Side) -> Iterator[Entry | Problem]:
    for segment in read_stm(path):
        if not segment.ignored:
            groups = {"speaker": segment.speaker} | ({"group": segment.label} if segment.label else {})
            yield Entry(segment.line, segment.id, segment.text, groups)


def _read_words(path: Path, side: Side) -> Iterator[Entry | Problem]:
    words = read_ctm(path)
    channels = {name: {word.channel for word in words if word.file == name} for name in dict.fromkeys(w.file for w in words)}
    texts: dict[str, list[str]] = {}
    for word in sorted(words, key=lambda word: (word.file, word.channel, word.start)):
        name = word.file if len(channels[word.file]) == 1 else f"{word.file}-{word.channel}"
        texts.setdefault(name, []).append(word.text)
    for number, (name, parts) in enumerate(texts.items(), start=1):
        yield Entry(number, name, " ".join(parts))


def _from_fields(line: int, fields: Any, side: Side) -> Entry | Problem:
    if not isinstance(fields, dict):
        return Problem(line, f"is {type(fields).__name__}, not an object")
    known = {str(name).lower(): value for name, value in fields.items()}
    id_field, text_field = _choose(known, ID_FIELDS), _choose(known, _text_fields(side))
    if id_field is None:
        return Problem(line, f"has no id: none of {', '.join(ID_FIELDS)}")
    if text_field is None:
        return Problem(line, f"has no {side}: none of {', '.join(_text_fields(side))}")
    text = known[text_field]
    if not isinstance(text, str):
        return Problem(line, f"{text_field} is {type(text).__name__}, not a text")
    groups = {name: str(known[name]) for name in GROUP_FIELDS if known.get(name) not in (None, "")}
    return Entry(line, str(known[id_field]).strip(), text, groups)


def _text_fields(side: Side) -> tuple[str, ...]:
    return REFERENCE_FIELDS if side == "reference" else HYPOTHESIS_FIELDS


def _choose(names: Mapping[str, Any] | list[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _content(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(";;")


def _lines(path: Path, comments: bool = True) -> Iterator[tuple[int, str]]:
    """Numbered lines that have something in them."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not (comments and line.startswith(";;")):
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ScoringError:
    reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
    return ScoringError(f"{path} cannot be read: {reason}")


def _problems(path: Path, format: str, problems: list[Problem]) -> ScoringError:
    lines = [f"{path}:{problem.line} {problem.message}" for problem in problems[:_SHOWN]]
    rest = len(problems) - len(lines)
    more = [f"and {rest} more"] if rest > 0 else []
    head = f"{len(problems)} problems in {path} (read as {format}):"
    return ScoringError("\n  ".join([head, *lines, *more]), hint=_format_hint())


def _format_hint() -> str:
    return f"formats: {listed(FORMATS)}; say which one where the guess is wrong"
