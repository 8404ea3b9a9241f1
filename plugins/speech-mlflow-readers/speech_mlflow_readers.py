"""Readers of three corpus layouts, beside the folders, zips and transcripts that ``speech_mlflow`` reads itself.

* ``nemo``: a manifest of NVIDIA NeMo, one JSON object a line with ``audio_filepath`` and ``text``
* ``kaldi``: a data directory of Kaldi, with ``wav.scp`` and ``text``, perhaps ``segments``
* ``common-voice``: a table of Mozilla Common Voice, with the columns ``path`` and ``sentence``, beside its folder ``clips``

A reader says where recordings and texts lie; they are checked by ``speech_mlflow`` afterwards. Commands in ``wav.scp`` are
never run, and no audio is converted: what is no WAV file is reported with the command that makes it one.
"""

from __future__ import annotations

import io
import json
import os
import re
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import speech_mlflow
from speech_mlflow.corpus.readers import Member, Reading
from speech_mlflow.corpus.records import Problem, error, excerpt, warning
from speech_mlflow.corpus.transcript import Transcript, TranscriptLine
from speech_mlflow.errors import CorpusError

if TYPE_CHECKING:
    from speech_mlflow.corpus.readers import CorpusReader

CONVERT = "sox OLD -b 16 -e signed-integer -c 1 -r 16k NEW.wav"
CONVERT_ALL = CONVERT.replace("OLD", '"$f"').replace("NEW.wav", '"${f%.mp3}.wav"')


@speech_mlflow.hookimpl
def register_corpus_readers(register: Callable[[CorpusReader], None]) -> None:
    for reader in (NemoReader(), KaldiReader(), CommonVoiceReader()):
        register(reader)


@dataclass
class Draft:
    """What a reader has found so far in the file ``name``; problems are collected, so that all come at once."""

    name: str
    entries: list[tuple[int, str, str, Path]] = field(default_factory=list)
    """Line, wanted name of the recording (with folders), text, file."""
    problems: list[Problem] = field(default_factory=list)
    rejected: int = 0

    def refuse(self, line: int, code: str, what: str, hint: str) -> None:
        """Leave a line out and say why."""
        self.problems.append(error(code, what, self.name, line, hint))
        self.rejected += 1

    def add(self, line: int, wanted: str, text: str, file: Path) -> None:
        """Take an entry that has a text; the file need not exist."""
        if not text.strip():
            self.refuse(line, "empty-text", f"{excerpt(wanted)} has no transcript", "write what is said, or leave it out")
        elif file.suffix.lower() != ".wav":
            self.refuse(line, "not-wav", f"{excerpt(str(file))} is no WAV file", f"convert it: {CONVERT}")
        else:
            self.entries.append((line, wanted, " ".join(text.split()), file))

    def reading(self) -> Reading:
        """The entries as recordings with a transcript. A missing file has a line and no recording, which is reported later."""
        names = short_names([wanted for _, wanted, _, _ in self.entries])
        lines, audio, seen = [], [], dict[str, int]()
        for (number, wanted, text, file), name in zip(self.entries, names, strict=True):
            if name.casefold() in seen:
                what = f"{excerpt(wanted)} is in line {seen[name.casefold()]} already"
                self.refuse(number, "duplicate-line", what, "keep one of the two")
                continue
            seen[name.casefold()] = number
            lines.append(TranscriptLine(number, name, text))
            if file.is_file():
                audio.append(Member(name, str(file), file.stat().st_size, partial(_open, file)))
        return Reading(tuple(audio), Transcript(self.name, tuple(lines), tuple(self.problems), self.rejected))


def short_names(wanted: list[str]) -> list[str]:
    """Names without folders, as an upload has them; with the folders in the name where two would be the same."""
    counts = Counter(PurePosixPath(name).name.casefold() for name in dict.fromkeys(wanted))
    return [
        base if counts[(base := PurePosixPath(name).name).casefold()] == 1 else re.sub(r"[/\\]+", "-", name.lstrip("/"))
        for name in wanted
    ]


class NemoReader:
    """A manifest of NeMo: paths are absolute, or relative to the manifest."""

    name = "nemo"

    def reads(self, path: Path) -> bool:
        if not path.is_file() or path.suffix.lower() not in (".json", ".jsonl"):
            return False
        with path.open("rb") as file:
            first = file.readline(1 << 20)
        return b'"audio_filepath"' in first and isinstance(_object(first.decode("utf-8", "replace")), dict)

    def read(self, path: Path) -> Reading:
        draft = Draft(path.name)
        for number, line in _lines(path):
            entry = _object(line)
            if not isinstance(entry, dict) or not isinstance(entry.get("audio_filepath"), str):
                hint = 'write {"audio_filepath": "a.wav", "text": "what is said"}'
                draft.refuse(number, "manifest", "is no JSON object with audio_filepath", hint)
            elif entry.get("offset"):
                what = f"{excerpt(entry['audio_filepath'])} is a part of a longer recording (offset {entry['offset']})"
                draft.refuse(number, "offset", what, "cut the parts out first: sox LONG.wav PART.wav trim OFFSET DURATION")
            else:
                file = os.path.normpath(entry["audio_filepath"])  # ./a.wav is a.wav
                draft.add(number, file, str(entry.get("text") or ""), path.parent / file)
        return draft.reading()


