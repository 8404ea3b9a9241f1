"""Numbers in spoken form, for the locales whose normalisation rules the service documents.

Each function takes what stands in a text (digits, perhaps with separators) and returns lower-case words separated by
spaces. The service publishes its rules only as a handful of examples; where they are silent the commonest reading is
taken, and the same one on both sides of a comparison.
"""

from __future__ import annotations


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_ENGLISH = _split(
    "zero one two three four five six seven eight nine "
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_ENGLISH_TENS = _split("- - twenty thirty forty fifty sixty seventy eighty ninety")
_ENGLISH_SCALES = ("", " thousand", " million", " billion", " trillion")
_ENGLISH_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}

_GERMAN = _split(
    "null eins zwei drei vier fünf sechs sieben acht neun "
    "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn"
)
_GERMAN_TENS = _split("- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")

_CHINESE = "零一二三四五六七八九"
_CHINESE_UNITS = ("", "十", "百", "千")
_CHINESE_SCALES = ("", "万", "亿", "万亿")

MAX_DIGITS = 15
"""Longer strings of digits are read digit by digit in every language."""


def english_cardinal(number: int) -> str:
    """``1250`` as "one thousand two hundred fifty"."""
    if number < 1000:
        return _english_hundreds(number)
    groups: list[str] = []
    for scale in _ENGLISH_SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(_english_hundreds(group) + scale)
        if not number:
            break
    return " ".join(reversed(groups))


def english_digits(digits: str) -> str:
    """Digit by digit, zero as "oh", as in "one oh four"."""
    return " ".join("oh" if digit == "0" else _ENGLISH[int(digit)] for digit in digits)


def english_number(digits: str) -> str:
    """A whole number as people in the US say it: "one oh four", "two fifty", "nineteen ninety two", "two
    thousand five", "twelve thousand".

    Numbers that start with a zero, and long ones that are not round, are read digit by digit.
    """
    if len(digits) > 1 and (digits[0] == "0" or len(digits) > MAX_DIGITS):
        return english_digits(digits)
    number = int(digits)
    if number < 100 or number % 1000 == 0:
        return english_cardinal(number)
    if number >= 10_000:
        return english_digits(digits)
    high, low = divmod(number, 100)
    if low < 10 and high % 10 == 0:
        return english_cardinal(number)
    if low == 0:
        return f"{english_cardinal(high)} hundred"
    return f"{english_cardinal(high)} {'oh ' if low < 10 else ''}{english_cardinal(low)}"


def english_ordinal(digits: str) -> str:
    """``21`` as "twenty first"."""
    if len(digits) > MAX_DIGITS:
        return english_digits(digits)
    *front, last = english_cardinal(int(digits)).split()
    if last in _ENGLISH_ORDINALS:
        last = _ENGLISH_ORDINALS[last]
    elif last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = f"{last}{'h' if last.endswith('t') else 'th'}"
    return " ".join([*front, last])


def english_decade(digits: str) -> str:
    """``1990`` of "the 1990s" as "nineteen nineties"."""
    said = english_number(digits)
    return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


def german_number(digits: str) -> str:
    """``23`` as "drei und zwanzig": the service writes the parts of a number as separate words.

    Numbers from 1100 to 1999 are read as years, those that start with a zero and long ones digit by digit.
    """
    if len(digits) > 6 or (len(digits) > 1 and digits[0] == "0"):
        return german_digits(digits)
    number = int(digits)
    if 1100 <= number < 2000:
        return _join(f"{_german_below_100(number // 100)} hundert", _german_rest(number % 100))
    return german_cardinal(number)


def german_cardinal(number: int) -> str:
    """``1250``, written with a separator, as "ein tausend zwei hundert fünfzig"; up to 999999."""
    thousands, rest = divmod(number, 1000)
    if thousands:
        return _join(f"{_german_unit(_german_rest(thousands))} tausend", _german_rest(rest))
    return _german_rest(rest) or _GERMAN[0]


def german_digits(digits: str) -> str:
    """Digit by digit, as after a decimal comma."""
    return " ".join(_GERMAN[int(digit)] for digit in digits)


def german_decimal(whole: str, fraction: str) -> str:
    """``12,45`` as "zwölf komma vier fünf"."""
    return f"{german_number(whole)} komma {german_digits(fraction)}"


def chinese_number(digits: str) -> str:
    """``21`` as "二十一"; numbers that start with a zero or are very long are read digit by digit."""
    if len(digits) > MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return chinese_digits(digits)
    number = int(digits)
    if number == 0:
        return _CHINESE[0]
    spoken, scale, gap = "", 0, False
    while number:
        number, group = divmod(number, 10_000)
        if group:
            spoken = _chinese_group(group) + _CHINESE_SCALES[scale] + (_CHINESE[0] if gap and spoken else "") + spoken
            gap = group < 1000
        elif spoken:
            gap = True
        scale += 1
    return spoken.removeprefix("一") if spoken.startswith("一十") else spoken


def chinese_digits(digits: str) -> str:
    """Digit by digit, as in a year or after the decimal point."""
    return "".join(_CHINESE[int(digit)] for digit in digits)


def chinese_decimal(whole: str, fraction: str) -> str:
    """``3.1415`` as "三点一四一五"."""
    return f"{chinese_number(whole)}点{chinese_digits(fraction)}"


def _english_hundreds(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_ENGLISH[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        words.append(_ENGLISH_TENS[rest // 10])
        rest %= 10
        words += [_ENGLISH[rest]] if rest else []
    elif rest or not hundreds:
        words.append(_ENGLISH[rest])
    return " ".join(words)


def _german_rest(number: int) -> str:
    """Below 1000, nothing for zero."""
    hundreds, rest = divmod(number, 100)
    front = f"{_german_unit(_GERMAN[hundreds])} hundert" if hundreds else ""
    return _join(front, _german_below_100(rest) if rest else "")


def _german_below_100(number: int) -> str:
    if number < 20:
        return _GERMAN[number]
    tens, unit = divmod(number, 10)
    return f"{_german_unit(_GERMAN[unit])} und {_GERMAN_TENS[tens]}" if unit else _GERMAN_TENS[tens]


def _german_unit(spoken: str) -> str:
    """ "eins" before another part of the number is "ein"."""
    return spoken[:-1] if spoken.endswith("eins") else spoken


def _chinese_group(number: int) -> str:
    """1 to 9999."""
    spoken, gap = "", False
    for unit in _CHINESE_UNITS:
        number, digit = divmod(number, 10)
        if digit:
            spoken = _CHINESE[digit] + unit + (_CHINESE[0] if gap and spoken else "") + spoken
            gap = False
        else:
            gap = True
        if not number:
            break
    return spoken


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
