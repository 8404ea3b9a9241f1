"""Decoding of text files: whatever the encoding, the same lines, and what is wrong is told with its line."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.corpus.text import decode, encode

GERMAN = "über\nzwei Wörter\n"


@pytest.mark.parametrize(
    ("data", "encoding", "bom", "codes"),
    [
        pytest.param(GERMAN.encode(), "utf-8", False, [], id="UTF-8"),
        pytest.param(codecs.BOM_UTF8 + GERMAN.encode(), "utf-8", True, [], id="UTF-8 with mark"),
        pytest.param(codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"), "utf-16-le", True, ["utf-16"], id="UTF-16 LE"),
        pytest.param(codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"), "utf-16-be", True, ["utf-16"], id="UTF-16 BE"),
        pytest.param(GERMAN.encode("utf-16-le"), "utf-16-le", False, ["utf-16"], id="UTF-16 LE without mark"),
        pytest.param(GERMAN.encode("utf-16-be"), "utf-16-be", False, ["utf-16"], id="UTF-16 BE without mark"),
        pytest.param(GERMAN.encode("cp1252"), "cp1252", False, ["encoding"], id="Windows-1252"),
        pytest.param(GERMAN.replace("\n", "\r\n").encode(), "utf-8", False, [], id="CRLF"),
        pytest.param((GERMAN + "\n \n\n").encode(), "utf-8", False, [], id="blank lines at the end"),
        pytest.param(GERMAN.rstrip("\n").encode(), "utf-8", False, [], id="no end of the last line"),
        pytest.param("u\u0308ber\nzwei Wo\u0308rter\n".encode(), "utf-8", False, ["decomposed"], id="decomposed"),
    ],
)
def test_the_same_lines_however_stored(data: bytes, encoding: str, bom: bool, codes: list[str]) -> None:
    text = decode(data, "a.txt")
    assert text.lines == ("über", "zwei Wörter")
    assert (text.encoding, text.bom) == (encoding, bom)
    assert [problem.code for problem in text.problems] == codes
    assert decode(encode(text.lines), "a.txt").lines == text.lines


def test_ascii_is_told_from_utf_8() -> None:
    assert decode(b"plain\n", "a.txt").encoding == "ascii"


def test_a_byte_that_is_no_utf_8_is_found_in_its_line() -> None:
    (problem,) = decode(b"one\ntwo\nsch\xf6n\n", "a.txt").problems
    assert (problem.severity, problem.line, problem.file) == ("error", 3, "a.txt")
    assert "0xF6" in problem.message
    assert "Windows-1252" in problem.message


def test_windows_1252_is_a_warning_where_the_service_takes_it() -> None:
    (problem,) = decode(b"caf\xe9\tkafay\n", "a.txt", ansi=True).problems
    assert problem.severity == "warning"


@pytest.mark.parametrize(
    ("data", "code", "severity", "line"),
    [
        pytest.param(b"one\na\x07b\n", "control-character", "error", 2, id="bell"),
        pytest.param(b"one\na\x1b[31mb\n", "control-character", "error", 2, id="escape"),
        pytest.param("one\na\u0085b\n".encode(), "control-character", "error", 2, id="C1"),
        pytest.param(b"one\rtwo\rthree", "control-character", "error", 1, id="line ends of old Macs"),
        pytest.param("one\na\u202eb\n".encode(), "invisible-character", "warning", 2, id="right-to-left override"),
        pytest.param("one\na\u200bb\n".encode(), "invisible-character", "warning", 2, id="zero-width space"),
        pytest.param("one\n\ufeffb\n".encode(), "invisible-character", "warning", 2, id="mark in the middle"),
        pytest.param(b"a\x00b" + bytes(range(1, 200)), "not-text", "error", None, id="binary"),
        pytest.param(codecs.BOM_UTF16_LE + b"a\0b", "encoding", "error", None, id="half a character"),
    ],
)
def test_what_does_not_belong_into_text(data: bytes, code: str, severity: str, line: int | None) -> None:
    found = {problem.code: problem for problem in decode(data, "a.txt").problems}
    assert (found[code].severity, found[code].line) == (severity, line)


def test_line_ends_of_old_macs_are_explained() -> None:
    (problem,) = decode(b"one\rtwo\rthree", "a.txt").problems
    assert "carriage return" in problem.message
    assert problem.hint == "save the file with LF or CRLF line ends"


def test_half_a_character_does_not_change_the_encoding() -> None:
    text = decode(codecs.BOM_UTF16_BE + "日本".encode("utf-16-be") + b"x", "a.txt")
    assert text.encoding == "utf-16-be"
    assert text.lines[0].startswith("日本")


@pytest.mark.parametrize("text", ["שלום עולם", "می\u200cخواهم", "क्\u200dष", "日本語。", "emoji 🎤"], ids=str)
def test_other_scripts_are_text(text: str) -> None:
    assert decode(text.encode(), "a.txt").problems == ()


def test_lines_end_at_lf_only() -> None:
    separators = "one\u2028still one\x0cstill one\n"
    assert len(decode(separators.encode(), "a.txt").lines) == 1


def test_the_upload_has_a_mark_and_lf() -> None:
    assert encode(["über", "b"]) == b"\xef\xbb\xbf" + "über\nb\n".encode()


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=80).map(lambda text: text.encode("utf-16", "replace"))))
def test_any_bytes_become_lines(data: bytes) -> None:
    text = decode(data, "fuzzed.txt")
    assert all("\n" not in line for line in text.lines)
    if not any(problem.severity == "error" for problem in text.problems):
        assert decode(encode(text.lines), "again.txt").lines == text.lines
