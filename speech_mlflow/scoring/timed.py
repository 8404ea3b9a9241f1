"""The NIST formats with times: segments of a reference (stm) and words of a recogniser (ctm).

stm: ``file channel speaker start end <label> words``, the label being optional; segments with the text
``IGNORE_TIME_SEGMENT_IN_SCORING`` are left out together with what was recognised in them. ctm: ``file channel start
duration word confidence``, the confidence being optional. Times are in seconds. Lines that start with ``;;`` are comments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speech_mlflow.errors import ScoringError

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
_SHOWN = 20


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording by one speaker; times in seconds."""

    line: int
    file: str
    channel: str
    speaker: str
    start: float
    end: float
    text: str
    label: str = ""

    @property
    def id(self) -> str:
        """File, channel and start: what tells segments apart."""
        return f"{self.file}-{self.channel}-{self.start:.3f}"

    @property
    def ignored(self) -> bool:
        return self.text.strip().upper() == IGNORED


@dataclass(frozen=True)
class TimedWord:
    """A recognised word; times in seconds."""

    file: str
    channel: str
    start: float
    duration: float
    text: str

    @property
    def middle(self) -> float:
        return self.start + self.duration / 2


def read_stm(path: Path) -> list[Segment]:
    """Read segments. Raises ScoringError with every line that is not one."""
    segments: list[Segment] = []
    problems: list[str] = []
    for number, fields in _fields(path, 6):
        try:
            file, channel, speaker, start, end = fields[:5]
            rest = fields[5] if len(fields) > 5 else ""
            label, text = "", rest
            if rest.startswith("<") and ">" in rest:
                label, _, text = rest[1:].partition(">")
            segments.append(Segment(number, file, channel, speaker, float(start), float(end), text.strip(), label))
        except ValueError:
            problems.append(f"{path}:{number} is not: file channel speaker start end <label> words")
    _check(path, problems)
    return segments


def read_ctm(path: Path) -> list[TimedWord]:
    """Read words. Raises ScoringError with every line that is not one."""
    words: list[TimedWord] = []
    problems: list[str] = []
    for number, fields in _fields(path, 5):
        try:
            file, channel, start, duration, rest = fields
            text = rest.split()[0]
            if text.startswith("<ALT"):
                problems.append(f"{path}:{number} alternatives (<ALT>) are not supported: keep the one that counts")
                continue
            words.append(TimedWord(file, channel, float(start), float(duration), text))
        except ValueError:
            problems.append(f"{path}:{number} is not: file channel start duration word confidence")
    _check(path, problems)
    return words


def assign_words(words: Sequence[TimedWord], segments: Sequence[Segment]) -> dict[str, str]:
    """The text recognised in each segment: a word belongs where its middle lies, or else to the nearest segment.

    Words in ignored segments are dropped. Words of a file and channel without any segment come under their own name,
    so that they are found to be extra.
    """
    texts: dict[str, list[str]] = {segment.id: [] for segment in segments if not segment.ignored}
    by_channel: dict[tuple[str, str], list[Segment]] = {}
    for segment in sorted(segments, key=lambda segment: segment.start):
        by_channel.setdefault((segment.file, segment.channel), []).append(segment)
    starts = {channel: [segment.start for segment in members] for channel, members in by_channel.items()}
    for word in sorted(words, key=lambda word: word.start):
        candidates = by_channel.get((word.file, word.channel))
        if candidates is None:
            texts.setdefault(f"{word.file}-{word.channel}", []).append(word.text)
            continue
        segment = _nearest(word.middle, candidates, starts[word.file, word.channel])
        if not segment.ignored:
            texts[segment.id].append(word.text)
    return {name: " ".join(parts) for name, parts in texts.items()}


def _nearest(time: float, segments: Sequence[Segment], starts: Sequence[float]) -> Segment:
    after = bisect_right(starts, time)
    around = segments[max(0, after - 1) : after + 1]
    return min(around, key=lambda segment: max(segment.start - time, time - segment.end, 0.0))


def _fields(path: Path, most: int) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines, split into at most so many fields."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not line.startswith(";;"):
                    yield number, line.strip().split(maxsplit=most - 1)
    except OSError as error:
        raise ScoringError(f"{path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ScoringError(f"{path} cannot be read: it is not UTF-8") from error


def _check(path: Path, problems: list[str]) -> None:
    if problems:
        rest = len(problems) - _SHOWN
        more = [f"and {rest} more"] if rest > 0 else []
        raise ScoringError("\n  ".join([f"{len(problems)} problems in {path}:", *problems[:_SHOWN], *more]))
