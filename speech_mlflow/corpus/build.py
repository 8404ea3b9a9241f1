"""From what a reader found to the parts of a corpus: scanning, joining, checking, fingerprinting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from speech_mlflow.corpus.checks import MAX_TEXT, MAX_ZIP, check_recordings, check_storage, check_text_file, check_transcript
from speech_mlflow.corpus.fingerprint import fingerprint
from speech_mlflow.corpus.metadata import read_metadata
from speech_mlflow.corpus.output_format import looks_like_output_format, parse_output_format
from speech_mlflow.corpus.pronunciation import parse_pronunciations
from speech_mlflow.corpus.readers import Member, Reading
from speech_mlflow.corpus.records import AUDIO_KINDS, Line, Problem, Utterance, error, in_order, warning
from speech_mlflow.corpus.rules import apply_rules, rules_for
from speech_mlflow.corpus.scan import Recording, scan
from speech_mlflow.corpus.structured_text import looks_like_structured_text, parse_structured_text
from speech_mlflow.corpus.text import Text, decode, encode
from speech_mlflow.corpus.transcript import Transcript
from speech_mlflow.errors import CorpusError
from speech_mlflow.progress import Progress

MOSTLY = 0.9
"""Share of lines that must have, or not have, a tab for a text file's kind to be told."""


@dataclass(frozen=True)
class Parts:
    """What a corpus is made of. ``text`` is the transcript or text file as uploaded; ``members`` holds files with SHA-256."""

    kind: str
    utterances: tuple[Utterance, ...]
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...]
    fingerprint: str
    rejected: int
    members: Mapping[str, tuple[Member, str]] = field(default_factory=dict)
    text: bytes | None = None


def build(reading: Reading, path: Path, locale: str, kind: str | None, purpose: str | None, progress: Progress | None) -> Parts:
    """Read what was found. Raises CorpusError where it does not fit ``kind``, or no kind can be told."""
    if reading.text is not None:
        if kind in AUDIO_KINDS:
            raise CorpusError(f"{path}: {kind} data are recordings, not a text file", hint="give their folder or zip")
        return _build_text(reading.text, reading.problems, path, locale, kind, purpose)
    if kind is not None and kind not in AUDIO_KINDS:
        raise CorpusError(f"{path}: {kind} data are one text file", hint="give the file itself; it is not zipped")
    if not reading.audio and reading.transcript is not None and not reading.transcript.lines:
        raise CorpusError(f"{path}: there is no recording in it", hint="of text data give the file itself; it is not zipped")
    if kind is None:
        kind = "AudioFiles" if reading.transcript is None else "Acoustic"
    return _build_audio(reading, path, locale, kind, purpose, progress)


def _build_audio(reading: Reading, path: Path, locale: str, kind: str, purpose: str | None, progress: Progress | None) -> Parts:
    where, transcript = path.name, reading.transcript
    recordings = scan(reading.audio, f"read {where}", progress)
    problems = [*reading.problems, *check_recordings(recordings, where, purpose), *_check_zip(path)]
    rejected: set[int] = set()
    if kind == "AudioFiles" and transcript is not None:
        problems.append(warning("unknown-file", "AudioFiles have no transcript; it is not uploaded", transcript.file))
        transcript = None
    if kind == "Acoustic" and transcript is None:
        hint = "add a file of lines name.wav<TAB>text, or give the kind AudioFiles"
        problems.append(error("no-transcript", "there is no transcript (.txt or .tsv)", where, hint=hint))
    if kind == "AudioFiles" and purpose == "training" and locale != "en-US":
        what = f"training with recordings alone is not offered for {locale}"
        problems.append(error("locale", what, where, hint="add a transcript"))
    if transcript is not None:
        found, rejected = _check_lines(transcript, recordings, locale, where, purpose)
        problems += found
    metadata = read_metadata(path, {recording.member.name for recording in recordings})
    problems += metadata.problems
    utterances = _utterances(recordings, transcript, metadata.groups)
    members = {recording.member.name: (recording.member, recording.sha256) for recording in recordings}
    text = encode(f"{utterance.id}\t{utterance.text}" for utterance in utterances) if transcript is not None else None
    digest = fingerprint(((utterance.id, members[utterance.id][1]) for utterance in utterances), text)
    unread = transcript.rejected if transcript is not None else 0
    return Parts(kind, utterances, (), in_order(problems), digest, unread + len(rejected), members, text)


def _check_zip(path: Path) -> list[Problem]:
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_ZIP:
        return [error("large", f"the zip has {size:,} bytes; at most 2 GB are taken", path.name, hint="split it")]
    return []


