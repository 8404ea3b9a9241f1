"""Zip archives, read as the hostile input that they may be.

Nothing is ever unpacked to disk: entries are streams, checked while they are read, and their names are only labels. The frame
of the archive (its end record and the bounds of its directory) is checked by hand before ``zipfile`` parses it, since the time
and memory that takes are otherwise the sender's choice. What is refused, and why, is written at each rule.
The layout is that of PKWARE's APPNOTE 6.3, chapters 4.3 and 4.4.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import unicodedata
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from speech_mlflow.corpus.records import ascii_controls
from speech_mlflow.errors import ArchiveError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    entries: int = 20_000
    """The service takes 10,000 files; twice that leaves room for folders and what file managers add."""
    directory_bytes: int = 16 * MIB
    """Of the list of entries, which is parsed in memory. With names of 255 bytes and some extra fields it has 10 MiB."""
    total_bytes: int = 4 * GIB
    """Unpacked. The service takes zips of 2 GB, and speech shrinks by a fifth to a half where it has pauses."""
    entry_bytes: int = 1 * GIB
    """Unpacked. Two hours, the most that the service takes in one recording, are 230 MB."""
    ratio: int = 100
    """Unpacked to packed. Speech stays below 2, plain text below 10; a megabyte of zeros is 1028."""
    ratio_from: int = 10 * MIB
    """Unpacked bytes from which on the ratio counts: a short silence is no attack."""
    name_bytes: int = 255
    """UTF-8. What file systems take."""
    depth: int = 8
    """Folders in folders."""


LIMITS = Limits()

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_MAX_COMMENT = (1 << 16) - 1
_DIRECTORY_ENTRY = 46
_LOCAL_HEADER = 30
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNIX_EXTRA = 0x000D
"""Extra field of PKZIP for Unix: behind 12 bytes it holds the target of a hard or symbolic link."""
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
_ZIP_MAGIC = b"PK\x03\x04"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    ValueError,
)
"""What ``zipfile`` raises over a file that is not as it should be, in the Python versions that we support."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in an archive: its name with ``/`` between folders, and its unpacked size in bytes as declared."""

    name: str
    size: int


