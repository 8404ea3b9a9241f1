"""Text files: from bytes to lines, with everything said about the way they are stored.

The service wants UTF-8 with a byte order mark. Files come in UTF-16 (Excel's "Unicode text"), in Windows-1252, with either line
end, and in either Unicode normal form (macOS writes decomposed names). All of it is read here, told, and written back in the
one form that the service documents (:func:`encode`).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from speech_mlflow.corpus.records import Problem, error, warning

PROBE = 4096
"""Bytes looked at to tell UTF-16 without a mark, and binary files, from text."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Soft hyphen, zero-width space, marks and overrides of direction. Not the (non-)joiners, which Persian and Hindi need."""


@dataclass(frozen=True)
class Text:
    """A decoded text file. ``lines[0]`` is line 1; lines have no end and no byte order mark, and are in normal form C.

    ``encoding`` is ``ascii``, ``utf-8``, ``utf-16-le``, ``utf-16-be`` or ``cp1252``.
    """

    file: str
    lines: tuple[str, ...]
    encoding: str
    bom: bool
    problems: tuple[Problem, ...] = ()

    def numbered(self) -> Iterable[tuple[int, str]]:
        """The lines that are not blank, with their numbers."""
        return ((number, line) for number, line in enumerate(self.lines, 1) if line.strip())


def decode(data: bytes, file: str, *, ansi: bool = False) -> Text:
    """Decode a text file; whatever is wrong with it is in ``problems``, and nothing is raised.

    ``file`` is the name that problems carry. ``ansi`` says that the service takes Windows-1252 here, which is so for
    pronunciations in English. A line ends at LF or CRLF and nowhere else; blank lines at the end of the file are left out.
    """
    problems: list[Problem] = []
    body, encoding, bom = _sniff(data)
    try:
        content = body.decode(encoding)
    except UnicodeDecodeError as problem:
        content, encoding = _decode_anyway(body, encoding, problem, file, ansi, problems)
    if encoding == "utf-8" and not bom and content.isascii():
        encoding = "ascii"
    if encoding.startswith("utf-16"):
        problems.append(warning("utf-16", "the file is UTF-16; it is uploaded as UTF-8", file))
    if not unicodedata.is_normalized("NFC", content):
        content = unicodedata.normalize("NFC", content)
        problems.append(warning("decomposed", "letters and their accents are written apart (NFD); they are joined", file))
    lines = content.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    problems += _strange_characters(content, lines, file)
    return Text(file, tuple(lines), encoding, bom, tuple(problems))


def encode(lines: Iterable[str]) -> bytes:
    """The lines as the service documents a text file: UTF-8 with byte order mark, LF after each line."""
    return codecs.BOM_UTF8 + "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _sniff(data: bytes) -> tuple[bytes, str, bool]:
    """The bytes behind the mark, the likely encoding, and whether there is a mark."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :], encoding, True
    # Without a mark, every other byte of UTF-16 is 0 in text that is mostly Latin.
    probe = data[:PROBE]
    even, odd = probe[0::2].count(0), probe[1::2].count(0)
    if len(data) % 2 == 0 and max(even, odd) > 0.3 * len(probe) / 2 and min(even, odd) < 0.05 * len(probe) / 2:
        return data, "utf-16-be" if even > odd else "utf-16-le", False
    return data, "utf-8", False


def _decode_anyway(
    body: bytes, encoding: str, problem: UnicodeDecodeError, file: str, ansi: bool, problems: list[Problem]
) -> tuple[str, str]:
    """Decode what is not in the encoding that it seemed to be in, so that the lines can still be checked."""
    if encoding != "utf-8" or b"\0" in body:
        problems.append(error("encoding", f"the file is not valid {encoding.upper()}", file, hint="save it as UTF-8 with BOM"))
        return body.decode(encoding, "replace"), encoding
    line = body.count(b"\n", 0, problem.start) + 1
    what = f"byte 0x{body[problem.start]:02X} is not UTF-8; the file may be Windows-1252 (ANSI)"
    make = warning if ansi else error
    problems.append(make("encoding", what, file, line, "save it as UTF-8 with BOM"))
    return body.decode("cp1252", "replace"), "cp1252"


def _strange_characters(content: str, lines: list[str], file: str) -> list[Problem]:
    problems = []
    if "\0" in content:
        problems.append(error("not-text", "the file holds NUL characters: it is no text file", file))
        return problems
    if _CONTROLS.search(content.replace("\r\n", "\n")):
        for number, line in enumerate(lines, 1):
            if found := _CONTROLS.search(line):
                name = "a carriage return" if found[0] == "\r" else f"the control character U+{ord(found[0]):04X}"
                hint = "save the file with LF or CRLF line ends" if found[0] == "\r" else "take it out"
                problems.append(error("control-character", f"the line holds {name}", file, number, hint))
    if not content.isascii() and _INVISIBLE.search(content):
        for number, line in enumerate(lines, 1):
            if found := _INVISIBLE.search(line):
                name = f"the invisible character U+{ord(found[0]):04X} ({unicodedata.name(found[0], 'unnamed')})"
                problems.append(warning("invisible-character", f"the line holds {name}", file, number, "take it out"))
    return problems