def _check_lines(
    transcript: Transcript, recordings: list[Recording], locale: str, where: str, purpose: str | None
) -> tuple[list[Problem], set[int]]:
    names = {recording.member.name: recording.member.path for recording in recordings}
    problems = [*transcript.problems, *check_transcript(transcript, names, where)]
    if transcript.source is not None:
        problems += check_storage(transcript.source, "Acoustic", locale)
    lines = [(line.number, line.text) for line in transcript.lines]
    found, rejected = apply_rules(rules_for("Acoustic", locale, purpose), lines, transcript.file)
    missing = {line.number for line in transcript.lines if line.id not in names}
    return problems + found, rejected | missing


def _utterances(
    recordings: list[Recording], transcript: Transcript | None, groups: Mapping[str, Mapping[str, str]]
) -> tuple[Utterance, ...]:
    """The recordings that can be used, in the order of the transcript, or by name where there is none."""
    wavs = {recording.member.name: recording.wav for recording in recordings if recording.wav is not None}
    said: list[tuple[str, str, int | None]] = (
        [(name, "", None) for name in wavs]
        if transcript is None
        else [(line.id, line.text, line.number) for line in transcript.lines if line.id in wavs]
    )
    return tuple(
        Utterance(name, text, wav.seconds, wav.sample_rate, wav.channels, number, groups.get(name, {}))
        for name, text, number in said
        for wav in [wavs[name]]
    )


def _build_text(
    member: Member, problems: tuple[Problem, ...], path: Path, locale: str, kind: str | None, purpose: str | None
) -> Parts:
    most = MAX_TEXT[kind] if kind is not None else max(MAX_TEXT.values())
    if member.size > most:
        what = f"{path}: the file has {member.size:,} bytes; of {kind or 'any text'} at most {most:,} are taken"
        raise CorpusError(what, hint="split it")
    data = member.read()
    text = decode(data, member.path)
    kind = kind or _guess_kind(text, path)
    if member.size > MAX_TEXT[kind]:
        what = f"the file has {member.size:,} bytes; of {kind} at most {MAX_TEXT[kind]:,} are taken"
        problems = (*problems, error("large", what, member.path, hint="split it"))
    if purpose == "testing":
        hint = "test with recordings"
        problems = (*problems, error("purpose", f"{kind} data are for training only", member.path, hint=hint))
    if kind == "Pronunciation" and locale.startswith("en"):
        text = decode(data, member.path, ansi=True)
    found, rejected = _check_text(text, kind, locale)
    everything = in_order([*problems, *found, *check_text_file(text, kind, locale, member.size)])
    upload = encode(text.lines)
    lines = tuple(Line(number, line) for number, line in text.numbered())
    return Parts(kind, (), lines, everything, fingerprint((), upload), rejected, text=upload)


def _check_text(text: Text, kind: str, locale: str) -> tuple[list[Problem], int]:
    """Problems of the content, and the number of rejected lines."""
    if kind == "Pronunciation":
        pronunciations = parse_pronunciations(text)
        return list(pronunciations.problems), pronunciations.rejected
    if kind == "OutputFormatting":
        output_format = parse_output_format(text)
        return list(output_format.problems), output_format.rejected
    rules = rules_for(kind, locale, None)
    if kind == "LanguageMarkdown":
        structured = parse_structured_text(text)
        sentences = ((sentence.number, sentence.text) for sentence in structured.sentences)
        found, rejected = apply_rules(rules, sentences, text.file)
        return [*structured.problems, *found], structured.rejected + len(rejected)
    found, rejected = apply_rules(rules, text.numbered(), text.file)
    return [*text.problems, *found], len(rejected)


def _guess_kind(text: Text, path: Path) -> str:
    """The kind of a text file by its content; CorpusError, saying what was seen, where that is not clear."""
    lines = [line for _, line in text.numbered()]
    if not lines:
        raise CorpusError(f"{path}: the file is empty")
    if looks_like_output_format(text):
        return "OutputFormatting"
    if looks_like_structured_text(text):
        return "LanguageMarkdown"
    tabs = sum("\t" in line for line in lines)
    if path.suffix.lower() != ".md":
        if tabs >= MOSTLY * len(lines):
            return "Pronunciation"
        if tabs <= (1 - MOSTLY) * len(lines):
            return "Language"
    seen = f"{tabs} of {len(lines)} lines have a tab" if tabs else "there is no '@ list', '# section' or '#itn' in it"
    raise CorpusError(f"{path}: what kind of data is this? {seen}", hint="say it with kind=, or --kind")
