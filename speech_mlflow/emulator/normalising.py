"""Text as the service would say it: what becomes of a line before it is learnt from or scored against.

For en-US: typographic quotes and dashes become plain, letters become small, numbers become words, and punctuation goes,
except apostrophes inside words. Documented examples: ``104 Elm Street`` → ``one oh four elm street``, ``Tune to 102.7`` →
``tune to one oh two point seven``, ``I'm double-jointed`` → ``i'm double jointed``. What lies beyond the documented
examples is a choice of ours. Other locales lose case and punctuation only.
"""

from __future__ import annotations

import re
import unicodedata

_PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": " -- ", "…": " ", "\u00a0": " ", "\ufeff": ""}
)
_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_SYMBOLS = {"%": " percent ", "&": " and ", "+": " plus ", "@": " at ", "=": " equals "}
_NUMBER = re.compile(r"(?P<dollar>\$\s?)?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<part>\d+))?(?P<ordinal>(?:st|nd|rd|th)\b)?")
_SPEAKABLE_DIGITS = 12
MAX_REPEATS = 3


def plain(text: str) -> str:
    """Typographic quotes, dashes and spaces made plain."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def normalise(text: str, locale: str) -> str:
    """The words of ``text``, small and single-spaced."""
    text = plain(text)
    if locale.lower().startswith("en"):
        text = _NUMBER.sub(_speak, text)
        for symbol, words in _SYMBOLS.items():
            text = text.replace(symbol, words)
    text = re.sub(r"[^\w\s']|_", " ", text.lower())
    spoken = (word.strip("'") if not word.endswith("s'") else word.lstrip("'") for word in text.split())
    return " ".join(word for word in spoken if word.strip("'"))


def repeats_too_often(text: str) -> bool:
    """Whether a character, word or group of words stands more than three times in a row."""
    more = MAX_REPEATS
    if re.search(rf"([^\W\d_])\1{{{more},}}", text):
        return True
    words = text.lower().split()
    for length in range(1, min(8, len(words) // (more + 1)) + 1):
        for start in range(len(words) - length * (more + 1) + 1):
            group = words[start : start + length]
            if all(words[start + turn * length : start + (turn + 1) * length] == group for turn in range(1, more + 1)):
                return True
    return False


def cardinal(number: int) -> str:
    """A number in words."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f" {_ONES[number % 10]}" if number % 10 else "")
    for scale, word in _SCALES:
        if number >= scale:
            rest = number % scale
            return f"{cardinal(number // scale)} {word}" + (f" {cardinal(rest)}" if rest else "")
    return _ONES[0]


def _digits(text: str) -> str:
    return " ".join("oh" if digit == "0" else _ONES[int(digit)] for digit in text)


def _whole(text: str) -> str:
    if len(text) > _SPEAKABLE_DIGITS or (text.startswith("0") and len(text) > 1):
        return _digits(text)
    if len(text) == 3 and text[1] == "0" and text[2] != "0":
        return f"{_ONES[int(text[0])]} oh {_ONES[int(text[2])]}"
    return cardinal(int(text))


def _speak(match: re.Match[str]) -> str:
    words = _whole(match["whole"].replace(",", ""))
    if match["ordinal"] and not match["part"]:
        head, _, last = words.rpartition(" ")
        last = _ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
        words = f"{head} {last}"
    if match["part"]:
        words += " point " + " ".join(_ONES[int(digit)] for digit in match["part"])
    if match["dollar"]:
        words += " dollar" if match["whole"] == "1" and not match["part"] else " dollars"
    return f" {words} "