class KaldiReader:
    """A data directory of Kaldi. An utterance's id becomes its recording's name; parts are cut out as ``segments`` says."""

    name = "kaldi"

    def reads(self, path: Path) -> bool:
        return path.is_dir() and (path / "wav.scp").is_file() and (path / "text").is_file()

    def read(self, path: Path) -> Reading:
        files = {key: (number, rest) for number, key, rest in _table(path / "wav.scp")}
        recordings, problems = {}, []
        for key, (number, rest) in files.items():
            if rest.endswith("|") or rest.startswith("|"):
                what = f"{excerpt(key)} is the output of a command, which is not run"
                problems.append(error("command", what, "wav.scp", number, "write the WAV files: wav-copy scp:wav.scp …"))
            else:
                recordings[key] = path / rest
        if (path / "segments").is_file():
            return self._read_segments(path, recordings, problems)
        draft, silent = Draft("text", problems=problems), set(files)
        for number, utterance, text in _table(path / "text"):
            silent.discard(utterance)
            if utterance in recordings:
                draft.add(number, _file_name(utterance), text, recordings[utterance])
            elif utterance not in files:
                draft.refuse(
                    number, "no-audio", f"{excerpt(utterance)} is not in wav.scp", "add its recording, or leave it out"
                )
            else:
                draft.rejected += 1
        if silent:
            what = f"{len(silent)} recordings have no text and are left out, for example {excerpt(min(silent))}"
            problems.append(warning("no-text", what, "wav.scp"))
        return draft.reading()

    def _read_segments(self, path: Path, recordings: dict[str, Path], problems: list[Problem]) -> Reading:
        segments = {key: rest.split() for _, key, rest in _table(path / "segments")}
        draft = Draft("text", problems=problems)
        lines, audio = [], []
        for number, utterance, text in _table(path / "text"):
            name = excerpt(utterance)
            try:
                recording, begin, end = segments[utterance][:3]
                member = cut(recordings[recording], float(begin), float(end), _file_name(utterance))
            except KeyError as missing:
                draft.refuse(
                    number, "no-audio", f"{name} has no recording: {missing} is not listed", "see segments and wav.scp"
                )
            except (ValueError, OverflowError, wave.Error, EOFError, OSError) as reason:
                hint = "a line of segments is: UTTERANCE RECORDING START END"
                draft.refuse(number, "segment", f"{name} cannot be cut out: {reason}", hint)
            else:
                lines.append(TranscriptLine(number, member.name, text))
                audio.append(member)
        return Reading(tuple(audio), Transcript("text", tuple(lines), tuple(draft.problems), draft.rejected))


class CommonVoiceReader:
    """A table of Common Voice (``validated.tsv``, ``train.tsv`` …). It lists MP3: WAV files of the same names are read."""

    name = "common-voice"

    def reads(self, path: Path) -> bool:
        if not path.is_file() or path.suffix.lower() != ".tsv":
            return False
        header = next(islice(_lines(path), 1), (0, ""))[1].split("\t")
        return {"path", "sentence"} <= set(header)

    def read(self, path: Path) -> Reading:
        draft = Draft(path.name)
        lines = ((number, line.split("\t")) for number, line in _lines(path))
        _, header = next(lines)
        for number, cells in lines:
            row = dict(zip(header, cells, strict=False))
            clip = row.get("path", "").strip()
            file = path.parent / "clips" / f"{clip.rpartition('.')[0] or clip}.wav"
            if not clip:
                draft.refuse(number, "no-audio", "the row has no path", "give the name of the clip")
            elif not file.is_file() and (path.parent / "clips" / clip).is_file():
                what = f"{excerpt(clip)} is no WAV file, and there is no {excerpt(file.name)} beside it"
                draft.refuse(number, "not-wav", what, f"convert the clips: for f in clips/*.mp3; do {CONVERT_ALL}; done")
            else:
                draft.add(number, file.name, row.get("sentence", ""), file)
        return draft.reading()


def cut(file: Path, begin: float, end: float, name: str) -> Member:
    """A part of a WAV file, in seconds, as a recording of its own. Raises ValueError for times outside, OSError, wave.Error."""
    with wave.open(str(file), "rb") as source:
        rate, total = source.getframerate(), source.getnframes()
        width = source.getsampwidth() * source.getnchannels()
    first, last = round(begin * rate), total if end < 0 else round(end * rate)
    if not 0 <= first < last <= total:
        raise ValueError(f"{begin:g} to {end:g} s is not within its {total / rate:g} s")
    header = 44
    return Member(
        name, f"{file} {begin:g}-{end:g} s", header + (last - first) * width, partial(_part, file, first, last - first)
    )


def _part(file: Path, first: int, count: int) -> BinaryIO:
    target = io.BytesIO()
    with wave.open(str(file), "rb") as source, wave.open(target, "wb") as part:
        part.setparams(source.getparams())
        source.setpos(first)
        part.writeframes(source.readframes(count))
    target.seek(0)
    return target


def _file_name(utterance: str) -> str:
    return re.sub(r"[/\\]+", "-", utterance) + ".wav"


def _open(file: Path) -> BinaryIO:
    return file.open("rb")


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _table(path: Path) -> Iterator[tuple[int, str, str]]:
    """Lines of a Kaldi table: number, key, and the rest."""
    for number, line in _lines(path):
        key, *rest = line.split(maxsplit=1)
        yield number, key, rest[0].strip() if rest else ""


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1. Raises CorpusError where the file is no UTF-8 text."""
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            yield from ((number, line.rstrip("\n")) for number, line in enumerate(file, start=1) if line.strip())
    except UnicodeDecodeError as problem:
        raise CorpusError(f"{path}: is no UTF-8 text: {problem.reason} at byte {problem.start}") from None