class Archive:
    """A zip archive that has been looked over; a context manager.

    ``source`` is a path or a seekable binary file, which stays the caller's. ``name`` stands in errors for a file without a
    name. Making one raises ArchiveError, naming the entry where there is one; so does reading an entry that is not what the
    directory said. Entries may be read from several threads.
    """

    def __init__(self, source: Path | BinaryIO, *, name: str | None = None, limits: Limits = LIMITS) -> None:
        self.limits = limits
        if isinstance(source, Path):
            self.name = name or source.name
            try:
                file: BinaryIO = source.open("rb")
            except OSError as problem:
                raise ArchiveError(f"{self.name}: cannot be opened: {problem.strerror}") from None
            self._close = weakref.finalize(self, file.close)
        else:
            self.name = name or "archive"
            file = source
            self._close = weakref.finalize(self, _nothing)
        try:
            self._zip, infos = self._look_over(file)
        except BaseException:
            self._close()
            raise
        self._infos = {info.filename: info for info in infos}
        self.entries = tuple(Entry(info.filename, info.file_size) for info in infos)

    def open(self, entry: Entry | str) -> BinaryIO:
        """A stream of one entry, read forward only, with bounded memory.

        Reading raises ArchiveError where the packed data is broken, the checksum is wrong, or there is less or more of it than
        the directory says.
        """
        name = entry if isinstance(entry, str) else entry.name
        info = self._infos[name]
        with self._ours(name):
            stream = cast(zipfile.ZipExtFile, self._zip.open(info))
        return io.BufferedReader(_Checked(self, info, stream), 64 * KIB)

    def read(self, entry: Entry | str, *, limit: int | None = None) -> bytes:
        """All of one entry; ArchiveError where it declares more than ``limit`` bytes."""
        name = entry if isinstance(entry, str) else entry.name
        size = self._infos[name].file_size
        if limit is not None and size > limit:
            raise self._error(name, f"has {size:,} bytes; at most {limit:,} are read")
        with self.open(name) as file:
            return file.read()

    def close(self) -> None:
        """Close the file, if this object opened it."""
        self._close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _look_over(self, file: BinaryIO) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
        with self._ours(None):
            start = _read_frame(file, self.limits)
            archive = zipfile.ZipFile(file)
        infos = archive.infolist()
        for info in infos:
            self._check_name(info)
            self._check_content(info)
        self._check_together(infos, start)
        return archive, [info for info in infos if not info.is_dir()]

    def _check_name(self, info: zipfile.ZipInfo) -> None:
        """Names are never used as paths here; they are checked for whoever unpacks the archive later."""
        name = info.orig_filename
        if any(ord(char) < 32 or ord(char) == 127 for char in name):
            raise self._error(name, "has a control character in its name")
        if "\\" in name:
            raise self._error(name, "has a backslash in its name", "pack it again with / between folders")
        if name.startswith("/") or re.match("[A-Za-z]:", name):
            raise self._error(name, "has an absolute path")
        parts = name.rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise self._error(name, "has a path that leaves its place ('..', '.' or '//')")
        if len(name.encode("utf-8", "surrogatepass")) > self.limits.name_bytes:
            raise self._error(name, f"has a name of more than {self.limits.name_bytes} bytes")
        if len(parts) > self.limits.depth:
            raise self._error(name, f"lies in more than {self.limits.depth} folders")

    def _check_content(self, info: zipfile.ZipInfo) -> None:
        name, limits = info.orig_filename, self.limits
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK or _has_link_target(info.extra):
            raise self._error(name, "is a link", "pack the files themselves")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise self._error(name, "is a device, socket or pipe")
        if info.is_dir() and info.file_size:
            raise self._error(name, "is a folder with content of its own")
        if info.flag_bits & _ENCRYPTED:
            raise self._error(name, "is encrypted", "pack it without a password")
        if info.compress_type not in _METHODS:
            raise self._error(name, f"is packed by method {info.compress_type}", "use the ordinary method, deflate")
        if name.lower().endswith(_ARCHIVES):
            raise self._error(name, "is an archive inside the archive", "unpack it first")
        if info.file_size > limits.entry_bytes:
            raise self._error(name, f"has {info.file_size:,} bytes; at most {limits.entry_bytes:,} are taken")
        if info.file_size > limits.ratio_from and info.file_size > limits.ratio * info.compress_size:
            raise self._error(name, f"unpacks to more than {limits.ratio} times its size")

    def _check_together(self, infos: list[zipfile.ZipInfo], start: int) -> None:
        total = sum(info.file_size for info in infos)
        if total > self.limits.total_bytes:
            raise self._error(None, f"unpacks to {total:,} bytes; at most {self.limits.total_bytes:,} are taken")
        seen: dict[str, str] = {}
        for info in infos:
            # Two spellings that are one file on macOS or Windows: there the second would replace the first.
            key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", info.filename).casefold()).rstrip("/")
            if key in seen:
                twin = seen[key]
                same = "is there twice" if twin == info.filename else f"differs from '{ascii_controls(twin)}' only in spelling"
                raise self._error(info.filename, same, "give each file a name of its own")
            seen[key] = info.filename
        # Entries that share bytes unpack to far more than the archive has (D. Fifield, "A better zip bomb", 2019).
        end = start
        for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
            length = _LOCAL_HEADER + len(info.orig_filename) + info.compress_size
            if info.header_offset < 0 or info.header_offset + length > end:
                raise self._error(info.filename, "overlaps with another entry or with the directory")
            end = info.header_offset

    @contextmanager
    def _ours(self, entry: str | None) -> Iterator[None]:
        """Turn what ``zipfile`` raises into ArchiveError."""
        try:
            yield
        except _BROKEN as problem:
            raise self._error(entry, f"is broken: {problem}") from None

    def _error(self, entry: str | None, message: str, hint: str | None = None) -> ArchiveError:
        where = self.name if entry is None else f"{self.name}: '{ascii_controls(entry)}'"
        return ArchiveError(f"{where} {message}", hint=hint)


