"""Test utterances that a model was trained on: found by the same recording or the same words.

A train run keeps marks of its data, in the artifact ``speech/training_data.json``: of each recording the SHA-256 of the WAV file,
of each transcript and line of related text the SHA-256 of what the locale's normaliser makes of it, all cut to 16
hexadecimal digits. A test asks the train run of each model for them. What is in the training data of a base model, or of one
that was trained elsewhere, nobody here knows, and nothing is said of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mlflow.exceptions import MlflowException

from speech_mlflow.scoring import get_normalizer
from speech_mlflow.service.entities import CustomModel
from speech_mlflow.tracking import registry, runs, tags
from speech_mlflow.tracking.store import Store, is_missing

if TYPE_CHECKING:
    from speech_mlflow.corpus import Corpus
    from speech_mlflow.scoring import Score
    from speech_mlflow.workflow.choosing import Chosen

FILE = "speech/training_data.json"
COLUMN = "in training data"
DIGITS = 16  # two of a million training and ten thousand test utterances share them by chance once in a billion times
LISTED = 5
_TEXTS = ("Acoustic", "Language")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contamination:
    """Of one model's test utterances: how many were looked at, and the ids of those in its training data, by what is the same."""

    utterances: int
    audio: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys([*self.audio, *self.text]))

    def metrics(self) -> dict[str, float]:
        """The counts as they are logged."""
        return {
            "contaminated": len(self.ids),
            "contaminated.audio": len(self.audio),
            "contaminated.text": len(self.text),
        }

    def column(self, ids: Iterable[str]) -> list[str]:
        """For each utterance what of it is in the training data: "audio", "text", "audio, text" or nothing."""
        audio, text = set(self.audio), set(self.text)
        return [", ".join(what for what, found in (("audio", audio), ("text", text)) if id_ in found) for id_ in ids]

    @classmethod
    def of_column(cls, ids: Sequence[str], column: Sequence[str]) -> Contamination:
        """What :meth:`column` wrote."""
        audio, text = (tuple(id_ for id_, cell in zip(ids, column, strict=True) if what in cell) for what in ("audio", "text"))
        return cls(len(ids), audio, text)

    def among(self, ids: Sequence[str]) -> Contamination:
        """The same of some of the utterances."""
        kept = set(ids)
        audio, text = (tuple(id_ for id_ in found if id_ in kept) for found in (self.audio, self.text))
        return Contamination(len(ids), audio, text)

    def __str__(self) -> str:
        if not self.ids:
            return f"none of {self.utterances} test utterances"
        more = f" and {len(self.ids) - LISTED} more" if len(self.ids) > LISTED else ""
        return (
            f"{len(self.ids)} of {self.utterances} test utterances ({len(self.audio)} by recording, {len(self.text)} by text): "
            f"{', '.join(self.ids[:LISTED])}{more}"
        )


def marks(corpora: Iterable[Corpus], locale: str) -> str:
    """The marks of training data, as a train run keeps them."""
    rule = get_normalizer(locale)
    audio: set[str] = set()
    texts: set[str] = set()
    for corpus in corpora:
        audio.update(corpus.digest(utterance.id)[:DIGITS] for utterance in corpus.utterances)
        if corpus.kind in _TEXTS:
            said = [*(utterance.text for utterance in corpus.utterances), *(line.text for line in corpus.lines)]
            texts.update(_mark(text) for text in rule.many(said) if text)
    return json.dumps({"normalizer": rule.label, "audio": sorted(audio), "text": sorted(texts)})


def find(store: Store, corpus: Corpus, models: Iterable[Chosen]) -> dict[str, Contamination]:
    """By label, what of a test corpus is in the training data of each model whose training data are known."""
    found = {}
    for model in models:
        if isinstance(model.entity, CustomModel):
            known = _marks_of(store, model.entity.id)
            if known is not None:
                found[model.label] = _compared(corpus, known, model.label)
    return found


def describe(found: Contamination, score: Score) -> str:
    """A sentence on what was found, with the WER on the other utterances where there is anything to leave out."""
    rest = rate_without(score, found.ids) if found.ids else None
    return str(found) if rest is None else f"{found}; WER on the others {rest:.2%}"


def rate_without(score: Score, ids: Iterable[str]) -> float | None:
    """The WER over the utterances that are not in ``ids``; None where these have no words."""
    left_out = set(ids)
    total = score.arrays.total(np.array([id_ not in left_out for id_ in score.ids], dtype=np.bool_))
    return total.wer if total.words else None


def _compared(corpus: Corpus, known: Mapping[str, object], label: str) -> Contamination:
    rule = get_normalizer(corpus.locale)
    audio, texts = (frozenset(map(str, known.get(name) or ())) for name in ("audio", "text"))  # type: ignore[call-overload]
    if known.get("normalizer") != rule.label:
        log.warning(
            "%s was trained under the normaliser %s, now it is %s: test utterances are looked for by recording only",
            label,
            known.get("normalizer"),
            rule.label,
        )
        texts = frozenset()
    said = zip(corpus.utterances, rule.many(utterance.text for utterance in corpus.utterances), strict=True)
    return Contamination(
        len(corpus.utterances),
        tuple(utterance.id for utterance in corpus.utterances if corpus.digest(utterance.id)[:DIGITS] in audio),
        tuple(utterance.id for utterance, text in said if text and _mark(text) in texts),
    )


def _marks_of(store: Store, model_id: str) -> dict[str, object] | None:
    """The marks that the train run of a model keeps; None where it has none, or there is no such run."""
    for run_id in _train_runs(store, model_id):
        try:
            with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
                path = Path(store.client.download_artifacts(run_id, FILE, folder))
                document: dict[str, object] = json.loads(path.read_text("utf-8"))
                return document
        except (MlflowException, OSError) as error:
            if isinstance(error, MlflowException) and not is_missing(error):
                log.info("the marks of train run %s cannot be read: %s", run_id, error)
    return None


def _train_runs(store: Store, model_id: str) -> list[str]:
    versions = registry.versions_of_model(store.client, None, model_id)
    named = [version.tags.get(tags.TRAIN_RUN_ID) or version.run_id for version in versions]
    own = (
        [run.info.run_id for run in runs.find_by_tag(store, tags.KIND_TRAIN, tags.MODEL_ID, model_id)] if not any(named) else []
    )
    return list(dict.fromkeys(str(run_id) for run_id in [*named, *own] if run_id))


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
