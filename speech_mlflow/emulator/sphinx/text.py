"""Written sentences as the words that are said: numbers, signs and acronyms spelt out, all in lower case.

Modest and for US English: what the rules do not know is left as it is, less its punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from speech_mlflow.emulator.display_numbers import ONES, TENS

_ONES = [*ONES]
_TENS = ["zero", "ten", *TENS]
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_SIGNS = {"%": "percent", "&": "and", "+": "plus", "=": "equals", "@": "at", "€": "euros", "£": "pounds", "°": "degrees"}
_TITLES = {
    "mr.": "mister",
    "dr.": "doctor",
    "mrs.": "missus",
    "ms.": "miss",
    "vs.": "versus",
    "st.": "saint",
    "etc.": "etcetera",
}
_TITLE = re.compile(rf"\b(?:{'|'.join(map(re.escape, _TITLES))})", re.IGNORECASE)
_UNITS = {
    "mg": "milligrams", "mcg": "micrograms", "kg": "kilograms", "g": "grams", "ml": "milliliters", "km": "kilometers",
    "cm": "centimeters", "mm": "millimeters", "lb": "pounds", "lbs": "pounds", "ft": "feet", "hz": "hertz", "khz": "kilohertz",
    "mb": "megabytes", "gb": "gigabytes", "mph": "miles per hour",
}  # fmt: skip
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})
MAX_DIGITS = 12
"""Longer numbers are read digit by digit."""

_NUMBER = r"\d{1,3}(?:,\d{3})+|\d+"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"(?<=\d)( ?)({'|'.join(_UNITS)})\b", re.IGNORECASE), lambda m: f" {_UNITS[m[2].lower()]}"),
    (re.compile(rf"\$({_NUMBER})\.(\d\d)\b"), lambda m: f" {_money(m[1])} {cardinal(int(m[2]))} cents "),
    (
        re.compile(rf"\$({_NUMBER})(?:\.(\d+))?( (?:thousand|million|billion|trillion)\b)?"),
        lambda m: _dollars(m[1], m[2], m[3]),
    ),
    (re.compile(r"\b(\d{1,2}):(\d\d)\b"), lambda m: f" {_clock(m[1], m[2])} "),
    (re.compile(rf"\b({_NUMBER})(?:st|nd|rd|th)\b", re.IGNORECASE), lambda m: f" {ordinal(m[1])} "),
    (re.compile(rf"(?<!\d)({_NUMBER})\.(\d+)"), lambda m: f" {number(m[1])} point {digits(m[2])} "),
    (re.compile(r"\b(1[1-9]|20[1-9])(\d{1,2})\b"), lambda m: f" {_year(m[0])} "),
    (re.compile(_NUMBER), lambda m: f" {number(m[0])} "),
)
_WORD = re.compile(r"(?:[^\W\d_]\.){2,}|[^\W\d_]+(?:['.-][^\W\d_]+)*'?", re.UNICODE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\d\"'])")
_DOTTED = re.compile(r"(?:[^\W\d_]\.){2,}")
_ACRONYM = re.compile(r"\b[A-Z]{2,5}(?![A-Za-z])")


def sentences(line: str) -> list[str]:
    """The sentences of one line of text; a title like "Dr." ends none."""
    found: list[list[str]] = []
    for part in _SENTENCE_END.split(line.strip()):
        if found and found[-1][-1].split()[-1].lower() in _TITLES:
            found[-1].append(part)
        elif part:
            found.append([part])
    return [" ".join(parts) for parts in found]


def spoken_words(text: str) -> list[str]:
    """Words of a text as they are said.

    A word is letters with apostrophes inside; hyphens and slashes part words. ``U.S.`` becomes the letters ``u.`` and ``s.``, ``MRI``
    the word ``mri``.
    """
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    text = _TITLE.sub(lambda match: _TITLES[match[0].lower()], text)
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, f" {word} ")
    words = (part for word in _WORD.findall(text) for part in _parts(word.lower()))
    return [word for word in map(_trim, words) if word]


def acronyms(text: str) -> set[str]:
    """Words of a text that are written as acronyms (``MRI``), in lower case. None in a text that is all capitals."""
    if text.upper() == text:
        return set()
    return {match.lower() for match in _ACRONYM.findall(text)}


def cardinal(value: int) -> str:
    """``1250`` as "one thousand two hundred fifty"."""
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (f" {_ONES[value % 10]}" if value % 10 else "")
    for scale, name in _SCALES:
        if value >= scale:
            rest = value % scale
            return f"{cardinal(value // scale)} {name}" + (f" {cardinal(rest)}" if rest else "")
    raise AssertionError("unreachable")


def ordinal(text: str) -> str:
    """``21`` as "twenty first"."""
    *front, last = number(text.lstrip("0") or "0").split()
    last = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + ("h" if last.endswith("t") else "th"))
    return " ".join([*front, last])


def digits(text: str) -> str:
    """Digit by digit."""
    return " ".join(_ONES[int(digit)] for digit in text)


def number(text: str) -> str:
    """A whole number, with or without separators; with a leading zero, or very long, digit by digit."""
    plain = text.replace(",", "")
    if len(plain) > MAX_DIGITS or (len(plain) > 1 and plain[0] == "0"):
        return digits(plain)
    return cardinal(int(plain))


def _year(text: str) -> str:
    high, low = divmod(int(text), 100)
    if len(text) != 4:
        return number(text)
    if low == 0:
        return f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {'oh ' if low < 10 else ''}{cardinal(low)}"


def _money(text: str) -> str:
    return f"{number(text)} dollar{'' if text == '1' else 's'}"


def _dollars(whole: str, fraction: str | None, scale: str | None) -> str:
    if not fraction and not scale:
        return f" {_money(whole)} "
    point = f" point {digits(fraction)}" if fraction else ""
    return f" {number(whole)}{point}{scale or ''} dollars "


def _clock(hours: str, minutes: str) -> str:
    if minutes == "00":
        return cardinal(int(hours)) + (" o'clock" if int(hours) <= 12 else " hundred")
    return f"{cardinal(int(hours))} {'oh ' if minutes[0] == '0' else ''}{cardinal(int(minutes))}"


def _parts(word: str) -> list[str]:
    if _DOTTED.fullmatch(word):
        return [f"{letter}." for letter in word.split(".")[:-1]]
    return re.split(r"[-.]", word)


def _trim(word: str) -> str:
    """Without quotation marks; an apostrophe at the front stays where the word is known with it."""
    return word if word in {"'cause", "'em", "'til"} else word.strip("'")
