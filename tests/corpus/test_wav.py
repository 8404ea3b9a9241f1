"""WAV headers: what is taken, and that nothing in a file can do more than be refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.corpus.wav import MAX_CHUNKS, read_wav
from speech_mlflow.errors import AudioError
from tests.corpus.make import chunk, extensible, wav


@pytest.mark.parametrize(
    ("data", "seconds", "rate", "channels"),
    [
        pytest.param(wav(0.5), 0.5, 16000, 1, id="16 kHz mono"),
        pytest.param(wav(0.5, rate=8000), 0.5, 8000, 1, id="8 kHz"),
        pytest.param(wav(0.5, channels=2), 0.5, 16000, 2, id="stereo"),
        pytest.param(wav(0.5, rate=44100), 0.5, 44100, 1, id="44.1 kHz is read, and judged elsewhere"),
        pytest.param(wav(0.5, riff=0), 0.5, 16000, 1, id="RIFF size 0"),
        pytest.param(wav(0.5, riff=0xFFFFFFFF), 0.5, 16000, 1, id="RIFF size 2^32-1"),
        pytest.param(wav(0.5, declared=0xFFFFFFFF), 0.5, 16000, 1, id="data size left open by a pipe"),
        pytest.param(wav(0.5, declared=99999), 0.5, 16000, 1, id="data size beyond the end"),
        pytest.param(wav(0.5, declared=3200) + b"LIST....", 0.1, 16000, 1, id="something behind the audio"),
        pytest.param(wav(0.5, before=chunk(b"LIST", b"odd")), 0.5, 16000, 1, id="odd chunk with its pad byte"),
        pytest.param(wav(0.5, before=chunk(b"bext", bytes(9000))), 0.5, 16000, 1, id="broadcast notes"),
        pytest.param(extensible(), 0.01, 16000, 1, id="extensible PCM"),
        pytest.param(wav(0.5)[:-1], 0.5 - 1 / 16000, 16000, 1, id="cut off inside a sample"),
    ],
)
def test_recordings_that_are_taken(data: bytes, seconds: float, rate: int, channels: int) -> None:
    found = read_wav(data, name="a.wav")
    assert found.seconds == pytest.approx(seconds)
    assert (found.sample_rate, found.channels) == (rate, channels)


def test_the_samples_are_where_it_says() -> None:
    data = wav(0.5, before=chunk(b"LIST", b"some notes"))
    found = read_wav(data)
    assert data[found.data_offset - 8 : found.data_offset - 4] == b"data"
    assert found.data_offset + found.data_bytes == len(data)


@pytest.mark.parametrize(("declared", "cut_off"), [(None, False), (99999, True), (0xFFFFFFFF, False), (100, False)], ids=str)
def test_a_broken_promise_is_told_from_an_open_size(declared: int | None, cut_off: bool) -> None:
    assert read_wav(wav(0.1, declared=declared)).cut_off is cut_off


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(bytes(44), "not a RIFF/WAVE file", id="44 zero bytes"),
        pytest.param(wav(0), "no audio", id="header only"),
        pytest.param(wav(0.1)[:20], "cut short", id="cut off in the format"),
        pytest.param(wav(0.1)[:36], "ends before its audio", id="cut off before the audio"),
        pytest.param(wav(0.1, declared=0), "no audio", id="recorder that never finished"),
        pytest.param(wav(0.1, tag=3, bits=32), "floating point", id="float32"),
        pytest.param(wav(0.1, bits=24), "24 bits", id="24 bit"),
        pytest.param(wav(0.1, bits=8), "8 bits", id="8 bit"),
        pytest.param(wav(0.1, tag=6, bits=8), "A-law", id="A-law"),
        pytest.param(wav(0.1, tag=7, bits=8), "mu-law", id="mu-law"),
        pytest.param(wav(0.1, tag=0x1234), "0x1234", id="unknown format"),
        pytest.param(wav(0.1, channels=6), "6 channels", id="6 channels"),
        pytest.param(wav(0.1, channels=0), "0 channels", id="no channels"),
        pytest.param(wav(0.1, rate=0), "0 Hz", id="0 Hz"),
        pytest.param(wav(0.1)[:32] + b"\x04" + wav(0.1)[33:], "a frame has 4 bytes", id="frames of another size"),
        pytest.param(extensible(bytes(16)), "0xfffe", id="extensible, not PCM"),
        pytest.param(b"ID3\x04" + bytes(400), "but MP3", id="mp3 renamed"),
        pytest.param(b"\xff\xfb\x90" + bytes(400), "but MP3", id="mp3 without tag renamed"),
        pytest.param(b"fLaC" + bytes(400), "but FLAC", id="flac renamed"),
        pytest.param(b"RF64" + wav(0.1)[4:], "RF64", id="RF64"),
        pytest.param(b"RIFX" + wav(0.1)[4:], "RIFX", id="big endian"),
        pytest.param(wav(0.1, before=chunk(b"LIST", b"") * (MAX_CHUNKS + 1)), "more than", id="LIST bomb"),
        pytest.param(wav(0.1, before=chunk(b"LIST", bytes(2 << 20))), "does not begin in the first", id="huge LIST"),
        pytest.param(wav(0.1, before=chunk(b"LIST", b"", 0xFFFFFFFF)), "ends before its audio", id="endless LIST"),
        pytest.param(wav(0.1, rate=1, declared=0xFFFFFFFF) + bytes(20000), "minutes", id="too long"),
        pytest.param(b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(320)), "before its format", id="no format"),
    ],
)
def test_recordings_that_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        read_wav(data, name="bad.wav")
    assert caught.value.message.startswith("bad.wav: ")


def test_the_limit_of_length_can_be_moved() -> None:
    with pytest.raises(AudioError, match="at most"):
        read_wav(wav(2), max_seconds=1)
    assert read_wav(wav(2), max_seconds=2).seconds == 2


def test_paths_and_files_bring_their_place(tmp_path: Path) -> None:
    path = tmp_path / "here.wav"
    path.write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"^here\.wav: not a RIFF"):
        read_wav(path)
    with pytest.raises(AudioError, match=r"^gone\.wav: cannot be opened"):
        read_wav(tmp_path / "gone.wav")
    file = io.BytesIO(b"before" + wav(0.1))
    file.seek(6)
    assert read_wav(file).seconds == pytest.approx(0.1)


def test_a_name_cannot_move_the_cursor() -> None:
    with pytest.raises(AudioError) as caught:
        read_wav(b"", name="a\x1b[2J\n.wav")
    assert caught.value.message.startswith("a\\x1b[2J\\n.wav")


class Forward(io.RawIOBase):
    """A stream that gives one byte at a time and cannot seek, as a slow decompressor might."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(min(size, 1))


def test_a_stream_is_read_forward_only() -> None:
    data = wav(0.1, before=chunk(b"LIST", b"notes"))
    assert read_wav(Forward(data), size=len(data)).seconds == pytest.approx(0.1)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    refused_or_read(data)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=100))
def test_any_chunks_are_refused_or_read(data: bytes) -> None:
    refused_or_read(b"RIFF\0\0\0\0WAVE" + data)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_damage_is_refused_or_read(data: st.DataObject) -> None:
    damaged = bytearray(wav(0.01, before=chunk(b"LIST", b"notes")))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 70))] = data.draw(st.integers(0, 255))
    refused_or_read(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def refused_or_read(data: bytes) -> None:
    refused: str | None = None
    try:
        found = read_wav(data, name="fuzzed.wav")
    except AudioError as error:
        refused = error.message
    else:
        assert 0 < found.seconds <= 7200
        assert found.data_offset + found.data_bytes <= len(data)
    assert refused is None or refused.startswith("fuzzed.wav: ")
