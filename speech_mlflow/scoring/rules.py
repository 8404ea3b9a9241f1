"""The built-in normalisation rules; `speech_mlflow.scoring.normalize` says what they are for.

Documented for custom speech (human-labelled transcriptions): en-US is lower-cased, punctuation goes except apostrophes
within words, hyphens become spaces and numbers are spoken; de-DE likewise, with a decimal comma, and times spoken
around "uhr"; zh-CN loses punctuation, gets half-width and upper-case Latin letters, and its numbers spoken. The
service's word segmentation for Chinese is not published: here each character is a word, as in a character error rate.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from speech_mlflow.scoring import spoken
from speech_mlflow.scoring.normalize import Normalizer

_QUOTES = str.maketrans(dict.fromkeys("‘’‚‛`´ʼ＇", "'") | dict.fromkeys("“”„‟«»＂", '"'))
_REMEMBERED_TOKENS = 1 << 17
_JOINERS = "\u200c\u200d"  # needed in Persian and Indic words

_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)")
_DIGIT = re.compile(r"[0-9]")
_INTEGER = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+"

_ENGLISH_HALF_DAY = re.compile(r"\b([ap])\.m\b\.?")
_ENGLISH_WORDS = {"dr": "doctor", "mr": "mister", "mrs": "missus"}
_ENGLISH_SIGNS = str.maketrans({"%": " percent ", "&": " and ", "@": " at "})
_ENGLISH_MONEY = {"$": "dollar", "£": "pound", "€": "euro"}
_ENGLISH_NUMBER = re.compile(
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-5][0-9])(?![0-9:])"
    rf"|(?P<sign>[$£€])(?P<amount>{_INTEGER})(?:\.(?P<cents>[0-9]{{2}})(?![0-9]))?"
    r"|(?P<ordinal>[0-9]+)(?:st|nd|rd|th)\b"
    r"|(?P<decade>[0-9]*[0-9]0)'?s\b"
    rf"|(?P<whole>{_INTEGER})(?:\.(?P<fraction>[0-9]+))?"
)

_GERMAN_SIGNS = str.maketrans({"%": " prozent ", "&": " und ", "€": " euro "})
_GERMAN_OPERATORS = re.compile(r"(?<=[0-9])\s*\+\s*(?=[0-9])|(?<=[0-9])\s+-\s+(?=[0-9])")
_GERMAN_NUMBER = re.compile(
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-5][0-9])(?![0-9:])|\.(?P<minute2>[0-5][0-9])(?=\s*uhr\b))(?P<full>\s*uhr\b)?"
    r"|(?P<whole>[0-9]{1,3}(?:\.[0-9]{3})+(?![0-9])|[0-9]+)(?:,(?P<fraction>[0-9]+))?"
)

_CHINESE_NUMBER = re.compile(
    r"(?P<year>[0-9]{4})(?=\s*年)"
    r"|(?P<hour>[0-9]{1,2}):(?P<minute>[0-5][0-9])(?![0-9:])"
    rf"|[¥￥]\s*(?P<yuan>{_INTEGER})(?:\.(?P<jiao>[0-9])(?P<fen>[0-9])?(?![0-9]))?"
    rf"|(?P<whole>{_INTEGER})(?:\.(?P<fraction>[0-9]+))?(?P<percent>%)?"
)


class _Punctuation(dict[int, str]):
    """A table for `str.translate`: punctuation and symbols to a space, invisible characters to nothing.

    Letters, digits and combining marks stay: without its marks a Thai, Hindi or Arabic word is another word.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] in "PS" and character != "'":
            value = " "
        elif category == "Cf" and character not in _JOINERS:
            value = ""
        else:
            value = character
        self[code] = value
        return value


_PUNCTUATION = _Punctuation()


class _ByToken(dict[str, str]):
    """A rule that looks at each stretch between spaces by itself, and remembers what it made of it.

    Words repeat much more than sentences do.
    """

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, token: str) -> str:
        if len(self) >= _REMEMBERED_TOKENS:
            self.clear()
        words = self[token] = self._rule(token)
        return words

    def apply(self, text: str) -> str:
        return " ".join([words for words in map(self.__getitem__, text.split()) if words])


def english(text: str) -> str:
    """en-US and other English locales."""
    return _ENGLISH.apply(text)


def _english_token(token: str) -> str:
    text = _plain(token).lower()
    if _DIGIT.search(text):
        text = _ENGLISH_NUMBER.sub(_english_spoken, text)
    if "." in text:
        text = _ENGLISH_HALF_DAY.sub(r" \1m ", text)
    words = _words(text.translate(_ENGLISH_SIGNS))
    return " ".join([_ENGLISH_WORDS.get(word, word) for word in words])


def german(text: str) -> str:
    """de-DE and other German locales."""
    if not _DIGIT.search(text):  # numbers are the only thing that reaches over a space
        return _GERMAN.apply(text)
    text = _GERMAN_OPERATORS.sub(lambda found: " plus " if "+" in found[0] else " minus ", _plain(text).lower())
    return _german_token(_GERMAN_NUMBER.sub(_german_spoken, text))


def _german_token(token: str) -> str:
    return " ".join(_words(_plain(token).lower().translate(_GERMAN_SIGNS)))


