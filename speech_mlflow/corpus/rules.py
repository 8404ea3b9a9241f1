"""What the service documents about single lines of transcripts and texts, per kind of data and locale.

Sources: "Training and testing datasets" and "How to create human-labeled transcriptions" in the service's documentation. Nearly
all of these rules are broken somewhere in Microsoft's own samples, so each is a warning; a line of which the documentation says
that it is rejected or discarded counts as rejected.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from speech_mlflow.corpus.records import Problem, ascii_controls, excerpt, warning

MAX_LINE = 5_000
"""Characters. An utterance of a minute has about a thousand; what is longer is a text, not an utterance."""

MAX_JAPANESE = 90
"""Characters of a sentence; longer ones are discarded."""

REPEATS = 3
"""A character, word or group of words may stand this often in a row."""

LONGEST_GROUP = 6
"""Words of a group whose repetition is looked for."""

SHOWN = 1_000
"""Problems of one rule that are listed; a file may break a rule in each of a million lines."""

_ASCII_FOR = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2013": "-",
    "\u2014": "--",
    "\u2026": "...",
    "\u00a0": "a plain space",
}
_URI = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://\S+|\bwww\.\S+|\bmailto:\S+", re.IGNORECASE)
_SAME_CHARACTER = re.compile(rf"([^\s\d])\1{{{REPEATS},}}")
_MIXED = re.compile(r"(?<!\w)(?=\w*[^\W\d_])(?=\w*\d)(?!\d+(?:st|nd|rd|th|s)\b)\w+", re.IGNORECASE)
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|Jr|Sr|vs|etc|approx|No|Inc|Ltd|Ave)\.")
_SENTENCE_END = re.compile("[。．.！!？?]")


@dataclass(frozen=True)
class Rule:
    """``find`` gives the piece of a line that breaks the rule, or None. ``message`` may hold ``{found}``."""

    code: str
    find: Callable[[str], str | None]
    message: str
    hint: str | None = None
    rejects: bool = False


def rules_for(kind: str, locale: str, purpose: str | None) -> tuple[Rule, ...]:
    """The rules for one line of a kind (``Acoustic``, or a kind of text) in a locale."""
    language = locale.split("-")[0].lower()
    rules = [LONG_LINE, REPETITION, *_BY_LANGUAGE.get(language, ())]
    if kind != "Acoustic":
        rules += [URI, TAB, SPECIAL_LATIN if language == "en" else SPECIAL]
    elif language == "en":
        rules.append(NOT_ASCII)
        if purpose != "testing":  # the token error rate needs references as they are displayed
            rules.append(AS_SPOKEN)
    return tuple(rules)


def apply_rules(
    rules: Iterable[Rule], lines: Iterable[tuple[int, str]], file: str, most: int = SHOWN
) -> tuple[list[Problem], set[int]]:
    """Problems of all lines, and the numbers of lines that the service rejects. Beyond ``most`` a rule's are only counted."""
    rules = tuple(rules)
    problems: list[Problem] = []
    rejected: set[int] = set()
    counts: Counter[Rule] = Counter()
    for number, line in lines:
        for rule in rules:
            found = rule.find(line)
            if found is None:
                continue
            counts[rule] += 1
            if rule.rejects:
                rejected.add(number)
            if counts[rule] <= most:
                problems.append(warning(rule.code, rule.message.format(found=_show(found)), file, number, rule.hint))
    for rule, count in counts.items():
        if count > most:
            problems.append(warning(rule.code, f"the same is true of {count - most:,} more lines", file, hint=rule.hint))
    return problems, rejected


def _show(found: str) -> str:
    """A piece of a line for a message; a single character with its code point, since it may look like another."""
    if len(found) == 1 and not found.isascii():
        return f"{ascii_controls(found)} (U+{ord(found):04X})"
    return excerpt(found)


def _matches(pattern: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)

    def find(line: str) -> str | None:
        found = compiled.search(line)
        return found[0] if found else None

    return find


def _repetition(line: str) -> str | None:
    if found := _SAME_CHARACTER.search(line):
        return found[0]
    words = re.sub(r"[^\w\s']", " ", line).casefold().split()
    if len(set(words)) > len(words) - REPEATS:
        return None
    for length in range(1, LONGEST_GROUP + 1):
        run = 0
        for at in range(length, len(words)):
            run = run + 1 if words[at] == words[at - length] else 0
            if run == REPEATS * length:
                return " ".join(words[at - run - length + 1 : at + 1])
    return None


