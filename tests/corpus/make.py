"""Makes recordings and corpora for the tests, in whatever shape a test needs."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def wav(
    seconds: float = 0.1,
    *,
    rate: int = 16000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    before: bytes = b"",
    declared: int | None = None,
    riff: int | None = None,
    pitch: float = 220.0,
) -> bytes:
    """A WAV file with a tone; every field of its header can be made to lie."""
    frames = round(seconds * rate) if rate else 0
    if bits == 16:
        tone = [round(8000 * math.sin(2 * math.pi * pitch * i / rate)) for i in range(frames)]
        samples = b"".join(struct.pack("<h", value) * channels for value in tone)
    else:
        samples = bytes(frames * channels * bits // 8)
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    data = struct.pack("<4sI", b"data", len(samples) if declared is None else declared) + samples
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", len(form)) + form + before + data
    return struct.pack("<4sI", b"RIFF", len(body) if riff is None else riff) + body


def chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return struct.pack("<4sI", name, len(content) if length is None else length) + content + b"\0" * (len(content) % 2)


def extensible(guid: bytes = PCM_GUID) -> bytes:
    """A WAVEFORMATEXTENSIBLE file, as sox and ffmpeg write for some formats."""
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4) + guid
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", bytes(320))
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An ordinary zip of files, in the order given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def folder(path: Path, files: Mapping[str, bytes | str]) -> Path:
    """A folder of files; text is written as UTF-8 with a byte order mark."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("utf-8-sig") if isinstance(content, str) else content)
    return path


def acoustic(count: int = 3) -> dict[str, bytes | str]:
    """The files of a small Acoustic corpus."""
    files: dict[str, bytes | str] = {f"a{i}.wav": wav(0.05 + 0.01 * i, pitch=200 + 10 * i) for i in range(count)}
    words = ("zero", "one", "two", "three", "four", "five")
    files["trans.txt"] = "".join(f"a{i}.wav\tthis is number {words[i]}\n" for i in range(count))
    return files