class _Checked(io.RawIOBase):
    """The raw stream of one entry: errors become ours, and the size must be as declared."""

    def __init__(self, archive: Archive, info: zipfile.ZipInfo, stream: zipfile.ZipExtFile) -> None:
        self._archive = archive
        self._info = info
        self._stream = stream
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with self._archive._ours(self._info.filename):
            part = self._stream.read(len(buffer))
        if self._count == 0 and part.startswith(_ZIP_MAGIC):
            raise self._archive._error(self._info.filename, "is an archive inside the archive", "unpack it first")
        self._count += len(part)
        if not part and self._count != self._info.file_size:
            raise self._archive._error(
                self._info.filename, f"has {self._count:,} bytes, but the directory says {self._info.file_size:,}"
            )
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _read_frame(file: BinaryIO, limits: Limits) -> int:
    """Where the directory starts; BadZipFile unless all of the frame fits together.

    The end record must be the last thing in the file, the directory must lie right before it, and the archive must start with
    the file. Ordinary archives are like that; in others, two programs may see two different archives.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _END.size - _MAX_COMMENT, 0))
    tail = file.read(_END.size + _MAX_COMMENT)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile("it is no zip archive, or it was cut off")
    _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, at)
    end = size - len(tail) + at
    if end + _END.size + comment != size:
        raise zipfile.BadZipFile("there is something behind its end")
    file.seek(max(end - _END64_LOCATOR.size, 0))
    locator = file.read(_END64_LOCATOR.size)
    if end >= _END64_LOCATOR.size and locator.startswith(b"PK\6\7"):
        end -= _END64_LOCATOR.size + _END64.size
        file.seek(max(end, 0))
        record = file.read(_END64.size)
        if end < 0 or _END64_LOCATOR.unpack(locator)[2] != end or not record.startswith(b"PK\6\6"):
            raise zipfile.BadZipFile("its zip64 end record is not where it should be")
        disk, first_disk, here, count, length, start = _END64.unpack(record)[4:]
    if disk or first_disk or here != count:
        raise zipfile.BadZipFile("it is one part of an archive in several parts")
    if start + length != end:
        raise zipfile.BadZipFile("its directory is not where it should be")
    if count > limits.entries:
        raise zipfile.BadZipFile(f"it has {count:,} entries; at most {limits.entries:,} are taken")
    if length > limits.directory_bytes:
        raise zipfile.BadZipFile(f"its directory has {length:,} bytes; at most {limits.directory_bytes:,} are taken")
    _walk(file, start, length, count)
    return int(start)


def _walk(file: BinaryIO, start: int, length: int, count: int) -> None:
    """Walk over the directory, so that one that is longer than its count is found before it is parsed."""
    file.seek(start)
    for _ in range(count):
        head = file.read(_DIRECTORY_ENTRY)
        if len(head) < _DIRECTORY_ENTRY or head[:4] != b"PK\1\2":
            raise zipfile.BadZipFile("its directory is broken")
        name, extra, comment = struct.unpack_from("<3H", head, 28)
        length -= _DIRECTORY_ENTRY + name + extra + comment
        if length < 0:
            raise zipfile.BadZipFile("its directory is longer than it says")
        file.seek(name + extra + comment, os.SEEK_CUR)
    if length:
        raise zipfile.BadZipFile("its directory has more entries than it says")


def _has_link_target(extra: bytes) -> bool:
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == _UNIX_EXTRA and size > 12:
            return True
        extra = extra[4 + size :]
    return False


def _nothing() -> None:
    """Close nothing: the file is the caller's."""