def _special(line: str) -> str | None:
    """Symbols and emoji: letters and punctuation of any script are fine outside English."""
    if line.isascii():
        return None
    return next((char for char in line if char > "\u00a1" and unicodedata.category(char) in ("So", "Co", "Cn", "Cs")), None)


def _long_japanese(line: str) -> str | None:
    return next((part for part in _SENTENCE_END.split(line) if len(part.strip()) > MAX_JAPANESE), None)


def _uri(line: str) -> str | None:
    # Every URI has one of these; looking for them is much quicker than the pattern.
    if ":" not in line and "www." not in line.lower():
        return None
    found = _URI.search(line)
    return found[0] if found else None


def _as_spoken(line: str) -> str | None:
    found = _MIXED.search(line) or _ABBREVIATION.search(line)
    return found[0] if found else None


def _not_ascii(line: str) -> str | None:
    return None if line.isascii() else next(char for char in line if ord(char) > 127)


def _above_latin(line: str) -> str | None:
    return None if line.isascii() else next((char for char in line if char > "\u00a1"), None)


LONG_LINE = Rule(
    "long-line",
    lambda line: line if len(line) > MAX_LINE else None,
    f"the line has more than {MAX_LINE:,} characters: {{found}}",
    "write one utterance per line",
)
REPETITION = Rule(
    "repetition",
    _repetition,
    f"more than {REPEATS} repetitions ({{found}}); the service may drop the line",
    f"write it at most {REPEATS} times",
)
URI = Rule("uri", _uri, "{found} is a URI; the service rejects the line", "write it as it is spoken", rejects=True)
TAB = Rule("tab", lambda line: "\t" if "\t" in line else None, "there is a tab in the line", "write a space")
SPECIAL_LATIN = Rule("special-character", _above_latin, "{found} is above U+00A1; the service may drop the line", "replace it")
SPECIAL = Rule("special-character", _special, "{found} is a symbol, not text; the service may drop the line", "replace it")
NOT_ASCII = Rule(
    "not-ascii",
    _not_ascii,
    "{found} is not ASCII, which English transcripts should be",
    "write " + ", ".join(f"{new} for U+{ord(old):04X}" for old, new in _ASCII_FOR.items()),
)
AS_SPOKEN = Rule(
    "as-spoken",
    _as_spoken,
    "{found} is not written as it is spoken",
    "write Doctor for Dr., two by four for 2x4, H 2 O for H20",
)

_BY_LANGUAGE: dict[str, tuple[Rule, ...]] = {
    "de": (
        Rule(
            "discarded-character",
            _matches("[¢¤¥¦§©ª¬®°±²µ×ÿØ]"),
            "the service discards lines with {found}",
            "write it as it is spoken",
            rejects=True,
        ),
        Rule("umlaut", _matches("[ËÏŸẄẌëïẅẍ]"), "{found} is no umlaut of German", "write a, o or u with dots"),
        Rule(
            "decimal-point",
            _matches(r"(?<![\d.])\d+\.\d{1,2}(?![\d.])"),
            "{found} has a point",
            "write a comma in decimals, a colon in times",
        ),
        Rule("operator", _matches(r"(?<!\S)[-+*/](?!\S)"), "the service removes {found}", "write plus, minus, mal, geteilt"),
        Rule("operator", _matches("[=<>]"), "the service removes {found}", "write gleich, kleiner als, größer als"),
        Rule("fraction", _matches(r"\b\d+/\d+\b"), "{found} is a fraction in digits", "write it in words: drei Viertel"),
        Rule("currency", _matches("€"), "{found} is a symbol", "write Euro"),
    ),
    "ja": (
        Rule(
            "long-sentence",
            _long_japanese,
            f"a sentence has more than {MAX_JAPANESE} characters ({{found}}); the service discards the line",
            "put a 。 in between",
            rejects=True,
        ),
    ),
    "zh": (
        Rule(
            "half-width-punctuation",
            _matches(r"[,;:?!\"()](?!\d)|(?<!\d)\."),
            "{found} is half-width punctuation",
            "write the full-width form: ，；：？！“”（）。",
        ),
    ),
}
