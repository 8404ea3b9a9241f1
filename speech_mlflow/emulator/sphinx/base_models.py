"""The base models on offer: which general vocabulary each has, and their files, made once from what is in the wheel."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from speech_mlflow.emulator.engine import BaseModelSpec
from speech_mlflow.errors import EngineError

LOCALE = "en-US"
ADAPTS_WITH = ("Acoustic", "Language", "LanguageMarkdown", "Pronunciation", "OutputFormatting")


@dataclass(frozen=True)
class BaseModel:
    """A base model: what it is shown as, and the number of general words it knows."""

    spec: BaseModelSpec
    vocabulary: int


def _offer(key: str, created: datetime.date, vocabulary: int) -> BaseModel:
    description = f"PocketSphinx en-US with a general vocabulary of {vocabulary:,} words."
    spec = BaseModelSpec(key, LOCALE, created.strftime("%Y%m%d"), created, description, ADAPTS_WITH)
    return BaseModel(spec, vocabulary)


BASE_MODELS = {
    model.spec.key: model
    for model in (
        _offer("en-us-5k", datetime.date(2024, 1, 15), 5_000),
        _offer("en-us-40k", datetime.date(2025, 1, 15), 40_000),
    )
}
"""By key, the oldest first. The newest is the best on general speech."""


def find(key: str) -> BaseModel:
    """The base model called ``key``; EngineError names those there are."""
    if key not in BASE_MODELS:
        raise EngineError(f"PocketSphinx has no base model {key!r}", hint=f"known: {', '.join(BASE_MODELS)}")
    return BASE_MODELS[key]


def files(key: str) -> tuple[Path, Path]:
    """Language model and dictionary of a base model, made on first use."""
    from speech_mlflow.emulator.sphinx.cache import cached

    folder = cached(f"base-{find(key).vocabulary}", lambda scratch: _make(find(key).vocabulary, scratch))
    return folder / "lm.bin", folder / "words.dict"


def _make(vocabulary: int, folder: Path) -> None:
    from speech_mlflow.emulator.sphinx import base
    from speech_mlflow.emulator.sphinx.dictionary import Lexicon, shipped_dictionary, write_dictionary
    from speech_mlflow.emulator.sphinx.ngrams import BEGIN, END, most_frequent, prune
    from speech_mlflow.emulator.sphinx.trie import read_trie, write_trie

    whole = read_trie(base.language_path())
    spoken = shipped_dictionary()
    # Hyphenated words go: transcripts are compared word by word, and their parts are in the model too.
    usable = {word for word in whole.words if word in spoken and "-" not in word} | {BEGIN, END}
    model = prune(whole, most_frequent(whole, vocabulary) & usable)
    write_trie(model, folder / "lm.bin")
    write_dictionary(folder / "words.dict", set(model.words) - {BEGIN, END}, Lexicon())
