"""Transcripts of recordings: one line ``name.wav<TAB>text`` per file, and what people write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from speech_mlflow.corpus.records import Problem, error, excerpt, quote, warning
from speech_mlflow.corpus.text import Text

FORM = "write: name.wav<TAB>text"


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """What is said in one recording: ``name`` as written, with a folder if there is one, and the line's number from 1."""

    number: int
    name: str
    text: str

    @property
    def id(self) -> str:
        """The file's name without a folder."""
        return PurePosixPath(self.name).name


@dataclass(frozen=True)
class Transcript:
    """The transcript of a corpus. ``lines`` are those that could be read; ``rejected`` counts the others.

    ``unread`` are the names in lines that could not be read. ``source`` is the text file that it was read from, if it was one in
    this form.
    """

    file: str
    lines: tuple[TranscriptLine, ...]
    problems: tuple[Problem, ...] = ()
    rejected: int = 0
    source: Text | None = None
    unread: frozenset[str] = frozenset()


def parse_transcript(text: Text) -> Transcript:
    """Read a transcript; lines that cannot be read are left out and explained in ``problems``.

    Checked here is what the file alone shows: the form of the lines, empty texts and names that occur twice. Whether the
    recordings exist is not.
    """
    lines: list[TranscriptLine] = []
    problems = list(text.problems)
    first: dict[str, int] = {}
    unread: set[str] = set()
    rejected = 0
    for number, line in text.numbered():
        read = _read_line(number, line, text.file)
        if isinstance(read, Problem):
            problems.append(read)
            unread.add(_name_in(line))
        elif read.id in first:
            what = f"{excerpt(read.id)} has a transcript already, in line {first[read.id]}"
            problems.append(error("duplicate-line", what, text.file, number, "keep one of the two"))
        else:
            first[read.id] = number
            lines.append(read)
            if "\\" in line.partition("\t")[0]:
                problems.append(warning("backslash", "the name is written with backslashes", text.file, number))
            continue
        rejected += 1
    if not first and not rejected:
        problems.append(error("no-lines", "the transcript is empty", text.file, hint=FORM))
    return Transcript(text.file, tuple(lines), tuple(problems), rejected, text, frozenset(unread))


def looks_like_transcript(text: Text) -> bool:
    """Whether most lines begin with the name of a WAV file."""
    names = [bool(re.match(r"\S*\.wav(\s|,|\||$)", line, re.IGNORECASE)) for _, line in text.numbered()]
    return sum(names) > len(names) / 2


def _read_line(number: int, line: str, file: str) -> TranscriptLine | Problem:
    if "\t" not in line:
        return error("missing-tab", f"there is no tab in {quote(line)}", file, number, _missing_tab_hint(line))
    name, _, said = line.partition("\t")
    name, said = name.strip().replace("\\", "/"), said.strip()
    if not name:
        return error("missing-name", "there is no file name before the tab", file, number, FORM)
    if "\t" in said:
        columns = line.count("\t") + 1
        hint = "the service knows two columns, name and text; speakers and the like go into a metadata file beside the data"
        return error("extra-column", f"the line has {columns} columns", file, number, hint)
    if not said:
        return error("empty-text", f"{excerpt(name)} has no transcript", file, number, "write what is said, or leave it out")
    if not name.lower().endswith(".wav"):
        return error("not-a-wav-name", f"{quote(name)} is no name of a WAV file", file, number, _name_hint(name))
    return TranscriptLine(number, name, said)


def _name_in(line: str) -> str:
    """The name with which a line begins that could not be read; empty where it begins with none."""
    found = re.match(r"[^\t]*?\.wav(?=[\s|,;]|$)", line, re.IGNORECASE)
    return PurePosixPath(found[0].strip().replace("\\", "/")).name if found else ""


def _missing_tab_hint(line: str) -> str:
    """Recognise the transcript formats of other tools."""
    if re.match(r"\S+\.wav\s*\|", line, re.IGNORECASE) or line.count("|") in (1, 2):
        return f"this looks like the LJSpeech format, name|text; {FORM}"
    if line.lstrip().startswith("{"):
        return f"this looks like a JSON manifest; {FORM}"
    if re.match(r"\S+\.wav\s*[,;]", line, re.IGNORECASE):
        return f"this looks like CSV; {FORM}"
    if re.match(r"\S+\.wav +\S", line, re.IGNORECASE):
        return "put one tab, not spaces, between the name and the text"
    first, *rest = line.split(None, 1)
    if line.rstrip().endswith(")") and "(" in line.split()[-1]:
        return f"this looks like the trn format of sclite, text (id); {FORM}"
    if rest and re.search(r"[\d_-]", first):
        return f"this looks like Kaldi's text file, id text; {FORM}"
    return FORM


def _name_hint(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".mp3", ".flac", ".ogg", ".opus", ".m4a", ".mp4", ".webm", ".aac", ".wma"):
        return f"convert the recording: sox FILE{suffix} -b 16 -c 1 -r 16k NEW.wav"
    if name.lower() in ("name", "file", "filename", "file_name", "path", "id", "wav", "audio"):
        return "leave the header line out"
    return "write the whole file name, with .wav"
