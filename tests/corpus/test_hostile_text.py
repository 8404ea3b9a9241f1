"""Lines that are made to keep a parser busy: what takes a moment for an ordinary line must not take hours for these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from speech_mlflow.corpus.output_format import looks_like_output_format, parse_output_format
from speech_mlflow.corpus.pronunciation import parse_pronunciations
from speech_mlflow.corpus.rules import apply_rules, rules_for
from speech_mlflow.corpus.structured_text import looks_like_structured_text, parse_structured_text
from speech_mlflow.corpus.text import Text, decode
from speech_mlflow.corpus.transcript import looks_like_transcript, parse_transcript

MANY = 200_000
LINES = {
    "a list of blanks": "@ list" + " " * MANY + "x",
    "a lexicon of blanks": "@ speech:phoneticlexicon" + " " * MANY + "x",
    "a reference of blanks": "# A\n- {@" + " " * MANY + "x",
    "references without end": "# A\n- " + "{@a" * MANY,
    "a heading of blanks": "#itn" + " " * MANY + "x",
    "a pattern without end": "#itn\n" + "a" * MANY,
    "parentheses": "(" * MANY,
    "dashes": "-" * MANY,
    "names": "a.wav" * MANY,
    "dots": "a." * MANY + ":",
    "digits": "1" * MANY + "x",
    "dashes and blanks": "- " * MANY,
}
LOCALES = ("en-US", "de-DE", "ja-JP", "zh-CN")


def _by_rules(kind: str) -> Callable[[Text], Any]:
    return lambda text: [apply_rules(rules_for(kind, locale, None), text.numbered(), text.file) for locale in LOCALES]


PARSERS: dict[str, Callable[[Text], Any]] = {
    "transcript": parse_transcript,
    "structured text": parse_structured_text,
    "output format": parse_output_format,
    "pronunciations": parse_pronunciations,
    "rules of transcripts": _by_rules("Acoustic"),
    "rules of texts": _by_rules("Language"),
    "guess": lambda text: (looks_like_transcript(text), looks_like_structured_text(text), looks_like_output_format(text)),
}


@pytest.mark.timeout(100)  # each takes a tenth of a second; tried in every division of its parts, a line takes hours
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_in_one_go(line: str, parser: str) -> None:
    assert PARSERS[parser](decode(LINES[line].encode(), "hostile.txt")) is not None
