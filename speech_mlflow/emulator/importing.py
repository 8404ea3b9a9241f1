"""Import of data sets: fetch the content, check it by the service's documented rules, keep what is good, report the rest.

A line or recording that does not fit is rejected and reported; the data set as a whole fails only when it cannot be read or
nothing of it is left.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from speech_mlflow.corpus.archive import Archive, Entry
from speech_mlflow.corpus.wav import read_wav
from speech_mlflow.emulator.audio import check_rate
from speech_mlflow.emulator.jobs import JobError, Outcome
from speech_mlflow.emulator.store import NewFile, Record
from speech_mlflow.emulator.texts import TEXT_READERS, Rejected, decode
from speech_mlflow.errors import ArchiveError, AudioError

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

CONTENT = "_Content"
"""Kind of the file, hidden from the API, that holds what training and evaluation use."""
FETCH_SECONDS = 60
MAX_FILES = 10_000
MAX_REPORTED = 1_000
TRANSCRIPT_BYTES = 64 * 1024 * 1024
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass
class Imported:
    """What an import found."""

    content: dict[str, Any] = field(default_factory=dict)
    files: list[NewFile] = field(default_factory=list)
    accepted: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    milliseconds: int | None = None


def run_import(core: Emulator, record: Record) -> Outcome:
    """The job of a data set. Raises JobError when the whole of it is unusable."""
    with core.blobs.workspace() as folder:
        source, garbage = _fetch(core, record, folder)
        kind = str(record.body["kind"])
        limit = core.quotas.file_bytes[kind]
        if source.stat().st_size > limit:
            raise JobError(
                "QuotaViolation",
                f"The file is larger than {limit} bytes, the limit for {kind} data in tier {core.quotas.tier}.",
            )
        reader = _acoustic if kind in ("Acoustic", "AudioFiles") else _text
        found = reader(core, record, source)
    return _outcome(core, found, garbage)


def read_content(core: Emulator, record: Record) -> Mapping[str, Any]:
    """What an import kept of a data set."""
    for file in core.store.files(record):
        if file.kind == CONTENT:
            return json.loads(core.blobs.read(file.blob))  # type: ignore[no-any-return]
    raise JobError("InvalidDataset", f"The dataset {record.id} has no content.")


def _outcome(core: Emulator, found: Imported, garbage: tuple[str, ...]) -> Outcome:
    report = {
        "acceptedLineCount": found.accepted,
        "rejectedLineCount": len(found.rejected),
        "errors": [
            {"lineNumber": item.line, "errorKind": item.kind, "message": item.message} for item in found.rejected[:MAX_REPORTED]
        ],
    }
    files = [*found.files, keep_json(core, "report.json", "DatasetReport", report)]
    body = {
        "acceptedLineCount": found.accepted,
        "rejectedLineCount": len(found.rejected),
        "durationMilliseconds": found.milliseconds,
    }
    if not found.accepted:
        reason = found.rejected[0].message if found.rejected else "it is empty"
        raise JobError("DataImportFailed", f"No line of the data could be used: {reason}", tuple(files), body)
    files.append(keep_json(core, "content.json", CONTENT, found.content))
    return Outcome(body, tuple(files), garbage)


def keep_json(core: Emulator, name: str, kind: str, value: Any) -> NewFile:
    """A JSON file for an entity."""
    content = json.dumps(value, ensure_ascii=False, indent=1).encode()
    return NewFile(name, kind, core.blobs.put(content), len(content))


# fetching


def _fetch(core: Emulator, record: Record, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The uploaded or downloaded file, and the blobs that are not needed once it is imported."""
    url, target = record.body.get("contentUrl"), folder / "content"
    if url is None:
        blobs = tuple(block.blob for block in core.store.blocks(record.id) if block.committed)
        core.blobs.join(list(blobs), target)
        return target, blobs
    download(str(url), target, core.quotas.file_bytes[str(record.body["kind"])])
    return target, ()


