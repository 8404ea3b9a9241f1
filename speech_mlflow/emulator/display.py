"""From recognised words to what is shown: the forms that the service calls ITN, masked ITN and display.

* **ITN**: the output format's ``#itn`` patterns, then numbers, dollars and percent in digits.
* **masked ITN**: the same, with profanity as asterisks.
* **display**: ITN with capitals (first word, *I*, names of days and months), the output format's ``#rewrite`` rules, a full stop or
  question mark, and profanity as asked.

Modest on purpose, and by rules alone: no commas, no names. It is the same for references and hypotheses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from speech_mlflow.emulator.display_numbers import write_numbers
from speech_mlflow.emulator.display_patterns import apply_patterns

if TYPE_CHECKING:
    from speech_mlflow.corpus.output_format import OutputFormat

ProfanityMode = Literal["masked", "removed", "tags", "raw"]

PROFANITY = (
    "asshole", "assholes", "bastard", "bastards", "bitch", "bitches", "bullshit", "cunt", "fuck", "fucked", "fucker", "fuckers",
    "fucking", "motherfucker", "motherfucking", "shit", "shitty",
)  # fmt: skip
_CAPITALS = {
    word.lower(): word
    for word in [
        "I",
        "I'm",
        "I've",
        "I'd",
        "I'll",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "January",
        "February",
        "April",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "English",
        "American",
    ]
}
_QUESTIONS = frozenset(
    [
        "who",
        "whom",
        "whose",
        "what",
        "which",
        "when",
        "where",
        "why",
        "how",
        "is",
        "are",
        "am",
        "was",
        "were",
        "do",
        "does",
        "did",
        "can",
        "could",
        "will",
        "would",
        "shall",
        "should",
        "have",
        "has",
        "had",
        "may",
        "might",
        "isn't",
        "aren't",
        "don't",
        "doesn't",
        "didn't",
        "can't",
        "won't",
    ]
)
_LEFT_OUT = str.maketrans("", "", ".,?、!:;？。，¿¡।؟،")


class DisplayForm(NamedTuple):
    """The written forms of what was said."""

    itn: str
    masked_itn: str
    display: str


def display_form(
    lexical: str, locale: str, *, rules: OutputFormat | None = None, profanity: ProfanityMode = "masked"
) -> DisplayForm:
    """The written forms of recognised words. ``rules`` are those of the output format that the model was trained with.

    Numbers and capitals are written for English only; for other locales only the rules apply.
    """
    if not lexical.strip():
        return DisplayForm("", "", "")
    words = lexical.split()
    if rules is not None:
        words = apply_patterns(words, [rule.elements for rule in rules.itn])
    english = locale.lower().startswith("en")
    written = write_numbers(words) if english else words
    itn = " ".join(word for word in written if word.strip())
    if not itn:  # a pattern may write nothing for what was said
        return DisplayForm("", "", "")
    phrases = (*PROFANITY, *(entry.phrase for entry in rules.profanity)) if rules is not None else PROFANITY
    display = _capitalise(itn) if english else itn[:1].upper() + itn[1:]
    if rules is not None and rules.rewrites:
        display = _rewrite(display, tuple((rule.old, rule.new) for rule in rules.rewrites))
    display = _filter(_end(display, words[0]), phrases, profanity)
    return DisplayForm(itn, _filter(itn, phrases, "masked"), display)


def _capitalise(text: str) -> str:
    words = [_CAPITALS.get(word, word) for word in text.split()]
    words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words)


def _end(text: str, first: str) -> str:
    """The text with a mark at its end, unless a rule has put one there."""
    if text[-1:] in ".?!":
        return text
    return text + ("?" if first in _QUESTIONS else ".")


def _rewrite(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """Replace phrases, found in any case and as whole words; where two fit, the longer one."""
    new = {_key(old): new for old, new in reversed(pairs) if _key(old)}
    if not new:
        return text
    return _phrases(tuple(new)).sub(lambda match: new[_key(match[0])], text)


def _filter(text: str, phrases: Iterable[str], mode: ProfanityMode) -> str:
    if mode == "raw":
        return text
    pattern = _phrases(tuple(key for phrase in phrases if (key := _key(phrase))))
    if mode == "masked":
        return pattern.sub(lambda match: re.sub(r"\S", "*", match[0]), text)
    if mode == "tags":
        return pattern.sub(lambda match: f"<profanity>{match[0]}</profanity>", text)
    return re.sub(r"\s+(?=[.?!]?$)|(?<=\s)\s+|^\s+", "", pattern.sub("", text))


@lru_cache(maxsize=64)
def _phrases(keys: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(set(keys), key=lambda key: (-len(key), key))
    choices = "|".join(r"\s+".join(re.escape(word) for word in key.split()) for key in longest_first)
    return re.compile(rf"(?<![\w'])(?:{choices})(?![\w'])", re.IGNORECASE)


def _key(phrase: str) -> str:
    """A phrase as it is compared: without punctuation that grammar puts there, in one case."""
    return " ".join(phrase.translate(_LEFT_OUT).casefold().split())
