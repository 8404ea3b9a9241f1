"""Spoken numbers of US English as they are written: "two hundred" as 200, "three point five" as 3.5, "twenty first" as 21st.

Modest on purpose: small numbers alone stay words, and what could be read in two ways stays as it was said.
"""

from __future__ import annotations

from dataclasses import dataclass

ONES = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fifth": 5,
    "eighth": 8,
    "ninth": 9,
    "twelfth": 12,
    **{f"{word}th": value for word, value in ONES.items() if value in (4, 6, 7, 10, 11, *range(13, 20))},
    **{f"{word[:-1]}ieth": value for word, value in TENS.items()},
}
ALWAYS_DIGITS = 10
"""From this value on a number is written in digits; below, only in company (a unit, a point, other digits)."""
DIGIT_RUN = 3
"""So many single digits in a row are one string of digits, as in a telephone number."""


@dataclass(frozen=True)
class Number:
    """A number in ``words[begin:end]``; ``text`` is how it is written. ``plain``: a small one, said alone."""

    begin: int
    end: int
    text: str
    plain: bool = False


def find_numbers(words: list[str]) -> list[Number]:
    """The numbers in a sentence, from left to right, as long as they go."""
    found: list[Number] = []
    at = 0
    while at < len(words):
        number = _digit_run(words, at) or _year(words, at) or _number(words, at)
        if number is None:
            at += 1
        else:
            found.append(number)
            at = number.end
    return found


def write_numbers(words: list[str]) -> list[str]:
    """Words with numbers in digits, dollars and percent as signs."""
    written: list[str] = []
    at = 0
    for number in find_numbers(words):
        written += words[at : number.begin]
        at = number.end
        unit = words[at] if at < len(words) else ""
        if unit == "percent":
            written.append(f"{number.text}%")
            at += 1
        elif unit in ("dollars", "dollar") and not number.text.endswith(("st", "nd", "rd", "th")):
            written.append(f"${number.text}")
            at += 1
        else:
            written += words[number.begin : number.end] if number.plain else [number.text]
    return written + words[at:]


def digits_of(words: list[str], at: int) -> tuple[int, str] | None:
    """Where the number at ``words[at]`` ends, and its digits without signs; None when there is none."""
    number = _digit_run(words, at) or _year(words, at) or _number(words, at)
    if number is None or not number.text.replace(",", "").isdigit():
        return None
    return number.end, number.text.replace(",", "")


def _digit_run(words: list[str], at: int) -> Number | None:
    end = at
    while end < len(words) and (words[end] == "oh" or ONES.get(words[end], 10) < 10):
        end += 1
    if end - at < DIGIT_RUN or words[at] == "oh":
        return None
    if end < len(words) and (words[end] in _SCALES or words[end] == "hundred"):
        return None  # "one two three hundred" is a correction, not a telephone number
    return Number(at, end, "".join(str(ONES.get(word, 0)) for word in words[at:end]))


def _year(words: list[str], at: int) -> Number | None:
    """ "nineteen ninety nine", "twenty twenty four", "nineteen oh five": two numbers of two digits."""
    century = ONES.get(words[at], 0) or TENS.get(words[at], 0)
    if not 11 <= century <= 20 or at + 1 >= len(words):
        return None
    if words[at + 1] == "oh" and at + 2 < len(words) and 0 < ONES.get(words[at + 2], 10) < 10:
        return Number(at, at + 3, f"{century}0{ONES[words[at + 2]]}")
    rest, end = _below_hundred(words, at + 1)
    if rest < 10 or (end < len(words) and (words[end] == "hundred" or words[end] in _SCALES)):
        return None
    return Number(at, end, f"{century}{rest}")


def _number(words: list[str], at: int) -> Number | None:
    value, end = _cardinal(words, at)
    if end < len(words) and words[end] in _ORDINALS and (end == at or _takes(words[end - 1], _ORDINALS[words[end]])):
        value += _ORDINALS[words[end]]
        return None if end == at and value < ALWAYS_DIGITS else Number(at, end + 1, f"{value:,}{_suffix(value)}")
    if end == at:
        return None
    if end + 1 < len(words) and words[end] == "point":
        stop = end + 1
        while stop < len(words) and (words[stop] == "oh" or ONES.get(words[stop], 10) < 10):
            stop += 1
        if stop > end + 1:
            return Number(at, stop, f"{value:,}." + "".join(str(ONES.get(word, 0)) for word in words[end + 1 : stop]))
    return Number(at, end, f"{value:,}" if value >= 10_000 else str(value), plain=value < ALWAYS_DIGITS)


def _takes(last: str, ordinal: int) -> bool:
    """Whether an ordinal goes on the number that ends in ``last``: "twenty first", "hundred fifth", not "one first"."""
    return ordinal < 10 if last in TENS else last == "hundred" or last in _SCALES


def _suffix(value: int) -> str:
    if value % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _cardinal(words: list[str], at: int) -> tuple[int, int]:
    """Value of the longest cardinal at ``at`` and where it ends (``at`` when there is none)."""
    total, scale, end = 0, 10**15, at
    while end < len(words):
        part, after = _below_thousand(words, end)
        if after == end:
            break
        factor = _SCALES.get(words[after], 1) if after < len(words) else 1
        if factor >= scale:
            break
        total, end, scale = total + part * factor, after + (factor > 1), factor
        if factor == 1:
            break
    return total, end


def _below_thousand(words: list[str], at: int) -> tuple[int, int]:
    value, end = _below_hundred(words, at)
    if end < len(words) and words[end] == "hundred" and 0 < value < 100:
        rest_at = end + 2 if words[end + 1 : end + 2] == ["and"] else end + 1
        rest, after = _below_hundred(words, rest_at)
        return value * 100 + rest, after if after > rest_at else end + 1
    return value, end


def _below_hundred(words: list[str], at: int) -> tuple[int, int]:
    if at >= len(words):
        return 0, at
    if words[at] in ONES:
        return ONES[words[at]], at + 1
    if words[at] in TENS:
        unit = ONES.get(words[at + 1], 10) if at + 1 < len(words) else 10
        return (TENS[words[at]] + unit, at + 2) if 0 < unit < 10 else (TENS[words[at]], at + 1)
    return 0, at
