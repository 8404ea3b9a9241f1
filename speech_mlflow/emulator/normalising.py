"""Text as the service would say it: what becomes of a line before it is learnt from or scored against.

For en-US: typographic quotes and dashes become plain, numbers and signs become words, letters become small, and punctuation
goes, except apostrophes inside words. Documented examples: ``Tune to 102.7`` → ``tune to one oh two point seven``, ``I'm
double-jointed`` → ``i'm double jointed``. What lies beyond the documented examples is a choice of ours. References and what
is learnt go through the same rules, so that a number is the same word on both sides. Other locales lose case and
punctuation only.
"""

from __future__ import annotations

import re
import unicodedata

from speech_mlflow.emulator.sphinx.text import spoken_words

_PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": " -- ", "…": " ", "\u00a0": " ", "\ufeff": ""}
)
_OH = re.compile(r"(?<![\d,.$])([1-9])0([1-9])(?!\d|,\d|st\b|nd\b|rd\b|th\b)")
MAX_REPEATS = 3


def plain(text: str) -> str:
    """Typographic quotes, dashes and spaces made plain."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def spoken_digits(text: str) -> str:
    """``104`` as ``1 oh 4``, the way the documentation says it; other numbers stay for the general rules."""
    return _OH.sub(r"\1 oh \2", text)


def normalise(text: str, locale: str) -> str:
    """The words of ``text``, small and single-spaced."""
    if locale.lower().startswith("en"):
        # letters said one by one carry a full stop in the dictionary ("u. s."), which is no part of what is said
        return " ".join(word.rstrip(".") for word in spoken_words(spoken_digits(plain(text))))
    text = re.sub(r"[^\w\s']|_", " ", plain(text).lower())
    return " ".join(word for word in (word.strip("'") for word in text.split()) if word)


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
