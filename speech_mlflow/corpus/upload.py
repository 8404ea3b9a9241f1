"""Writing the file that the service takes: the same bytes for the same corpus."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

from speech_mlflow.corpus.checks import MAX_ZIP
from speech_mlflow.corpus.fingerprint import CHUNK, Hashing
from speech_mlflow.corpus.readers import Member
from speech_mlflow.errors import CorpusError
from speech_mlflow.files import replacing

TRANSCRIPT = "trans.txt"
"""The transcript's name in a zip, as in Microsoft's samples."""

NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""

_SUFFIX = {"Language": ".txt", "Pronunciation": ".txt", "LanguageMarkdown": ".md", "OutputFormatting": ".md"}
_OVERHEAD = 1_000
"""Bytes of a zip for one file beside its content, at most: headers and twice a name of 255 bytes."""


def write_zip(path: Path, audio: Mapping[str, tuple[Member, str]], transcript: bytes | None) -> Path:
    """Write recordings, as name to (file, SHA-256), and the transcript; the path with its suffix is returned."""
    size = sum(member.size + _OVERHEAD for member, _ in audio.values()) + len(transcript or b"") + _OVERHEAD
    # Speech shrinks by a fifth. That is not worth bytes that depend on the version of zlib, unless it makes the file fit.
    method = zipfile.ZIP_STORED if size <= MAX_ZIP else zipfile.ZIP_DEFLATED
    path = path.with_name(path.name + ".zip")
    with replacing(path) as file:
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, (member, digest) in sorted(audio.items()):
                with member.open() as source, archive.open(_info(name, method, member.size), "w") as target:
                    _copy(source, target, digest, member.path)
            if transcript is not None:
                with archive.open(_info(TRANSCRIPT, method, len(transcript)), "w") as target:
                    target.write(transcript)
        if file.tell() > MAX_ZIP:
            raise CorpusError(f"the zip has {file.tell():,} bytes; the service takes at most 2 GB", hint="split the corpus")
    return path


def write_text(path: Path, text: bytes, kind: str) -> Path:
    """Write a text file; the path with its suffix is returned."""
    path = path.with_name(path.name + _SUFFIX[kind])
    with replacing(path) as file:
        file.write(text)
    return path


def _copy(source: BinaryIO, target: IO[bytes], digest: str, path: str) -> None:
    stream = Hashing(source)
    while part := stream.read(CHUNK):
        target.write(part)
    if stream.rest() != digest:
        raise CorpusError(f"{path}: the file has changed since it was read", hint="read the corpus again")


def _info(name: str, method: int, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, NO_TIME)
    info.compress_type = method
    info.create_system = 3  # Unix, on every machine
    info.external_attr = 0o644 << 16
    info.file_size = size
    return info