def download(url: str, target: Path, limit: int) -> None:
    """Fetch a URL without credentials. Raises JobError."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.closing(opener.open(url, timeout=FETCH_SECONDS)) as answer, open(target, "wb") as file:
            _copy_limited(answer, file, limit)
            if getattr(answer, "length", None):  # http.client takes an early end for the end
                raise http.client.IncompleteRead(b"", answer.length)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            raise JobError("InvalidPayload", f"The content could not be fetched: the server answered {error.code}.") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise JobError("InvalidPayload", f"The content could not be fetched: {error}") from None


def _copy_limited(source: Any, target: BinaryIO, limit: int) -> None:
    size = 0
    while chunk := source.read(1024 * 1024):
        size += len(chunk)
        if size > limit:
            raise JobError("QuotaViolation", f"The content is larger than {limit} bytes.")
        target.write(chunk)


# text


def _text(core: Emulator, record: Record, source: Path) -> Imported:
    kind = str(record.body["kind"])
    raw = source.read_bytes()
    lines = decode(raw)
    parsed = TEXT_READERS[kind](lines, str(record.body["locale"]), record.body.get("textNormalizationKind") != "None")
    normalised = parsed.content.pop("normalised", None)
    found = Imported({"kind": kind, **parsed.content}, accepted=parsed.accepted, rejected=parsed.rejected)
    name, file_kind = _TEXT_FILES[kind]
    found.files.append(NewFile(name, file_kind, core.blobs.put(raw), len(raw)))
    if normalised is not None:
        content = "".join(f"{line}\n" for line in normalised).encode()
        found.files.append(NewFile("normalized.txt", file_kind, core.blobs.put(content), len(content)))
    return found


_TEXT_FILES: Mapping[str, tuple[str, str]] = {
    "Language": ("languagedata", "LanguageData"),
    "LanguageMarkdown": ("languagedata.md", "LanguageData"),
    "Pronunciation": ("pronunciation.txt", "PronunciationData"),
    "OutputFormatting": ("outputformatting.md", "OutputFormattingData"),
}


# audio


def _acoustic(core: Emulator, record: Record, source: Path) -> Imported:
    try:
        with Archive(source, name="archive.zip") as archive:
            found = _read_archive(core, record, archive)
    except ArchiveError as error:
        raise JobError("DataImportFailed", f"The archive cannot be read: {error.message}") from None
    size = source.stat().st_size
    found.files.append(NewFile("archive.zip", "AcousticDataArchive", core.blobs.keep_file(source), size))
    return found


def _read_archive(core: Emulator, record: Record, archive: Archive) -> Imported:
    entries = [entry for entry in archive.entries if not any(junk in entry.name for junk in _JUNK)]
    wavs = [entry for entry in entries if entry.name.lower().endswith(".wav")]
    if len(entries) > MAX_FILES:
        raise JobError("DataImportFailed", f"The archive has more than {MAX_FILES} files.")
    found = Imported({"kind": record.body["kind"], "utterances": []}, milliseconds=0)
    transcripts: dict[str, tuple[str, int]] = {}
    if record.body["kind"] == "Acoustic":
        transcripts = _transcripts(core, archive, entries, found)
        named = {_base(entry.name) for entry in wavs}
        for name, (_, line) in transcripts.items():
            if name not in named:
                found.rejected.append(Rejected(line, "MissingAudio", f"The audio file {name} is not in the archive."))
    seen: set[str] = set()
    for entry in wavs:
        name = _base(entry.name)
        if name in seen:
            found.rejected.append(Rejected(0, "DuplicateAudio", f"The audio file {entry.name} has the name of another one."))
            continue
        seen.add(name)
        if record.body["kind"] == "Acoustic" and name not in transcripts:
            found.rejected.append(Rejected(0, "MissingTranscription", f"The audio file {name} has no transcription."))
            continue
        text, line = transcripts.get(name, ("", 0))
        _keep_audio(core, archive, entry, found, text, line)
    found.rejected.sort(key=lambda item: item.line)
    return found


def _keep_audio(core: Emulator, archive: Archive, entry: Entry, found: Imported, text: str, line: int) -> None:
    name = _base(entry.name)
    with archive.open(entry) as stream, core.blobs.create() as (blob, file):
        shutil.copyfileobj(stream, file, 1024 * 1024)
    try:
        wav = read_wav(core.blobs.path(blob), name=name)
        check_rate(wav.sample_rate, name)
    except AudioError as error:
        core.blobs.delete([blob])
        found.rejected.append(Rejected(line, "InvalidAudio", error.message))
        return
    milliseconds = round(wav.seconds * 1000)
    found.files.append(NewFile(name, "Audio", blob, entry.size, milliseconds))
    found.content["utterances"].append({"name": name, "text": text, "blob": blob, "milliseconds": milliseconds})
    found.accepted += 1
    found.milliseconds = (found.milliseconds or 0) + milliseconds


def _transcripts(core: Emulator, archive: Archive, entries: list[Entry], found: Imported) -> dict[str, tuple[str, int]]:
    """Transcript and line by name of the audio file; rejects what has no meaning."""
    texts = [entry for entry in entries if entry.name.lower().endswith((".txt", ".tsv"))]
    if len(texts) != 1:
        raise JobError(
            "DataImportFailed", f"The archive must hold exactly one transcription file (.txt or .tsv); it holds {len(texts)}."
        )
    raw = archive.read(texts[0], limit=TRANSCRIPT_BYTES)
    found.files.append(NewFile(_base(texts[0].name), "AcousticDataTranscriptionV2", core.blobs.put(raw), len(raw)))
    transcripts: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(decode(raw), start=1):
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        name = name.strip()
        problem: tuple[str, str] | None = None
        if not tab:
            problem = ("MissingTab", "The line has no tab between file name and transcription.")
        elif not text.strip():
            problem = ("EmptyTranscription", f"The transcription of {name} is empty.")
        elif name in transcripts:
            problem = (
                "DuplicateTranscription",
                f"The audio file {name} was transcribed in line {transcripts[name][1]} already.",
            )
        if problem:
            found.rejected.append(Rejected(number, *problem))
        else:
            transcripts[name] = (text.strip(), number)
    return transcripts


def _base(name: str) -> str:
    return name.rpartition("/")[2]
