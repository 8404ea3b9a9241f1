"""WAV headers, read by hand.

Every size in a header is a claim by a stranger: recorders that were cut off leave 0 or 2³²-1, and an attacker writes what he
likes. So chunk sizes are only used to find the next chunk, and the length of the audio is what is really there.
The layout is Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" (RIFF) and ``WAVEFORMATEXTENSIBLE``.
"""

from __future__ import annotations

import io
import os
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from speech_mlflow.corpus.records import ascii_controls
from speech_mlflow.errors import AudioError

MAX_SECONDS = 2 * 3600
"""The service tests with files of up to two hours."""

MAX_CHUNKS = 64
"""Chunks before the audio. Editors write a handful (fact, LIST, bext, cue); thousands are an attack on the reader."""

MAX_HEADER = 1 << 20
"""Bytes before the audio. Broadcast notes take some kilobytes; more would only be read to be thrown away."""

SERVICE_RATES = (8000, 16000)
"""Sample rates in Hz that the service documents."""

PCM, EXTENSIBLE = 0x0001, 0xFFFE
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
UNKNOWN_SIZE = 0xFFFFFFFF
"""What programs that write to a pipe put where they cannot know the size."""

_FORMATS = {
    0x0002: "ADPCM",
    0x0003: "floating point",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0050: "MPEG",
    0x0055: "MP3",
}
_OTHERS = (
    (b"ID3", "MP3"),
    (b"\xff\xfb", "MP3"),
    (b"\xff\xfa", "MP3"),
    (b"\xff\xf3", "MP3"),
    (b"\xff\xf2", "MP3"),
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b"RF64", "RF64, for files over 4 GB"),
    (b"RIFX", "big-endian RIFX"),
    (b"FORM", "AIFF"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"PK\x03\x04", "a zip archive"),
)
CONVERT = "convert it: sox FILE -b 16 -e signed-integer -c 1 -r 16k NEW.wav"


@dataclass(frozen=True, slots=True)
class Wav:
    """What a WAV file holds: 16-bit PCM, ``frames`` samples per channel.

    ``data_offset`` and ``data_bytes`` say where the samples are; ``declared_bytes`` is what the header claims, and differs
    where the file was cut off or never finished.
    """

    name: str
    sample_rate: int
    channels: int
    data_offset: int
    data_bytes: int
    declared_bytes: int

    @property
    def frames(self) -> int:
        return self.data_bytes // (2 * self.channels)

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate

    @property
    def cut_off(self) -> bool:
        """Whether the header promises more audio than there is; a size left open is no promise."""
        return self.declared_bytes > self.data_bytes and self.declared_bytes != UNKNOWN_SIZE


def read_wav(
    source: Path | BinaryIO | bytes, *, name: str | None = None, size: int | None = None, max_seconds: float = MAX_SECONDS
) -> Wav:
    """Read the header of a WAV file, wherever it lies.

    ``name`` is used in errors; a path brings its own. ``size`` is the number of bytes from the present position of a file
    object to its end; without it a file object must be seekable. A file object is left somewhere after the header.

    Raises AudioError, naming the file, for anything but 16-bit PCM in one or two channels that lasts more than 0 and at most
    ``max_seconds`` seconds.
    """
    with ExitStack() as stack:
        if isinstance(source, Path):
            name = name or source.name
            try:
                source = stack.enter_context(source.open("rb"))
            except OSError as problem:
                raise AudioError(f"{name}: cannot be opened: {problem.strerror}") from None
        elif isinstance(source, bytes):
            size, source = len(source), io.BytesIO(source)
        if size is None:
            start = source.tell()
            size = source.seek(0, os.SEEK_END) - start
            source.seek(start)
        return _Reader(source, size, ascii_controls(name or "audio")).wav(max_seconds)


class _Reader:
    """Walks over the chunks of one file, reading forward only, since the file may be a stream out of an archive."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self.file = file
        self.size = size
        self.name = name
        self.position = 0

    def wav(self, max_seconds: float) -> Wav:
        self._riff()
        rate = channels = 0
        for _ in range(MAX_CHUNKS):
            head = self._take(8)
            if len(head) < 8:
                raise self._error("the file ends before its audio ('data' chunk)", CONVERT)
            chunk, length = head[:4], int.from_bytes(head[4:], "little")
            if chunk == b"fmt ":
                rate, channels = self._format(length)
            elif chunk == b"data":
                if not rate:
                    raise self._error("the audio comes before its format ('fmt ' chunk)", CONVERT)
                return self._data(rate, channels, length, max_seconds)
            else:
                self._skip(length + length % 2)
        raise self._error(f"there are more than {MAX_CHUNKS} chunks before the audio", CONVERT)

    def _riff(self) -> None:
        head = self._take(12)
        if not head:
            raise self._error("the file is empty")
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            kind = next((word for magic, word in _OTHERS if head.startswith(magic)), None)
            raise self._error(f"not a RIFF/WAVE file{f' but {kind}' if kind else ''}", CONVERT)

    def _format(self, length: int) -> tuple[int, int]:
        """Sample rate and channels; an error unless the format is 16-bit PCM."""
        body = self._take(min(length, 40))
        if len(body) < 16:
            raise self._error("the format ('fmt ' chunk) is cut short", CONVERT)
        self._skip(length - len(body) + length % 2)
        tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
        if tag == EXTENSIBLE and body[24:40] == PCM_GUID:
            tag = PCM
        if tag != PCM:
            raise self._error(f"the samples are {_FORMATS.get(tag, f'of format 0x{tag:04x}')}, not PCM", CONVERT)
        if bits != 16:
            raise self._error(f"the samples have {bits} bits, not 16", CONVERT)
        if channels not in (1, 2):
            raise self._error(f"there are {channels} channels; the service takes one", CONVERT)
        if rate == 0:
            raise self._error("the sample rate is 0 Hz", CONVERT)
        if align != 2 * channels:
            raise self._error(f"a frame has {align} bytes, but {channels} samples of 16 bits have {2 * channels}", CONVERT)
        return rate, channels

    def _data(self, rate: int, channels: int, declared: int, max_seconds: float) -> Wav:
        offset = self.position
        found = min(declared, max(self.size - offset, 0))
        wav = Wav(self.name, rate, channels, offset, found, declared)
        if wav.frames == 0:
            raise self._error("there is no audio in it", "record it again, or take it out together with its transcript")
        if wav.seconds > max_seconds:
            raise self._error(
                f"it lasts {wav.seconds / 60:.1f} minutes; at most {max_seconds / 60:.0f} are taken", "cut it into pieces"
            )
        return wav

    def _take(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end."""
        parts = bytearray()
        while len(parts) < count and (part := self.file.read(count - len(parts))):
            parts += part
        self.position += len(parts)
        return bytes(parts)

    def _skip(self, count: int) -> None:
        if self.position + count > self.size:
            raise self._error("the file ends before its audio ('data' chunk)", CONVERT)
        if self.position + count > MAX_HEADER:
            raise self._error(f"the audio does not begin in the first {MAX_HEADER >> 20} MiB", CONVERT)
        while count > 0 and (part := self._take(min(count, 65536))):
            count -= len(part)

    def _error(self, message: str, hint: str | None = None) -> AudioError:
        return AudioError(f"{self.name}: {message}", hint=hint)
