"""Whisper's text normalisers, by name: error rates that are published for other models are mostly computed under them.

They are chosen by name and serve no locale, so that installing this package changes no rate. The rules are those of the package
``whisper-normalizer``; its version is part of each normaliser's label, and so of every score.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import speech_mlflow

if TYPE_CHECKING:
    from speech_mlflow.scoring.normalize import Normalizer

Rule = Callable[[str], str]


@speech_mlflow.hookimpl
def register_normalizers(register: Callable[[Normalizer], None]) -> None:
    from speech_mlflow.scoring.normalize import Normalizer

    rules = version("whisper-normalizer")
    for name, function in (("whisper-english", english), ("whisper-basic", basic), ("whisper-basic-marks", basic_marks)):
        register(Normalizer(name, function, version=rules))


def english(text: str) -> str:
    """Whisper's rules for English: numbers to digits, contractions spelt out, British spelling to American, fillers dropped."""
    return _spaced(_english()(text))


def basic(text: str) -> str:
    """Whisper's rules for other languages. Vowel signs of Indic and other scripts are lost; ``basic_marks`` keeps them."""
    return _spaced(_basic(False)(text))


def basic_marks(text: str) -> str:
    """The rules of ``basic`` with combining marks kept, so that words of Indic scripts stay what they are."""
    return _spaced(_basic(True)(text))


def _spaced(text: str) -> str:
    """Words separated by single spaces, as a rule must leave them."""
    return " ".join(text.split())


@lru_cache(maxsize=1)
def _english() -> Rule:
    from whisper_normalizer.english import EnglishTextNormalizer

    rule: Rule = EnglishTextNormalizer()
    return rule


@lru_cache(maxsize=2)
def _basic(marks: bool) -> Rule:
    from whisper_normalizer.basic import BasicTextNormalizer

    rule: Rule = BasicTextNormalizer(preserve_marks=marks)
    return rule
