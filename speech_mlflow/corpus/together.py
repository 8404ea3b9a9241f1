"""Corpora used together: what may be trained with what, and test data that training has seen.

Source: "Training and testing datasets" in the service's documentation, and its advice that test data must not be training data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from speech_mlflow.corpus.records import Problem, error, quote, warning

if TYPE_CHECKING:
    from speech_mlflow.corpus.corpus import Corpus


def check_training(corpora: Sequence[Corpus]) -> tuple[Problem, ...]:
    """Problems of training one model with all of ``corpora``."""
    return tuple(_check_training(corpora))


def check_overlap(training: Iterable[Corpus], testing: Corpus) -> tuple[Problem, ...]:
    """Test data that are training data as well: the same recordings, byte by byte, or the same sentences.

    Each is a warning: the test then tells how well the model remembers, not how well it recognises. Sentences are compared
    without case and without punctuation at the ends of words.
    """
    return tuple(_check_overlap(training, testing))


def _check_training(corpora: Sequence[Corpus]) -> Iterator[Problem]:
    for corpus in corpora[1:]:
        if corpus.locale != corpora[0].locale:
            what = f"is {corpus.locale}, but {quote(corpora[0].name)} is {corpora[0].locale}"
            yield error("locale", what, corpus.source.name, hint="train one model per locale")
    structured = next((corpus for corpus in corpora if corpus.kind == "LanguageMarkdown"), None)
    for corpus in corpora:
        if corpus.kind == "Pronunciation" and structured is not None:
            what = f"pronunciation data cannot be used with structured text ({quote(structured.name)})"
            hint = "put the pronunciations under '@ speech:phoneticlexicon' of the structured text"
            yield error("combination", what, corpus.source.name, hint=hint)


def _check_overlap(training: Iterable[Corpus], testing: Corpus) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    said: dict[str, str] = {}
    for corpus in training:
        for utterance in corpus.utterances:
            seen.setdefault(corpus.digest(utterance.id), f"{corpus.name}: {utterance.id}")
        texts = [(utterance.line, utterance.text) for utterance in corpus.utterances]
        texts += [(line.number, line.text) for line in corpus.lines if corpus.kind == "Language"]
        for number, text in texts:
            said.setdefault(_key(text), f"{corpus.name}: line {number}")
    for utterance in testing.utterances:
        if (same := seen.get(testing.digest(utterance.id))) is not None:
            yield warning("tested-on-training", f"is the same recording as {quote(same)}", utterance.id)
        elif utterance.text and (same := said.get(_key(utterance.text))) is not None:
            what = f"the sentence is also in the training data ({quote(same)})"
            yield warning("tested-on-training", what, utterance.id)


def _key(text: str) -> str:
    return " ".join(word for part in text.casefold().split() if (word := part.strip(".,;:!?\"'()[]“”„«»¿¡。，？！、")))
