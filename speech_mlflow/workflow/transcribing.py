"""Transcribe recordings with one particular model: through an endpoint while it serves that model, otherwise in a batch."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from speech_mlflow.corpus import read_corpus
from speech_mlflow.corpus.wav import read_wav
from speech_mlflow.errors import AudioError, DataError, NotFoundError, ServiceError, TrackingError
from speech_mlflow.progress import Progress
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.entities import BaseModel, CustomModel, Endpoint, Transcription, by_age
from speech_mlflow.service.recognition import SECONDS_MAX
from speech_mlflow.tracking import tags
from speech_mlflow.workflow import data
from speech_mlflow.workflow.evaluating import lexical

Via = Literal["auto", "endpoint", "batch"]
Recording = bytes | Path

TTL_HOURS = 48
_FORMS = {"display": "display", "lexical": "lexical", "itn": "itn", "maskedITN": "masked_itn"}


@dataclass(frozen=True)
class Transcript:
    """What was heard in a recording, in the service's forms; all are empty where nothing was heard."""

    display: str = ""
    lexical: str = ""
    itn: str = ""
    masked_itn: str = ""

    def form(self, name: str) -> str:
        """The text in one form: display, lexical, itn, maskedITN."""
        try:
            return str(getattr(self, _FORMS[name]))
        except KeyError:
            raise DataError(f"{name!r} is no form of a transcript", hint=f"forms: {', '.join(_FORMS)}") from None


def transcribe(
    speech: SpeechClient,
    model_id: str,
    recordings: Sequence[Recording],
    *,
    locale: str,
    via: Via = "auto",
    progress: Progress | None = None,
) -> list[Transcript]:
    """Transcripts of WAV recordings (paths or contents), in their order, by the custom or base model of that id.

    ``via`` *auto* uses an endpoint while it serves the model, and a batch transcription for what it cannot take (recordings
    over 60 s) and where there is none. An endpoint that was given another model meanwhile is not believed. The same batch is
    transcribed once. Raises AudioError for what is no WAV, TrackingError where *endpoint* is asked for and none serves.
    """
    if via not in ("auto", "endpoint", "batch"):
        raise DataError(f"{via!r} is no way to transcribe", hint="auto, endpoint or batch")
    contents = [one if isinstance(one, bytes) else _read(one) for one in recordings]
    if not contents:
        return []
    live = None if via == "batch" else find_endpoint(speech, model_id)
    if live is None and via == "endpoint":
        raise TrackingError(f"no endpoint serves model {model_id}", hint="promote its version, or use via='batch'")
    short = [index for index, content in enumerate(contents) if via == "endpoint" or _seconds(content) <= SECONDS_MAX]
    heard: dict[int, Transcript] = {}
    if live is not None:
        heard = {index: _recognized(speech, live, contents[index], locale) for index in short}
        if not _serves(speech, live, model_id):
            heard = {}
            if via == "endpoint":
                raise TrackingError(f"endpoint {live.id} was given another model meanwhile", hint="try again")
    rest = [index for index in range(len(contents)) if index not in heard]
    if rest:
        texts = _batch(speech, model_id, [contents[index] for index in rest], locale, progress)
        heard |= dict(zip(rest, texts, strict=True))
    return [heard[index] for index in range(len(contents))]


def find_endpoint(speech: SpeechClient, model_id: str) -> Endpoint | None:
    """An endpoint that serves a model now; the oldest of several."""
    serving = [one for one in speech.endpoints.list() if one.status == "Succeeded" and one.model and one.model.id == model_id]
    return min(serving, key=by_age, default=None)


def model_of(speech: SpeechClient, model_id: str) -> BaseModel | CustomModel:
    """A model by its id, custom or base. Raises NotFoundError."""
    try:
        return speech.models.get(model_id)
    except NotFoundError:
        return speech.models.get_base(model_id)


def _recognized(speech: SpeechClient, live: Endpoint, content: bytes, locale: str) -> Transcript:
    result = speech.recognize(live, content, language=locale)
    return Transcript(result.display, result.lexical, result.itn, result.masked_itn)


def _serves(speech: SpeechClient, live: Endpoint, model_id: str) -> bool:
    try:
        now = speech.endpoints.get(live)
    except NotFoundError:
        return False
    return now.status == "Succeeded" and now.model is not None and now.model.id == model_id


def _batch(
    speech: SpeechClient, model_id: str, contents: Sequence[bytes], locale: str, progress: Progress | None
) -> list[Transcript]:
    """One data set of all recordings, one transcription of it; both are found again by their content."""
    names = [f"{hashlib.sha256(content).hexdigest()[:32]}.wav" for content in contents]
    with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
        recordings = Path(folder, "recordings")
        recordings.mkdir()
        for name, content in zip(names, contents, strict=True):
            (recordings / name).write_bytes(content)
        corpus = read_corpus(recordings, locale=locale, kind="AudioFiles")
        dataset = data.upload(speech, corpus, progress=progress)
    key = data.content_key(kind="transcription", resource=speech.resource, model=model_id, data=corpus.fingerprint)
    submitted = _find(speech, key) or speech.transcriptions.create(
        display_name=_name(key),
        locale=locale,
        model=model_of(speech, model_id),
        dataset=dataset,
        time_to_live_hours=TTL_HOURS,
        custom_properties={tags.PROPERTY_MANAGED_BY: tags.MANAGED_BY, tags.PROPERTY_FINGERPRINT: key},
    )
    done = speech.wait(submitted, progress=progress)
    heard = _results(speech, done)
    missing = sorted({name for name in names if name not in heard})
    if missing:
        raise ServiceError(
            f"{len(missing)} of {len(contents)} recordings have no transcript",
            hint=f"the report of transcription {done.id} says why",
        )
    return [heard[name] for name in names]


def _results(speech: SpeechClient, done: Transcription) -> dict[str, Transcript]:
    heard = {}
    for file in speech.transcriptions.files(done.id):
        if file.kind == "Transcription":
            document = json.loads(speech.read_file(file))
            source = urlsplit(str(document.get("source") or "")).path.rpartition("/")[2]
            heard[source or str(file.name).removesuffix(".json")] = _transcript(document)
    return heard


def _transcript(document: Mapping[str, Any]) -> Transcript:
    combined = [phrase for phrase in document.get("combinedRecognizedPhrases") or [] if isinstance(phrase, dict)]

    def joined(name: str) -> str:
        return " ".join(text for phrase in combined if (text := str(phrase.get(name) or "")))

    return Transcript(joined("display"), lexical(document), joined("itn"), joined("maskedITN"))


def _name(key: str) -> str:
    return data.display_name("predict", key, 1)


def _find(speech: SpeechClient, key: str) -> Transcription | None:
    named = speech.transcriptions.list(filters.eq("displayName", _name(key)))
    proven = [
        one for one in named if (one.custom_properties or {}).get(tags.PROPERTY_FINGERPRINT) == key and one.status != "Failed"
    ]
    return min(proven, key=by_age, default=None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _seconds(content: bytes) -> float:
    """Length of a WAV; what is none counts as short, for the recognition to say what is wrong with it."""
    try:
        return read_wav(content, max_seconds=math.inf).seconds
    except AudioError:
        return 0.0
