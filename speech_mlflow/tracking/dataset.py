"""A speech data set as MLflow knows data sets: name, digest, source, schema, profile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlflow.data.dataset import Dataset
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema

from speech_mlflow.tracking import tags
from speech_mlflow.tracking.sources import SpeechCorpusSource, SpeechDatasetSource

if TYPE_CHECKING:
    from mlflow.data.dataset_source import DatasetSource

    from speech_mlflow.corpus import Corpus

CONTEXT = "mlflow.data.context"
CONTENT_DIGITS = 23
SERVICE_DIGITS = 12

_TEXT_COLUMNS = {
    "Language": ("sentence",),
    "LanguageMarkdown": ("line",),
    "Pronunciation": ("displayed", "spoken"),
    "OutputFormatting": ("line",),
}
_AUDIO_COLUMNS = {"Acoustic": ("audio", "text"), "AudioFiles": ("audio",)}


def digest(fingerprint: str, dataset_id: str) -> str:
    """The digest of a data set: 23 hexadecimal digits of its content, a dash, 12 of the service's id for it.

    MLflow keeps one data set per experiment, name and digest and silently drops what a second one of the same digest
    brings; with the service's id in it, the same content uploaded to another resource is a data set of its own. MLflow
    takes 36 characters at most.
    """
    return f"{content_part(fingerprint)}-{dataset_id.replace('-', '')[:SERVICE_DIGITS]}"


def content_part(fingerprint: str) -> str:
    """The part of a digest that names the content alone."""
    return fingerprint[:CONTENT_DIGITS]


def same_content(first: str, second: str) -> bool:
    """Whether two digests name the same content, wherever it was uploaded."""
    return first[:CONTENT_DIGITS] == second[:CONTENT_DIGITS]


class SpeechDataset(Dataset):
    """Speech data for training or testing, for ``mlflow.log_input`` and for the runs of this package.

    ``profile`` holds what :meth:`Corpus.profile` counts (utterances, hours, words, speakers, vocabulary,
    rejected lines) and where the service keeps the data.
    """

    def __init__(
        self,
        source: DatasetSource,
        *,
        name: str,
        fingerprint: str,
        dataset_id: str,
        kind: str,
        locale: str,
        profile: Mapping[str, int | float],
        resource: str | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.dataset_id = dataset_id
        self.kind = kind
        self.locale = locale
        self.resource = resource
        self._counts = dict(profile)
        super().__init__(source, name=name)

    @classmethod
    def of_corpus(cls, corpus: Corpus, *, dataset_id: str, resource: str | None = None) -> SpeechDataset:
        """The data set that a corpus on disk became in the service."""
        source = SpeechCorpusSource(str(corpus.source.absolute()), corpus.locale, corpus.kind)
        return cls._of(source, corpus, corpus.name, dataset_id, resource)

    @classmethod
    def of_service(cls, corpus: Corpus, *, name: str, dataset_id: str, resource: str) -> SpeechDataset:
        """A data set of the service, with its content read from there."""
        source = SpeechDatasetSource(resource, dataset_id, corpus.locale, corpus.kind)
        return cls._of(source, corpus, name, dataset_id, resource)

    @classmethod
    def _of(cls, source: DatasetSource, corpus: Corpus, name: str, dataset_id: str, resource: str | None) -> SpeechDataset:
        return cls(
            source,
            name=name,
            fingerprint=corpus.fingerprint,
            dataset_id=dataset_id,
            kind=corpus.kind,
            locale=corpus.locale,
            profile=corpus.profile(),
            resource=resource,
        )

    def _compute_digest(self) -> str:
        return digest(self.fingerprint, self.dataset_id)

    @property
    def profile(self) -> dict[str, int | float | str]:
        """Counts of the content, with kind, locale, the service's id and the resource."""
        named = {"kind": self.kind, "locale": self.locale, "service data set": self.dataset_id}
        if self.resource is not None:
            named["resource"] = self.resource
        return {**self._counts, **named}

    @property
    def schema(self) -> Schema:
        """The columns of the data, as MLflow draws them."""
        if self.kind in _AUDIO_COLUMNS:
            columns = _AUDIO_COLUMNS[self.kind]
            return Schema([ColSpec(DataType.binary if name == "audio" else DataType.string, name) for name in columns])
        return Schema([ColSpec(DataType.string, name) for name in _TEXT_COLUMNS.get(self.kind, ("line",))])

    def to_dict(self) -> dict[str, str]:
        """What MLflow stores; schema and profile as JSON texts."""
        document: dict[str, str] = super().to_dict()
        document["schema"] = json.dumps({"mlflow_colspec": self.schema.to_dict()})
        document["profile"] = json.dumps(self.profile)
        return document

    def to_input(self, context: str) -> DatasetInput:
        """This data set as the input of a run; ``context`` is "training" or "testing"."""
        given: dict[str, Any] = {
            CONTEXT: context,
            tags.FINGERPRINT: self.fingerprint,
            tags.DATASET_ID: self.dataset_id,
            tags.DATASET_KIND: self.kind,
        }
        return DatasetInput(self._to_mlflow_entity(), [InputTag(name, value) for name, value in given.items()])
