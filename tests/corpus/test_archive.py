"""Zip archives: ordinary ones are read, hostile ones are refused with the name of the entry, and nothing is ever written."""

from __future__ import annotations

import gc
import io
import random
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.corpus.archive import Archive, Limits
from speech_mlflow.errors import ArchiveError
from tests.corpus.make import wav, zipped


def entry(name: str, content: bytes = b"hello", *, mode: int = 0, extra: bytes = b"", flags: int = 0) -> bytes:
    """A zip of one entry with odd attributes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = mode << 16
        info.extra = extra
        archive.writestr(info, content)
    data = bytearray(buffer.getvalue())
    if flags:
        for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = data.index(magic) + offset
            data[at : at + 2] = struct.pack("<H", flags)
    return bytes(data)


def patched(data: bytes, magic: bytes, offset: int, form: str, value: int) -> bytes:
    """``data`` with one field behind the last ``magic`` overwritten."""
    at = data.rindex(magic) + offset
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def counted(data: bytes, count: int) -> bytes:
    """``data`` with another number of entries in its end record."""
    return patched(patched(data, b"PK\5\6", 8, "<H", count), b"PK\5\6", 10, "<H", count)


def nul_name() -> bytes:
    return entry("aXb.wav").replace(b"aXb.wav", b"a\0b.wav")


def two(first: str, second: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("000000", b"1")
        archive.writestr("111111", b"2")
    names = [name.encode() for name in (first, second)]
    assert len(names[0]) == len(names[1]) == 6
    return buffer.getvalue().replace(b"000000", names[0]).replace(b"111111", names[1])


def wrong_checksum() -> bytes:
    data = zipped({"a.wav": b"hello"}, zipfile.ZIP_STORED)
    return data.replace(b"hello", b"jello")


def wrong_checksum_packed() -> bytes:
    data = bytearray(zipped({"a.wav": b"hello world" * 50}))
    data[data.index(b"a.wav") + 5 + 6] ^= 0xFF
    return bytes(data)


def wrong_size(content: bytes, declared: int) -> bytes:
    """The directory declares more than there is; the checksum is right."""
    return patched(zipped({"a.wav": content}), b"PK\1\2", 24, "<I", declared)


def overlapping() -> bytes:
    """Two entries that share the bytes of the first."""
    data = zipped({"a.wav": b"hello" * 100, "b.wav": b"hello" * 100}, zipfile.ZIP_STORED)
    return patched(data, b"PK\1\2", 42, "<I", 0)


def many(count: int) -> bytes:
    """A directory of ``count`` entries without content, made by hand since zipfile is slow at it."""
    record = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0)
    directory = b"".join(record + b"%05d" % number for number in range(count))
    shown = min(count, 0xFFFF)
    locator = b""
    if count > shown:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), 0)
        locator = end64 + struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
    return directory + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, shown, shown, len(directory), 0, 0)


def zip64_liar(count: int = 1) -> bytes:
    """A zip64 record that says there is one entry, before a directory of many."""
    data = many(70_000)
    at = data.index(b"PK\6\6")
    return data[: at + 24] + struct.pack("<QQ", count, count) + data[at + 40 :]


def zip64_elsewhere() -> bytes:
    data = many(70_000)
    at = data.index(b"PK\6\7")
    return data[: at + 8] + struct.pack("<Q", 0) + data[at + 16 :]


def bomb() -> bytes:
    return zipped({"zeros.wav": bytes(12 << 20)})


def link_extra() -> bytes:
    return struct.pack("<2H12s", 0x000D, 12 + 11, bytes(12)) + b"/etc/passwd"


HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("parent", lambda: entry("../x.wav"), r"'\.\./x\.wav' has a path"),
    ("parent inside", lambda: entry("a/../../x.wav"), r"has a path"),
    ("absolute", lambda: entry("/etc/x.wav"), r"'/etc/x\.wav' has an absolute path"),
    ("drive", lambda: entry("C:/x.wav"), r"'C:/x\.wav' has an absolute path"),
    ("drive with backslash", lambda: entry("C:\\x.wav"), r"has a backslash"),
    ("backslash", lambda: entry("..\\x.wav"), r"has a backslash"),
    ("double slash", lambda: entry("a//x.wav"), r"has a path"),
    ("dot", lambda: entry("./x.wav"), r"has a path"),
    ("symbolic link", lambda: entry("a.wav", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), r"'a\.wav' is a link"),
    ("hard link", lambda: entry("a.wav", extra=link_extra()), r"'a\.wav' is a link"),
    ("device", lambda: entry("a.wav", mode=stat.S_IFCHR | 0o600), r"'a\.wav' is a device"),
    ("pipe", lambda: entry("a.wav", mode=stat.S_IFIFO | 0o600), r"'a\.wav' is a device"),
    ("duplicate", lambda: two("aa.wav", "aa.wav"), r"'aa\.wav' is there twice"),
    ("case twins", lambda: two("aa.wav", "AA.wav"), r"'AA\.wav' differs from 'aa\.wav' only"),
    ("unicode twins", lambda: zipped({"\u00e9.wav": b"1", "e\u0301.wav": b"2"}), r"differs from 'é\.wav' only"),
    ("NUL", nul_name, r"'a\\x00b\.wav' has a control"),
    ("newline", lambda: entry("a\nb.wav"), r"'a\\nb\.wav' has a control"),
    ("long name", lambda: entry("n" * 300 + ".wav"), r"has a name of more than 255"),
    ("long name in bytes", lambda: entry("\u00e9" * 140 + ".wav"), r"has a name of more than 255"),
    ("deep", lambda: entry("a/" * 9 + "b.wav"), r"more than 8 folders"),
    ("overlap", overlapping, r"'[ab]\.wav' overlaps"),
    ("nested", lambda: entry("inner.zip"), r"'inner\.zip' is an archive inside"),
    ("bomb", bomb, r"'zeros\.wav' unpacks to more than 100 times"),
    ("encrypted", lambda: entry("a.wav", flags=1), r"'a\.wav' is encrypted"),
    ("strongly encrypted", lambda: entry("a.wav", flags=0x40), r"'a\.wav' is encrypted"),
    ("other method", lambda: zipped({"a.wav": b"hello"}, zipfile.ZIP_BZIP2), r"'a\.wav' is packed by method 12"),
    ("folder with content", lambda: entry("a/", b"hello"), r"'a/' is a folder with content"),
    ("truncated", lambda: zipped({"a.wav": wav()})[:-30], r"cut off"),
    ("no zip", lambda: wav(), r"no zip archive"),
    ("empty file", lambda: b"", r"no zip archive"),
    ("something before", lambda: b"#!/bin/sh\n" + zipped({"a.wav": b"hello"}), r"directory is not where"),
    ("something behind", lambda: zipped({"a.wav": b"hello"}) + b"x", r"something behind"),
    ("several parts", lambda: patched(zipped({"a.wav": b"1"}), b"PK\5\6", 4, "<H", 1), r"several parts"),
    ("more than it says", lambda: counted(zipped({"a": b"1", "b": b"2"}), 1), r"more entries"),
    ("fewer than it says", lambda: counted(zipped({"a": b"1"}), 2), r"directory is broken"),
    ("counts differ", lambda: patched(zipped({"a": b"1"}), b"PK\5\6", 8, "<H", 2), r"several parts"),
    ("broken directory", lambda: patched(zipped({"a": b"1", "b": b"2"}), b"PK\1\2", 0, "<I", 0), r"directory is broken"),
    ("name longer than directory", lambda: patched(zipped({"a": b"1"}), b"PK\1\2", 28, "<H", 9), r"longer than it says"),
    ("100,000 entries", lambda: many(100_000), r"100,000 entries; at most 20,000"),
    ("zip64 count lies", zip64_liar, r"more entries"),
    ("zip64 elsewhere", zip64_elsewhere, r"zip64"),
    ("huge entry", lambda: wrong_size(b"1", 0x7FFFFFFF), r"'a\.wav' has 2,147,483,647 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [pytest.param(make, message, id=name) for name, make, message in HOSTILE])
def test_hostile_archives_are_refused_on_opening(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ArchiveError, match=message) as caught:
        Archive(io.BytesIO(make()), name="bad.zip")
    assert caught.value.message.startswith("bad.zip")
    assert caught.value.message.isprintable()


READ = [
    ("wrong checksum", wrong_checksum, r"'a\.wav' is broken: Bad CRC"),
    ("wrong checksum, packed", wrong_checksum_packed, r"'a\.wav' is broken"),
    ("more declared than there is", lambda: wrong_size(b"hello", 500), r"'a\.wav' has 5 bytes, but the directory says 500"),
    ("less declared than there is", lambda: wrong_size(b"hello", 3), r"'a\.wav' is broken"),
    ("zip by content", lambda: entry("a.wav", zipped({"b": b"1"})), r"'a\.wav' is an archive inside"),
    ("other local name", lambda: entry("a.wav").replace(b"a.wav", b"b.wav", 1), r"'a\.wav' is broken"),
]


@pytest.mark.parametrize(("make", "message"), [pytest.param(make, message, id=name) for name, make, message in READ])
def test_what_only_reading_shows_is_refused_then(make: Callable[[], bytes], message: str) -> None:
    with Archive(io.BytesIO(make()), name="bad.zip") as archive, pytest.raises(ArchiveError, match=message):
        archive.read("a.wav")


def test_ordinary_archives_are_read(tmp_path: Path) -> None:
    files = {"trans.txt": "a.wav\tüber\n".encode(), "a.wav": wav(), "folder/b.wav": wav(0.2), "größe.wav": wav(0.3)}
    path = tmp_path / "data.zip"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path.write_bytes(zipped(files, method))
        with Archive(path) as archive:
            assert {entry.name: entry.size for entry in archive.entries} == {n: len(c) for n, c in files.items()}
            assert {entry.name: archive.read(entry) for entry in archive.entries} == files


def test_folders_comments_and_streamed_archives_are_ordinary() -> None:
    class Pipe(io.RawIOBase):
        """A target that cannot seek: zipfile then puts the sizes behind the content."""

        def __init__(self) -> None:
            self.parts = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, part: bytes) -> int:  # type: ignore[override]
            self.parts += part
            return len(part)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/a.wav", wav())
        archive.comment = b"a comment"
    with Archive(io.BytesIO(bytes(pipe.parts))) as opened:
        assert [entry.name for entry in opened.entries] == ["folder/a.wav"]
        assert opened.read("folder/a.wav") == wav()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(entry("two words, (1)~!.wav"), id="spaces and signs"),
        pytest.param(entry("n" * 251 + ".wav"), id="name of 255 bytes"),
        pytest.param(entry("a/" * 7 + "b.wav"), id="in seven folders"),
        pytest.param(entry("a.wav", extra=struct.pack("<2H", 0x000A, 32) + bytes(32)), id="times of Windows"),
        pytest.param(entry("a.wav", extra=struct.pack("<2H", 0x000D, 12) + bytes(12)), id="times of PKZIP for Unix"),
        pytest.param(entry("a.wav", mode=stat.S_IFREG | 0o755), id="mode of a file"),
        pytest.param(zipped({"a.wav": bytes(1 << 20)}), id="a megabyte of silence"),
    ],
)
def test_what_is_odd_but_harmless_is_read(data: bytes) -> None:
    with Archive(io.BytesIO(data)) as archive:
        (only,) = archive.entries
        assert len(archive.read(only)) == only.size


def test_the_ratio_counts_from_its_size_on_only() -> None:
    limits = Limits(ratio=2, ratio_from=1000)
    assert Archive(io.BytesIO(zipped({"a.wav": bytes(1000)})), limits=limits).entries
    assert Archive(io.BytesIO(zipped({"a.wav": bytes(2000)}, zipfile.ZIP_STORED)), limits=limits).entries
    with pytest.raises(ArchiveError, match="more than 2 times"):
        Archive(io.BytesIO(zipped({"a.wav": bytes(1001)})), limits=limits)


def test_an_empty_archive_has_no_entries() -> None:
    assert Archive(io.BytesIO(zipped({}))).entries == ()


def test_zip64_is_read() -> None:
    data = zipped({"a.wav": wav(), "b.wav": wav(0.2)})
    at = data.rindex(b"PK\5\6")
    size, start = struct.unpack_from("<2L", data, at + 12)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with Archive(io.BytesIO(data[:at] + end64 + locator + end)) as archive:
        assert archive.read("b.wav") == wav(0.2)


def test_limits_hold_at_their_edge() -> None:
    data = io.BytesIO(zipped({"a.wav": bytes(100), "b.wav": bytes(100)}, zipfile.ZIP_STORED))
    assert len(Archive(data, limits=Limits(entries=2, total_bytes=200, entry_bytes=100)).entries) == 2
    assert len(Archive(data, limits=Limits(directory_bytes=102)).entries) == 2
    for limits in (
        Limits(entries=1),
        Limits(directory_bytes=101),
        Limits(total_bytes=199),
        Limits(entry_bytes=99),
        Limits(ratio=0, ratio_from=99),
    ):
        with pytest.raises(ArchiveError):
            Archive(data, limits=limits)


def test_an_entry_beyond_the_callers_limit_is_not_read() -> None:
    archive = Archive(io.BytesIO(zipped({"trans.txt": b"12345"})))
    assert archive.read("trans.txt", limit=5) == b"12345"
    with pytest.raises(ArchiveError, match=r"'trans\.txt' has 5 bytes; at most 4"):
        archive.read("trans.txt", limit=4)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"^gone\.zip: cannot be opened"):
        Archive(tmp_path / "gone.zip")


def test_the_file_is_closed_when_its_user_forgets(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"a.wav": wav()}))
    before = open_files()
    archive = Archive(path)
    stream = archive.open("a.wav")
    assert open_files() == before + 1
    del archive
    gc.collect()
    assert stream.read() == wav()  # the stream keeps its archive
    stream.close()
    del stream
    gc.collect()
    assert open_files() == before


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"no zip")
    before = open_files()
    with pytest.raises(ArchiveError):
        Archive(path)
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_memory_does_not_grow_with_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    noise = random.Random(0).randbytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("a.wav", "w") as file:
        for _ in range(16):
            file.write(noise)
    tracemalloc.start()
    try:
        with Archive(path) as opened, opened.open("a.wav") as stream:
            total = sum(len(part) for part in iter(lambda: stream.read(1 << 16), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 16 << 20
    assert peak < 4 << 20


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    for _, make, _ in HOSTILE[:12]:
        with pytest.raises(ArchiveError):
            Archive(io.BytesIO(make()))
    with Archive(io.BytesIO(zipped({"deep/a.wav": wav()}))) as archive:
        archive.read("deep/a.wav")
    assert list(tmp_path.rglob("*")) == [inside]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_damage_is_refused_or_read(data: st.DataObject) -> None:
    whole = zipped({"trans.txt": b"a.wav\thello\n", "a.wav": b"RIFF" * 20, "b/c.wav": b"x"})
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    refused_or_read(bytes(damaged))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    refused_or_read(data)


def refused_or_read(data: bytes) -> None:
    refused = None
    try:
        with Archive(io.BytesIO(data), name="fuzzed.zip") as archive:
            for item in archive.entries:
                assert len(archive.read(item)) == item.size
    except ArchiveError as error:
        refused = error.message
    assert refused is None or refused.startswith("fuzzed.zip")
