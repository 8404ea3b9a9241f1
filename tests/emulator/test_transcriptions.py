"""Batch transcription: of data sets and of recordings on the web; recognition of short audio and its refusals."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.conftest import ToneService, archive, base_model, create, error_of, files_of, id_of, ref, upload
from tests.fixtures.emulator import RunningEmulator, StartEmulator

RECOGNITION = "/speech/recognition/conversation/cognitiveservices/v1"


@pytest.fixture(scope="module")
def sounds() -> Iterator[str]:
    """A web server that says what its path says."""
    from tone_engine import speak

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("?")[0].strip("/")
            self.send_response(404 if name == "missing.wav" else 200)
            self.end_headers()
            self.wfile.write(b"no audio" if name == "text.wav" else speak(name.removesuffix(".wav").replace("-", " ")))

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def submit(service: RunningEmulator, **body: Any) -> Any:
    complete = {"displayName": "t", "locale": "en-US", "properties": {"timeToLiveHours": 6}, **body}
    return service.api.post("/transcriptions:submit", json=complete)


def content(tones: ToneService, file: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = tones.web.get(file["links"]["contentUrl"]).json()
    return result


def test_recordings_on_the_web_are_transcribed(tones: ToneService, sounds: str) -> None:
    urls = [f"{sounds}/{name}.wav?sig=1" for name in ("one-two", "three", "missing", "text")]
    properties = {"timeToLiveHours": 6, "wordLevelTimestampsEnabled": True, "punctuationMode": "None"}
    answer = submit(tones, contentUrls=urls, properties=properties)
    assert answer.status_code == 201
    transcription = answer.json()
    assert answer.headers["location"] == transcription["self"]
    assert "contentUrls" not in transcription
    assert transcription["properties"] == {**properties, "durationMilliseconds": 0}
    done = tones.wait(transcription)
    assert done["status"] == "Succeeded"
    assert done["model"] == ref(base_model(tones))
    files = files_of(tones, done)
    assert set(files) == {"one-two.wav.json", "three.wav.json", "report.json"}
    result = content(tones, files["one-two.wav.json"])
    assert result["source"] == urls[0]
    assert result["combinedRecognizedPhrases"][0]["lexical"] == "one two"
    assert not result["combinedRecognizedPhrases"][0]["display"].endswith(".")
    words = result["recognizedPhrases"][0]["nBest"][0]["words"]
    assert [word["word"] for word in words] == ["one", "two"]
    assert words[0]["offsetInTicks"] == 500_000
    report = content(tones, files["report.json"])
    assert (report["successfulTranscriptionsCount"], report["failedTranscriptionsCount"]) == (2, 2)
    assert [item["status"] for item in report["details"]] == ["Succeeded", "Succeeded", "Failed", "Failed"]
    assert "404" in report["details"][2]["errorMessage"]


def test_a_data_set_is_transcribed_with_a_custom_model(tones: ToneService) -> None:
    text = upload(tones, "Language", "the gastric ward\n")
    model = tones.wait(create(tones, "/models", datasets=[ref(text)]))
    dataset = upload(tones, "AudioFiles", archive({"a.wav": "the gastric ward"}, transcript=False))
    done = tones.wait(submit(tones, dataset=ref(dataset), model=ref(model)).json())
    result = content(tones, files_of(tones, done)["a.wav.json"])
    assert result["combinedRecognizedPhrases"][0]["lexical"] == "the gastric ward"
    assert "words" not in result["recognizedPhrases"][0]["nBest"][0]
    assert done["properties"]["durationMilliseconds"] == 500


def test_a_transcription_goes_with_its_files_when_its_time_is_over(start_emulator: StartEmulator) -> None:
    service = start_emulator()
    assert service.clock is not None
    paths = []
    for _ in range(3):
        done = service.wait(submit(service, contentUrls=["http://127.0.0.1:9/a.wav"]).json())
        paths.append(f"/transcriptions/{id_of(done)}")
    report = files_of(service, done)["report.json"]
    service.clock.advance(hours=6, seconds=1)
    assert service.web.get(report["self"], headers=service.headers).status_code == 404
    assert service.web.get(report["links"]["contentUrl"]).status_code == 404
    error_of(service.api.patch(paths[0], json={"description": "late"}), 404, "NotFound")
    error_of(service.api.get(paths[1]), 404, "NotFound")
    assert service.api.get("/transcriptions").json()["values"] == []


def test_nothing_that_works_is_a_failure(tones: ToneService, sounds: str) -> None:
    done = tones.wait(submit(tones, contentUrls=[f"{sounds}/missing.wav"]).json())
    assert (done["status"], done["properties"]["error"]["code"]) == ("Failed", "InvalidData")
    assert "report.json" in files_of(tones, done)


def test_what_cannot_be_submitted(tones: ToneService) -> None:
    text = upload(tones, "Language", "the gastric ward\n")
    url = ["http://127.0.0.1:9/a.wav"]
    one_of = "OnlyOneOfUrlsOrContainerOrDataset"
    error_of(submit(tones), 400, "InvalidRequest", one_of)
    error_of(submit(tones, contentUrls=url, dataset=ref(text)), 400, "InvalidRequest", one_of)
    error_of(submit(tones, dataset=ref(text)), 400, "InvalidRequest", "InvalidDataset")
    error_of(submit(tones, contentUrls=url * 1001), 400, "InvalidRequest", "InvalidPayload")
    error_of(submit(tones, contentContainerUrl=url[0]), 400, "InvalidRequest", "InvalidParameter")
    for properties in ({}, {"timeToLiveHours": 5}, {"timeToLiveHours": 745}):
        error_of(submit(tones, contentUrls=url, properties=properties), 400, "InvalidRequest", "InvalidPayload")
    for extra in ({"diarization": {"enabled": True}}, {"languageIdentification": {"candidateLocales": ["en-US", "de-DE"]}}):
        properties = {"timeToLiveHours": 6, **extra}
        error_of(submit(tones, contentUrls=url, properties=properties), 400, "InvalidRequest", "InvalidParameter")


def test_an_output_format_changes_what_is_shown_and_not_what_is_heard(tones: ToneService) -> None:
    from tone_engine import speak

    formats = upload(tones, "OutputFormatting", "#rewrite\nstop go\tStopAndGo\n#profanity\nplease\n")
    model = tones.wait(create(tones, "/models", datasets=[ref(formats)]))
    assert model["status"] == "Succeeded", model
    endpoint = tones.wait(create(tones, "/endpoints", model=ref(model)))
    best = hear(tones, speak("please stop go"), cid=id_of(endpoint)).json()["NBest"][0]
    assert (best["Lexical"], best["MaskedITN"], best["Display"]) == ("please stop go", "****** stop go", "****** StopAndGo.")
    raw = hear(tones, speak("please stop go"), cid=id_of(endpoint), profanity="raw").json()["NBest"][0]
    assert raw["Display"] == "Please StopAndGo."
    dataset = upload(tones, "Acoustic", archive({"a.wav": "please stop go"}))
    body = {"model1": ref(base_model(tones)), "model2": ref(model), "dataset": ref(dataset)}
    properties = tones.wait(create(tones, "/evaluations", **body))["properties"]
    assert (properties["wordErrorRate1"], properties["wordErrorRate2"]) == (0, 0)
    assert properties["tokenErrorRate1"] != properties["tokenErrorRate2"]


# short audio


def hear(tones: ToneService, audio: bytes, kind: str = "audio/wav", **query: str) -> Any:
    params = {"language": "en-US", "format": "detailed", **query}
    return tones.web.post(
        f"{tones.url}{RECOGNITION}", params=params, content=audio, headers={**tones.headers, "Content-Type": kind}
    )


def test_short_audio_is_recognised_without_an_endpoint(tones: ToneService) -> None:
    from tone_engine import KNOWN, pitch, speak

    result = hear(tones, speak("one two three")).json()
    assert result["RecognitionStatus"] == "Success"
    assert result["NBest"][0]["Lexical"] == "one two three"
    assert (result["Offset"], result["Duration"]) == (500_000, 4_000_000)
    low = " ".join([word for word in KNOWN if pitch(word) < 3800][:3])  # what a telephone carries
    assert hear(tones, speak(low, 8000)).json()["NBest"][0]["Lexical"] == low


def test_silence_and_noise_are_told_apart(tones: ToneService) -> None:
    from speech_mlflow.emulator.serving import silence

    result = hear(tones, silence(1)).json()
    assert result == {"RecognitionStatus": "InitialSilenceTimeout", "Offset": 0, "Duration": 10_000_000}
    quiet = silence(1)[:44] + (200).to_bytes(2, "little", signed=True) * 16_000
    assert hear(tones, quiet).json()["RecognitionStatus"] == "NoMatch"


def test_what_cannot_be_recognised(tones: ToneService) -> None:
    from tone_engine import speak

    from speech_mlflow.emulator.serving import silence

    audio = speak("one")
    for answer, words in (
        (hear(tones, audio, cid="00000000-0000-0000-0000-000000000000"), "Invalid CID or language"),
        (hear(tones, audio, language="fr-FR"), "Invalid CID or language"),
        (hear(tones, audio, language=""), "language"),
        (hear(tones, audio, format="long"), "format"),
        (hear(tones, audio, profanity="loud"), "profanity"),
        (hear(tones, b""), "no audio"),
        (hear(tones, b"x" * 100), "cannot be read"),
        (hear(tones, silence(61)), "longer than 60 seconds"),
    ):
        assert answer.status_code == 400
        assert words in answer.json()["Message"]
    assert hear(tones, audio, "audio/ogg; codecs=opus").status_code == 415
    answer = tones.web.post(f"{tones.url}{RECOGNITION}?language=en-US", content=audio, headers={"Content-Type": "audio/wav"})
    assert answer.status_code == 401


def test_an_endpoint_of_an_expired_model_falls_back_silently(start_emulator: Any, tones: ToneService) -> None:
    from tone_engine import speak

    service = start_emulator()
    assert service.clock is not None
    text = upload(service, "OutputFormatting", "#rewrite\nok\tOkay\n")
    model = service.wait(create(service, "/models", datasets=[ref(text)]))
    endpoint = service.wait(create(service, "/endpoints", model=ref(model)))
    assert endpoint["status"] == "Succeeded"
    service.clock.advance(days=900)
    answer = hear(service, speak("one"), cid=id_of(endpoint))
    assert answer.status_code == 200
    assert service.follow(endpoint["self"])["model"] == ref(model)  # nothing shows it
