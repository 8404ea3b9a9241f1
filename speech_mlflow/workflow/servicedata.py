"""Data sets that the service has, known by their content: read once, and on disk only while they are used."""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass

from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import NotFoundError, SpeechMlflowError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import Dataset
from speech_mlflow.tracking import tags
from speech_mlflow.tracking.dataset import SpeechDataset
from speech_mlflow.tracking.loading import read_dataset
from speech_mlflow.tracking.sources import SpeechDatasetSource

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Known:
    """A data set and how MLflow knows it. ``lacking`` says why its content is not known; its digest then names the service's
    data set alone."""

    entity: Dataset
    record: SpeechDataset
    lacking: str | None = None


class DataOfService:
    """Data sets of one resource."""

    def __init__(self, speech: SpeechClient) -> None:
        self._speech = speech
        self._known: dict[str, Known] = {}
        self._open: tuple[str, Corpus, tempfile.TemporaryDirectory[str]] | None = None

    def know(self, dataset_id: str) -> Known:
        """A data set by its id. What we uploaded carries its fingerprint; anything else is read. Raises NotFoundError."""
        if dataset_id not in self._known:
            entity = self._speech.datasets.get(dataset_id)
            properties = entity.custom_properties or {}
            fingerprint = properties.get(tags.PROPERTY_FINGERPRINT, "")
            ours = properties.get(tags.PROPERTY_MANAGED_BY) == tags.MANAGED_BY and _FINGERPRINT.fullmatch(fingerprint)
            if ours:
                self._known[dataset_id] = Known(entity, self._described(entity, fingerprint))
            else:
                self._read(entity)
                self.close()
        return self._known[dataset_id]

    def corpus(self, dataset_id: str) -> Corpus | None:
        """The content of a data set, on disk until :meth:`close` or the next one; None where it cannot be read."""
        if self._open is None or self._open[0] != dataset_id:
            self.close()
            try:
                self._read(self._speech.datasets.get(dataset_id))
            except NotFoundError:
                return None
        return self._open[1] if self._open else None

    def close(self) -> None:
        """Remove what is on disk."""
        if self._open is not None:
            self._open[2].cleanup()
            self._open = None

    def _read(self, entity: Dataset) -> None:
        folder = tempfile.TemporaryDirectory(prefix="speech-mlflow-")
        try:
            corpus = read_dataset(self._speech, entity, folder.name)
        except SpeechMlflowError as error:
            folder.cleanup()
            unknown = hashlib.sha256(f"speech data set {self._speech.resource} {entity.id}".encode()).hexdigest()
            known = Known(entity, self._described(entity, unknown), f"its content is not known: {error}")
            self._known.setdefault(entity.id, known)
            return
        self._open = (entity.id, corpus, folder)
        record = SpeechDataset.of_service(corpus, name=plain_name(entity), dataset_id=entity.id, resource=self._speech.resource)
        self._known.setdefault(entity.id, Known(entity, record))

    def _described(self, entity: Dataset, fingerprint: str) -> SpeechDataset:
        """A data set by what the service says of it."""
        properties = entity.properties
        hours = properties.duration_milliseconds if properties else None
        counts = {
            "hours": hours / 3_600_000 if hours is not None else None,
            "accepted_lines": properties.accepted_line_count if properties else None,
            "rejected_lines": properties.rejected_line_count if properties else None,
        }
        locale, kind = str(entity.locale), str(entity.kind)
        return SpeechDataset(
            SpeechDatasetSource(self._speech.resource, entity.id, locale, kind),
            name=plain_name(entity),
            fingerprint=fingerprint,
            dataset_id=entity.id,
            kind=kind,
            locale=locale,
            profile={name: value for name, value in counts.items() if value is not None},
            resource=self._speech.resource,
        )


def plain_name(entity: Dataset) -> str:
    """A data set's name, without the fingerprint that we write behind it where we upload."""
    name = entity.display_name or entity.id
    ours = (entity.custom_properties or {}).get(tags.PROPERTY_MANAGED_BY) == tags.MANAGED_BY
    return name.partition(" [")[0] if ours else name