def chinese(text: str) -> str:
    """zh-CN and other Chinese locales: each Chinese character is a word, Latin words stay whole."""
    # before the compatibility forms: they turn the full-width yen sign into the half-width one
    text = unicodedata.normalize("NFKC", text).upper()
    if _DIGIT.search(text):
        text = _CHINESE_NUMBER.sub(_chinese_spoken, text)
    return characters(text)


def unspaced(text: str) -> str:
    """Languages written without spaces between words (Japanese, Thai, Lao, Khmer, Burmese): by character."""
    return characters(unicodedata.normalize("NFKC", text).lower())


def turkish(text: str) -> str:
    """tr-TR and az-AZ: as `basic`, with the dotted and the dotless i kept apart."""
    return basic(text.replace("I", "ı").replace("İ", "i"))


def basic(text: str) -> str:
    """Any other language: lower case, no punctuation except apostrophes within words, one Unicode form."""
    return _BASIC.apply(text)


def _basic_token(token: str) -> str:
    return " ".join(_words(_plain(token).lower()))


def characters(text: str) -> str:
    """Put each character of a script without spaces on its own, with the marks that belong to it; drop punctuation."""
    return " ".join(split_unspaced(text.translate(_PUNCTUATION)))


def split_unspaced(text: str) -> list[str]:
    """Single characters of scripts without spaces, with their marks; between them what stands between spaces."""
    return _unspaced_pattern().findall(text)


@lru_cache(maxsize=1)
def _unspaced_pattern() -> re.Pattern[str]:
    scripts = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    with_marks = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    marks = "".join(
        chr(code)
        for low, high in ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3099, 0x309A))
        for code in range(low, high + 1)
        if unicodedata.category(chr(code)).startswith("M")
    )
    return re.compile(f"[{scripts}{with_marks}][{marks}]*|[^\\s{scripts}{with_marks}]+")


def _plain(text: str) -> str:
    """One Unicode form, straight quotes."""
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_QUOTES)


def _words(text: str) -> list[str]:
    text = text.translate(_PUNCTUATION)
    if "'" in text:
        text = _APOSTROPHE.sub(" ", text)
    return text.split()


def _english_spoken(found: re.Match[str]) -> str:
    part = found.groupdict()
    if part["hour"]:
        minute = "" if part["minute"] == "00" else spoken.english_number(part["minute"])
        result = f"{spoken.english_number(part['hour'])} {minute}"
    elif part["sign"]:
        amount = _english_whole(part["amount"])
        if part["cents"]:
            result = f"{amount} {spoken.english_number(part['cents'])}"
        else:
            result = f"{amount} {_ENGLISH_MONEY[part['sign']]}{'' if amount == 'one' else 's'}"
    elif part["ordinal"]:
        result = spoken.english_ordinal(part["ordinal"])
    elif part["decade"]:
        result = spoken.english_decade(part["decade"])
    elif part["fraction"]:
        result = f"{_english_whole(part['whole'])} point {spoken.english_digits(part['fraction'])}"
    else:
        result = _english_whole(part["whole"])
    return f" {result} "


def _english_whole(digits: str) -> str:
    plain = digits.replace(",", "")
    if plain != digits and len(plain) <= spoken.MAX_DIGITS:
        return spoken.english_cardinal(int(plain))
    return spoken.english_number(plain)


def _german_spoken(found: re.Match[str]) -> str:
    part = found.groupdict()
    if part["hour"]:
        minute = int(part["minute"] or part["minute2"])
        hour = "ein" if int(part["hour"]) == 1 else spoken.german_number(part["hour"])
        if not minute:
            return f" {hour} uhr "
        return f" {hour} uhr {spoken.german_number(str(minute))} {'uhr ' if part['full'] else ''}"
    whole = part["whole"].replace(".", "")
    if part["fraction"]:
        return f" {spoken.german_decimal(whole, part['fraction'])} "
    if whole != part["whole"] and len(whole) <= 6:
        return f" {spoken.german_cardinal(int(whole))} "
    return f" {spoken.german_number(whole)} "


def _chinese_spoken(found: re.Match[str]) -> str:
    part = found.groupdict()
    if part["year"]:
        return spoken.chinese_digits(part["year"])
    if part["hour"]:
        minute = "" if part["minute"] == "00" else f"{spoken.chinese_number(part['minute'])}分"
        return f"{spoken.chinese_number(part['hour'])}点{minute}"
    if part["yuan"]:
        jiao = f"{spoken.chinese_digits(part['jiao'])}角" if part["jiao"] else ""
        fen = f"{spoken.chinese_digits(part['fen'])}分" if part["fen"] else ""
        return f"{spoken.chinese_number(part['yuan'].replace(',', ''))}元{jiao}{fen}"
    whole = part["whole"].replace(",", "")
    number = spoken.chinese_decimal(whole, part["fraction"]) if part["fraction"] else spoken.chinese_number(whole)
    return f"百分之{number}" if part["percent"] else number


_ENGLISH, _GERMAN, _BASIC = _ByToken(_english_token), _ByToken(_german_token), _ByToken(_basic_token)

BUILTIN = (
    Normalizer("basic", basic),
    Normalizer("en-US", english, languages=("en",)),
    Normalizer("de-DE", german, languages=("de",)),
    Normalizer("zh-CN", chinese, languages=("zh", "yue", "wuu"), spaced=False),
    Normalizer("characters", unspaced, languages=("ja", "th", "lo", "km", "my"), spaced=False),
    Normalizer("tr-TR", turkish, languages=("tr", "az")),
)
