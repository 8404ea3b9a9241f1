"""Data on its way to the service: read, checked all at once, uploaded once per content."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.errors import CorpusError, DataError
from speech_mlflow.progress import Progress
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import Dataset, Record, id_of
from speech_mlflow.service.upload import find_dataset, import_dataset, in_project, upload_dataset
from speech_mlflow.tracking.dataset import SpeechDataset
from speech_mlflow.tracking.loading import read_dataset

AT_SERVICE = "dataset:"
"""Before the id of a data set that the service has already."""
KEY_DIGITS = 12
"""Digits of a content key in the displayName of what was made for it."""


@dataclass(frozen=True)
class Uploaded:
    """A corpus, the data set that the service made of it, and how MLflow knows it."""

    corpus: Corpus
    entity: Dataset
    record: SpeechDataset


def read_all(
    data: Iterable[Corpus | str | Path],
    *,
    locale: str,
    speech: SpeechClient | None = None,
    purpose: Literal["training", "testing"] | None = None,
) -> list[Corpus]:
    """Read what is given as paths or as ``dataset:ID``, and check everything before anything is uploaded.

    ``dataset:ID`` is a data set that ``speech`` has already. ``purpose`` adds its own checks to what is given as a path. The same
    content given twice counts once. Raises CorpusError with the problems of all corpora, DataError where there is none or a
    locale does not fit, NotFoundError for a data set that is not there.
    """
    corpora: dict[str, Corpus] = {}
    unreadable: list[CorpusError] = []
    for given in data:
        try:
            corpus = _read(given, locale, speech, purpose)
        except CorpusError as error:
            unreadable.append(error)
            continue
        corpora.setdefault(f"{corpus.kind} {corpus.fingerprint}", corpus)
    found = list(corpora.values())
    if not found and not unreadable:
        raise DataError("no data was given", hint="name at least one folder, zip archive or text file")
    foreign = [f"{corpus.name} ({corpus.locale})" for corpus in found if corpus.locale.lower() != locale.lower()]
    if foreign:
        raise DataError(f"data of another locale than {locale}: {', '.join(foreign)}", hint="all parts have one locale")
    _check(found, unreadable)
    return found


def _read(
    given: Corpus | str | Path, locale: str, speech: SpeechClient | None, purpose: Literal["training", "testing"] | None
) -> Corpus:
    if isinstance(given, Corpus):
        return given
    if speech is not None and str(given).startswith(AT_SERVICE):
        return read_dataset(speech, speech.datasets.get(str(given).removeprefix(AT_SERVICE)))
    return read_corpus(given, locale=locale, purpose=purpose)


def _check(corpora: Sequence[Corpus], unreadable: Sequence[CorpusError]) -> None:
    """Raise CorpusError with everything that is wrong with any of the corpora."""
    errors = list(unreadable)
    for corpus in corpora:
        if corpus.dataset_id is not None:
            continue  # the service has taken it, and says itself which lines it rejected
        try:
            corpus.check()
        except CorpusError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        problems = tuple(problem for error in errors for problem in error.problems)
        raise CorpusError("\n".join(str(error) for error in errors), problems=problems)


def upload(
    speech: SpeechClient,
    corpus: Corpus,
    *,
    project: str | None = None,
    wait: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """The data set of the service with the content of a corpus: found, or checked, uploaded and (``wait``) imported."""
    if corpus.dataset_id is not None:
        return speech.datasets.get(corpus.dataset_id)
    corpus.check()
    known = find_dataset(
        speech, kind=corpus.kind, locale=corpus.locale, display_name=corpus.name, fingerprint=corpus.fingerprint
    )
    if known is not None and known.status == "Succeeded":
        return in_project(speech, known, project)
    with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
        return upload_dataset(
            speech,
            corpus.write_upload(Path(folder)),
            kind=corpus.kind,
            locale=corpus.locale,
            display_name=corpus.name,
            fingerprint=corpus.fingerprint,
            description=f"{corpus.kind} data for {corpus.locale}, uploaded by speech_mlflow",
            project=project,
            wait=wait,
            progress=progress,
        )


def import_url(
    speech: SpeechClient,
    url: str,
    *,
    kind: str,
    locale: str,
    name: str,
    project: str | None = None,
    force: bool = False,
    wait: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """The data set that the service itself reads from ``url``: a blob with a shared access signature, a public file, or a blob
    that the resource's managed identity may read.

    The same address (its query, where a signature is, left out) is imported once for each kind and locale, whatever has become of
    the file since; ``force`` imports it again. The content is not seen here: the service alone checks it.
    """
    address = url.partition("?")[0].partition("#")[0]
    mark = "url-" + content_key(address=address, kind=kind, locale=locale)
    return import_dataset(
        speech,
        SecretStr(url),
        kind=kind,
        locale=locale,
        display_name=name,
        fingerprint=None if force else mark,
        description=f"{kind} data for {locale}, imported from a URL by speech_mlflow",
        project=project,
        wait=wait,
        progress=progress,
    )


def upload_all(
    speech: SpeechClient, corpora: Sequence[Corpus], *, project: str | None = None, progress: Progress | None = None
) -> list[Uploaded]:
    """Upload several corpora, then wait for all their imports at once."""
    begun = [upload(speech, corpus, project=project, wait=False, progress=progress) for corpus in corpora]
    waiting = [entity for entity in begun if entity.status != "Succeeded"]
    done = {entity.id: entity for entity in speech.wait_all(waiting, progress=progress)} if waiting else {}
    entities = [done.get(entity.id, entity) for entity in begun]
    return [
        Uploaded(corpus, entity, _record(corpus, entity, speech.resource))
        for corpus, entity in zip(corpora, entities, strict=True)
    ]


def _record(corpus: Corpus, entity: Dataset, resource: str) -> SpeechDataset:
    if corpus.dataset_id is None:
        return SpeechDataset.of_corpus(corpus, dataset_id=entity.id, resource=resource)
    return SpeechDataset.of_service(corpus, name=corpus.name, dataset_id=entity.id, resource=resource)


def lines(datasets: Sequence[Dataset]) -> tuple[list[dict[str, float]], dict[str, float]]:
    """How many lines the service took and refused, as they are logged: of each data set, and in sum. What it did not count of
    every one of them is left out."""
    counts: dict[str, list[Any]] = {
        f"data.{name}_lines": [getattr(one.properties, f"{name}_line_count", None) for one in datasets]
        for name in ("accepted", "rejected")
    }
    known = {name: column for name, column in counts.items() if None not in column}
    parts = [{name: float(column[index]) for name, column in known.items()} for index in range(len(datasets))]
    return parts, {name: float(sum(column)) for name, column in known.items() if column}


def content_key(**parts: object) -> str:
    """The key of a piece of work: the SHA-256 of everything that decides what comes out of it, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def display_name(name: str, key: str, attempt: int) -> str:
    """The ``displayName`` of what is made for a key: the service can be asked for it, so that it is made once."""
    return f"{name} [{key[:KEY_DIGITS]}{f'-{attempt}' if attempt > 1 else ''}]"


def portable(entity: Record) -> dict[str, Any]:
    """A record of the service without its URLs, which belong to one endpoint: references become ids."""

    def without_urls(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {"self"}:
                return id_of(str(value["self"]))
            return {name: without_urls(part) for name, part in value.items() if name not in {"self", "links"}}
        return [without_urls(part) for part in value] if isinstance(value, list) else value

    record: dict[str, Any] = without_urls(entity.to_json())
    return record
