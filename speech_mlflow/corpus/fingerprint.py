"""Fingerprints: when two corpora are the same data.

A fingerprint is the SHA-256 of a short list: one line per uploaded recording, ``audio <SHA-256 of the file> <name>``, sorted
by name, and a line ``text <SHA-256>`` of the transcript or text file as it is uploaded. So it depends on the names and bytes of
the recordings, on the lines of the text and on their order. It does not depend on whether the data lie in a folder or a zip; on
the order, times and compression in a zip; on the name of the transcript file; on files that are not uploaded; on encoding, byte
order mark, normal form (NFC, NFD) and line ends of texts, and blank lines at their end; nor on locale and kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

CHUNK = 1 << 20
VERSION = b"speech-mlflow corpus 1\n"
"""Begins what is hashed. A change of the rules above must change it."""


class Hashing:
    """A binary stream, read forward, that hashes what passes."""

    def __init__(self, file: BinaryIO, passed: Callable[[int], None] | None = None) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._passed = passed

    def read(self, size: int = -1) -> bytes:
        part = self._file.read(size)
        self._saw(part)
        return part

    def rest(self) -> str:
        """Read to the end, with bounded memory; the SHA-256 of everything that passed, as 64 hex digits."""
        while part := self._file.read(CHUNK):
            self._saw(part)
        return self._hash.hexdigest()

    def _saw(self, part: bytes) -> None:
        self._hash.update(part)
        if self._passed is not None:
            self._passed(len(part))


def fingerprint(audio: Iterable[tuple[str, str]], text: bytes | None) -> str:
    """The fingerprint of recordings, as (name, SHA-256), and the text as uploaded (None: no text); 64 hex digits."""
    total = hashlib.sha256(VERSION)
    for name, digest in sorted(audio):
        total.update(f"audio {digest} {name}\n".encode("utf-8", "surrogatepass"))
    if text is not None:
        total.update(f"text {hashlib.sha256(text).hexdigest()}\n".encode())
    return total.hexdigest()
