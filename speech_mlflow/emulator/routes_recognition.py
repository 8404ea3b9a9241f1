"""Recognition of short audio: what an application sends to an endpoint."""

from __future__ import annotations

import array
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from speech_mlflow.corpus.wav import Wav, read_wav
from speech_mlflow.emulator.display import ProfanityMode
from speech_mlflow.emulator.engine import Recognition
from speech_mlflow.emulator.formatting import Writer
from speech_mlflow.emulator.problems import SHORT_AUDIO_SECONDS, short_audio
from speech_mlflow.emulator.recognition import Loadable
from speech_mlflow.emulator.results import TICKS, hypothesis_json
from speech_mlflow.emulator.routing import Answer, Call, Route
from speech_mlflow.emulator.store import Record
from speech_mlflow.errors import AudioError

RECOGNITION = "/speech/recognition/conversation/cognitiveservices/v1"
AUDIO = ("audio/wav", "audio/x-wav", "audio/wave")
SILENCE = 64
"""Loudest sample of a recording that is called silent, of 32767."""
PROFANITY: Mapping[str, ProfanityMode] = {"masked": "masked", "removed": "removed", "raw": "raw"}
WRONG_ID = "Invalid CID or language"


def recognize(call: Call) -> Answer:
    """POST: recognise up to 60 s of WAV with the model that the endpoint ``cid`` serves."""
    language = call.query.get("language")
    style = call.query.get("format", "simple").lower()
    if not language:
        raise short_audio(400, "The parameter language is required.")
    if style not in ("simple", "detailed"):
        raise short_audio(400, "format must be simple or detailed.")
    profanity = PROFANITY.get(call.query.get("profanity", "masked").lower())
    if profanity is None:
        raise short_audio(400, "profanity must be masked, removed or raw.")
    endpoint, model = _served(call, language)
    audio = _audio(call.body)
    with call.core.concurrency.slot(endpoint.id if endpoint else "base"):
        recognition = _hear(call, model)
    return Answer(200, _result(recognition, audio, replace(model.writer, profanity=profanity), style, call.body))


def _served(call: Call, language: str) -> tuple[Record | None, Loadable]:
    """The endpoint and the model that it serves; without ``cid`` the newest base model."""
    core = call.core
    cid = call.query.get("cid")
    endpoint = core.get("endpoints", cid.lower()) if cid else None
    if cid and (endpoint is None or "served" not in endpoint.body or endpoint.body["locale"].lower() != language.lower()):
        raise short_audio(400, WRONG_ID)
    newest = core.models.newest(language)
    path = core.served_path(endpoint) if endpoint is not None else (newest.path if newest else None)
    model = core.models.resolve(path) if path else None
    if model is None:
        raise short_audio(400, WRONG_ID)
    return endpoint, model


def _audio(body: bytes) -> Wav:
    if not body:
        raise short_audio(400, "The request has no audio.")
    try:
        wav = read_wav(body, name="audio")
    except AudioError as error:
        raise short_audio(400, f"The audio cannot be read: {error.message}") from None
    if wav.seconds > SHORT_AUDIO_SECONDS:
        raise short_audio(400, f"The audio is longer than {SHORT_AUDIO_SECONDS} seconds.")
    return wav


def _is_silent(wav: Wav, body: bytes) -> bool:
    """Whether no sample is louder than a faint hiss."""
    samples = array.array("h", body[wav.data_offset : wav.data_offset + wav.frames * wav.channels * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return max(samples) < SILENCE and min(samples) > -SILENCE


def _hear(call: Call, model: Loadable) -> Recognition:
    core = call.core
    with core.blobs.workspace() as folder:
        path = folder / "audio.wav"
        path.write_bytes(call.body)
        heard = core.models.transcribe(model, [("audio.wav", path)], live=True)["audio.wav"]
    if isinstance(heard, Recognition):
        return heard
    raise short_audio(400, f"The audio cannot be recognised: {heard}")


def _result(recognition: Recognition, audio: Wav, writer: Writer, style: str, body: bytes) -> dict[str, Any]:
    ticks = round(audio.seconds * TICKS)
    if not recognition.nbest:
        status = "InitialSilenceTimeout" if _is_silent(audio, body) else "NoMatch"
        return {"RecognitionStatus": status, "Offset": 0, "Duration": ticks}
    best = recognition.nbest[0]
    offset, duration = 0, ticks
    if best.words:
        offset = round(best.words[0].offset * TICKS)
        duration = round((best.words[-1].offset + best.words[-1].duration) * TICKS) - offset
    result: dict[str, Any] = {"RecognitionStatus": "Success", "Offset": offset, "Duration": duration}
    forms = writer.forms(best.lexical)
    if style == "simple":
        return {**result, "DisplayText": forms.display}
    names = {"confidence": "Confidence", "lexical": "Lexical", "itn": "ITN", "maskedITN": "MaskedITN", "display": "Display"}
    shown = [hypothesis_json(item, writer) for item in recognition.nbest]
    return {
        **result,
        "DisplayText": forms.display,
        "NBest": [{names[name]: item[name] for name in names} for item in shown],
    }


ROUTES = (Route("POST", RECOGNITION, "Recognition_ShortAudio", recognize, AUDIO),)
