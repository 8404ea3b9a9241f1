"""Fetching again the data that a run used: from a URL, or from the service."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from speech_mlflow.corpus import read_corpus
from speech_mlflow.errors import DataError, TrackingError

if TYPE_CHECKING:
    from speech_mlflow.corpus import Corpus
    from speech_mlflow.service import SpeechClient
    from speech_mlflow.service.entities import Dataset, File
    from speech_mlflow.tracking.sources import SpeechDatasetSource, SpeechUrlSource

CONTENT_KINDS = {
    "Acoustic": ("AcousticDataArchive",),
    "AudioFiles": ("AcousticDataArchive", "Audio"),
    "Language": ("LanguageData",),
    "LanguageMarkdown": ("LanguageData",),
    "Pronunciation": ("PronunciationData",),
    "OutputFormatting": ("OutputFormattingData",),
}
"""Kinds of file in which the service gives back what was uploaded, by kind of data set."""

NORMALISED = "normalized.txt"
"""What the service made of a text, listed under the same kind as the text itself."""
_CHUNK = 1 << 20
_TIMEOUT = (10, 60)  # seconds to connect, seconds of silence


def load_url(source: SpeechUrlSource, query: str = "", directory: str | Path | None = None) -> Corpus:
    """Download what ``source`` names and read it as a corpus. Raises DataError where the server does not give it."""
    address = urlsplit(source.url)
    if address.scheme not in {"http", "https"}:
        raise DataError(f"data is not loaded from {address.scheme or 'a bare path'}: {source.url}")
    target = _folder(directory) / (Path(address.path).name or "data")
    url = f"{source.url}?{query.lstrip('?')}" if query else source.url
    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code != 200:
                raise DataError(
                    f"{source.url} answered {answer.status_code}",
                    hint="a signed URL is kept without its signature: give it with `query`, or upload the data again",
                )
            with target.open("wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
    except requests.RequestException as error:  # its text may hold the signed URL
        raise DataError(f"{source.url} could not be fetched: {type(error).__name__}") from None
    return read_corpus(target, locale=source.locale, kind=source.kind)


def load_dataset(
    source: SpeechDatasetSource, speech: SpeechClient | None = None, directory: str | Path | None = None
) -> Corpus:
    """Download a data set's content from the service and read it as a corpus."""
    if speech is not None:
        return _load_dataset(source, speech, directory)
    from speech_mlflow.connection import connect

    with connect() as connected:
        return _load_dataset(source, connected, directory)


def read_dataset(speech: SpeechClient, dataset: Dataset, directory: str | Path | None = None) -> Corpus:
    """The content of a data set of the service, read as a corpus named like it; to train or test on it uploads nothing."""
    kind = str(dataset.kind)
    file = _content(list(speech.datasets.files(dataset.id)), kind)
    if file is None:
        raise DataError(
            f"the service does not give back the content of data set {dataset.id} ({kind})",
            hint="use the copy that it was uploaded from",
        )
    suffix = ".zip" if kind in {"Acoustic", "AudioFiles"} else Path(file.name or "").suffix or ".txt"
    target = _folder(directory) / f"{dataset.id}{suffix}"
    speech.download(file, target)
    corpus = read_corpus(target, locale=str(dataset.locale), kind=kind, name=dataset.display_name)
    return replace(corpus, dataset_id=dataset.id)


def _load_dataset(source: SpeechDatasetSource, speech: SpeechClient, directory: str | Path | None) -> Corpus:
    if speech.resource != source.resource:
        raise TrackingError(
            f"data set {source.dataset_id} is in the speech resource {source.resource!r}, not in {speech.resource!r}",
            hint="connect to the resource that the run used (--endpoint)",
        )
    return read_dataset(speech, speech.datasets.get(source.dataset_id), directory)


def _content(files: list[File], kind: str) -> File | None:
    for wanted in CONTENT_KINDS.get(kind, ()):
        for file in files:
            if file.kind == wanted and file.name != NORMALISED:
                return file
    return None


def _folder(directory: str | Path | None) -> Path:
    if directory is None:
        folder = Path(tempfile.mkdtemp(prefix="speech-mlflow-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
