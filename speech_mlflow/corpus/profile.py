"""A corpus in numbers, and in a notebook."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from speech_mlflow.corpus.checks import hours

if TYPE_CHECKING:
    from speech_mlflow.corpus.corpus import Corpus

UNSPACED = ("zh", "yue", "wuu", "ja", "th", "lo", "km", "my")
"""Languages written without spaces between words."""

SHOWN = 20
"""Problems that the view for notebooks lists."""


def profile(corpus: Corpus) -> dict[str, int | float]:
    """See :meth:`speech_mlflow.corpus.Corpus.profile`."""
    numbers: dict[str, int | float] = {
        "utterances": len(corpus.utterances) or len(corpus.lines),
        "hours": hours(corpus.utterances),
    }
    if corpus.kind != "AudioFiles":
        words = Counter(word for text in _texts(corpus) for word in _words(text, corpus.locale))
        numbers |= {"words": words.total(), "vocabulary": len(words), "rejected_lines": corpus.rejected}
    speakers = {utterance.speaker for utterance in corpus.utterances if utterance.speaker is not None}
    if speakers:
        numbers["speakers"] = len(speakers)
    return numbers


def to_html(corpus: Corpus) -> str:
    """A table of the corpus and its first problems; everything that comes from the data is escaped."""
    facts = {"kind": corpus.kind, "locale": corpus.locale, **corpus.profile(), "fingerprint": corpus.fingerprint[:12]}
    cells = [(html.escape(name), html.escape(_short(value))) for name, value in facts.items()]
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
    problems = "".join(f"<li>{html.escape(str(problem))}</li>" for problem in corpus.problems[:SHOWN])
    more = f"<p>… and {len(corpus.problems) - SHOWN:,} more</p>" if len(corpus.problems) > SHOWN else ""
    title = f"{corpus.name}: {len(corpus.errors):,} errors, {len(corpus.warnings):,} warnings"
    return f"<div><b>{html.escape(title)}</b><table>{rows}</table><ul>{problems}</ul>{more}</div>"


def _texts(corpus: Corpus) -> Iterator[str]:
    yield from (utterance.text for utterance in corpus.utterances)
    yield from (line.text for line in corpus.lines)


def _words(text: str, locale: str) -> list[str]:
    """Words in lower case without punctuation around them."""
    if locale.split("-")[0] in UNSPACED:
        return [char for char in text.casefold() if char.isalnum()]
    words = (_strip(word) for word in text.casefold().split())
    return [word for word in words if word]


def _strip(word: str) -> str:
    if word.isalnum():
        return word
    begin, end = 0, len(word)
    while begin < end and not word[begin].isalnum():
        begin += 1
    while end > begin and not word[end - 1].isalnum():
        end -= 1
    return word[begin:end]


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
