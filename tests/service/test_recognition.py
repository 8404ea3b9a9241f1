"""Short audio: what is sent to which host, and what is made of the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.errors import AudioError, BadRequestError
from speech_mlflow.service import RecognitionResult, SpeechClient
from speech_mlflow.service.recognition import result_of
from tests.corpus.make import extensible, wav
from tests.service.conftest import tone
from tests.service.scripted import Reply, ScriptedServer

DETAILED = {
    "RecognitionStatus": "Success",
    "Offset": 1_000_000,
    "Duration": "25000000",
    "DisplayText": "Two pills.",
    "NBest": [
        {"Confidence": 0.9, "Lexical": "two pills", "ITN": "2 pills", "MaskedITN": "2 pills", "Display": "2 pills."},
        {"Confidence": 0.1, "Lexical": "too pills", "ITN": "too pills", "MaskedITN": "too pills", "Display": "Too pills."},
    ],
}


def test_what_is_sent(speech: SpeechClient, server: ScriptedServer, tmp_path: Path) -> None:
    server.script(Reply(200, DETAILED))
    path = tmp_path / "a.wav"
    path.write_bytes(tone(0.1, rate=8000))
    speech.recognize("my-endpoint", path, language="en-US")
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/speech/recognition/conversation/cognitiveservices/v1")
    assert request.query == {"language": "en-US", "format": "detailed", "cid": "my-endpoint"}
    assert request.headers["content-type"] == "audio/wav; codecs=audio/pcm; samplerate=8000"
    assert request.body == path.read_bytes()


@pytest.mark.parametrize(
    "content", [extensible(), wav(declared=0xFFFFFFFF)], ids=["as sox writes some formats", "as ffmpeg writes into a pipe"]
)
def test_what_a_corpus_takes_is_recognised(speech: SpeechClient, server: ScriptedServer, content: bytes) -> None:
    server.script(Reply(200, DETAILED))
    speech.recognize("e", content, language="en-US")
    assert server.requests[0].headers["content-type"].endswith("samplerate=16000")
    assert server.requests[0].body == content


def test_the_detailed_answer(speech: SpeechClient, server: ScriptedServer, wav: bytes) -> None:
    server.script(Reply(200, DETAILED))
    result = speech.recognize("e", wav, language="en-US")
    assert (result.status, result.display, result.lexical) == ("Success", "Two pills.", "two pills")
    assert (result.itn, result.masked_itn, result.confidence) == ("2 pills", "2 pills", 0.9)
    assert (result.offset, result.duration) == (0.1, 2.5)
    assert [guess.lexical for guess in result.nbest] == ["two pills", "too pills"]


def test_the_simple_answer_and_silence() -> None:
    assert result_of({"RecognitionStatus": "Success", "DisplayText": "Hi."}).display == "Hi."
    nothing = result_of({"RecognitionStatus": "InitialSilenceTimeout"})
    assert nothing == RecognitionResult("InitialSilenceTimeout", "", 0.0, 0.0)
    assert (nothing.lexical, nothing.confidence) == ("", None)


def test_odd_answers_do_no_harm() -> None:
    odd = {"NBest": [None, {"Confidence": "high"}], "Offset": "soon", "Duration": None}
    result = result_of(odd)
    assert (result.status, result.lexical, result.confidence, result.offset) == ("", "", None, 0.0)
    assert result_of({"NBest": "none"}).nbest == ()


def test_a_failure_is_tried_again(speech: SpeechClient, server: ScriptedServer, wav: bytes) -> None:
    server.script(Reply(500), Reply(200, DETAILED))
    assert speech.recognize("e", wav, language="en-US").status == "Success"
    assert server.requests[0].body == server.requests[1].body


def test_an_endpoint_that_is_not_there(speech: SpeechClient, server: ScriptedServer, wav: bytes) -> None:
    server.script(Reply(400, {"Message": "Invalid CID or language"}))
    with pytest.raises(BadRequestError, match="Invalid CID or language"):
        speech.recognize("nothing", wav, language="en-US")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the audio: the file is empty"),
        (b"ID3 an mp3", "not a RIFF/WAVE file but MP3"),
        (tone(0.1)[:30], "is cut short"),
        (tone(0.0), "no audio in it"),
        (tone(61, rate=100), "at most 60 s"),
    ],
)
def test_what_the_service_would_refuse_is_not_sent(
    speech: SpeechClient, server: ScriptedServer, content: bytes, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        speech.recognize("e", content, language="en-US")
    assert server.requests == []
