"""Where data came from, in a form that ``mlflow.data.get_source`` rebuilds and that loads the data again.

MLflow imports this module at its own import (entry point group ``mlflow.dataset_source``): it stands on MLflow's base
class and the standard library alone, and reaches for the rest when a source is loaded. A source holds ids and paths,
never a credential: a signed URL is kept without its signature, and a data set of the service without the service's URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow.data.dataset_source import DatasetSource

if TYPE_CHECKING:
    from pathlib import Path

    from speech_mlflow.corpus import Corpus
    from speech_mlflow.service import SpeechClient


class SpeechCorpusSource(DatasetSource):
    """A corpus on disk: a folder, a zip archive or a text file."""

    def __init__(self, path: str, locale: str, kind: str) -> None:
        self.path = path
        self.locale = locale
        self.kind = kind

    @staticmethod
    def _get_source_type() -> str:
        return "speech_corpus"

    def load(self) -> Corpus:
        """Read the corpus from where it was. Raises CorpusError where it is there no more."""
        from speech_mlflow.corpus import read_corpus

        return read_corpus(self.path, locale=self.locale, kind=self.kind)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False  # a path alone says neither locale nor kind, and MLflow's own sources take it

    @classmethod
    def _resolve(cls, raw_source: Any) -> SpeechCorpusSource:
        raise NotImplementedError("make a SpeechCorpusSource with path, locale and kind")

    def to_dict(self) -> dict[str, Any]:
        """The source as JSON-compatible values."""
        return {"path": self.path, "locale": self.locale, "kind": self.kind}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> SpeechCorpusSource:
        """The source that ``to_dict`` described."""
        return cls(source_dict["path"], source_dict["locale"], source_dict["kind"])


class SpeechUrlSource(DatasetSource):
    """Data that the service fetched from a URL. The query of the URL, where a signature is, is not kept."""

    def __init__(self, url: str, locale: str, kind: str) -> None:
        self.url = url.partition("?")[0].partition("#")[0]
        self.locale = locale
        self.kind = kind

    @staticmethod
    def _get_source_type() -> str:
        return "speech_url"

    def load(self, query: str = "", directory: str | Path | None = None) -> Corpus:
        """Download the data and read it.

        ``query`` is what the server asks for beyond the address, such as a shared access signature (``sv=...&sig=...``);
        ``directory`` is where the file goes (default: a temporary folder that lives as long as the process).
        """
        from speech_mlflow.tracking.loading import load_url

        return load_url(self, query, directory)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> SpeechUrlSource:
        raise NotImplementedError("make a SpeechUrlSource with url, locale and kind")

    def to_dict(self) -> dict[str, Any]:
        """The source as JSON-compatible values."""
        return {"url": self.url, "locale": self.locale, "kind": self.kind}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> SpeechUrlSource:
        """The source that ``to_dict`` described."""
        return cls(source_dict["url"], source_dict["locale"], source_dict["kind"])


class SpeechDatasetSource(DatasetSource):
    """A data set of the service, by the identity of the resource and its id."""

    def __init__(self, resource: str, dataset_id: str, locale: str, kind: str) -> None:
        self.resource = resource
        self.dataset_id = dataset_id
        self.locale = locale
        self.kind = kind

    @staticmethod
    def _get_source_type() -> str:
        return "speech_dataset"

    def load(self, speech: SpeechClient | None = None, directory: str | Path | None = None) -> Corpus:
        """Download the data set's content from the service and read it.

        ``speech`` is the connection to use (default: the one of the settings); it must be to the same resource.
        Raises TrackingError where it is not, NotFoundError where the data set was deleted.
        """
        from speech_mlflow.tracking.loading import load_dataset

        return load_dataset(self, speech, directory)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> SpeechDatasetSource:
        raise NotImplementedError("make a SpeechDatasetSource with resource, dataset_id, locale and kind")

    def to_dict(self) -> dict[str, Any]:
        """The source as JSON-compatible values."""
        return {"resource": self.resource, "dataset_id": self.dataset_id, "locale": self.locale, "kind": self.kind}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> SpeechDatasetSource:
        """The source that ``to_dict`` described."""
        return cls(source_dict["resource"], source_dict["dataset_id"], source_dict["locale"], source_dict["kind"])
