"""The main path over real HTTP, with a recogniser that really hears and really learns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.conftest import (
    ToneService,
    archive,
    base_model,
    create,
    error_of,
    files_of,
    id_of,
    ref,
    start_tone_service,
    stop_tone_service,
    upload,
)

TEST_SET = {
    "t1.wav": "please call one two three",
    "t2.wav": "open the gastric cardiogram",
    "t3.wav": "stop amoxicillin and go",
}
WORDS = 5 + 4 + 4


@pytest.fixture(scope="module")
def test_set(tones: ToneService) -> dict[str, Any]:
    return upload(tones, "Acoustic", archive(TEST_SET))


@pytest.fixture(scope="module")
def trained(tones: ToneService) -> dict[str, Any]:
    text = upload(tones, "Language", "the gastric ward is closed\namoxicillin is an antibiotic\n")
    spoken = upload(tones, "Pronunciation", "cardiogram\tcar dio gram\n")
    model = create(tones, "/models", baseModel=ref(base_model(tones)), datasets=[ref(text), ref(spoken)])
    assert model["status"] == "NotStarted"
    done = tones.wait(model)
    assert done["status"] == "Succeeded", done
    return done


def test_an_evaluation_counts_what_was_really_heard(
    tones: ToneService, test_set: dict[str, Any], trained: dict[str, Any]
) -> None:
    evaluation = create(
        tones, "/evaluations", model1=ref(base_model(tones)), model2=ref(trained), dataset=ref(test_set), description="d"
    )
    properties = evaluation["properties"]
    assert (properties["wordErrorRate1"], properties["wordCount2"]) == (-1.0, -1)
    assert "tokenErrorRate1" not in properties

    done = tones.wait(evaluation)
    assert done["status"] == "Succeeded"
    properties = done["properties"]
    assert properties["wordCount1"] == properties["wordCount2"] == WORDS
    assert properties["wordSubstitutionCount1"] == 3  # gastric, cardiogram, amoxicillin
    assert properties["correctWordCount1"] == WORDS - 3
    assert properties["wordErrorRate1"] == pytest.approx(round(100 * 3 / WORDS, 2) / 100)
    assert properties["sentenceErrorRate1"] == pytest.approx(0.667)
    assert properties["wordErrorRate2"] == 0
    assert properties["correctWordCount2"] == WORDS
    assert properties["sentenceCount1"] == 3


def test_each_recording_has_a_scored_file_and_each_side_a_transcription(
    tones: ToneService, test_set: dict[str, Any], trained: dict[str, Any]
) -> None:
    body = {"model1": ref(base_model(tones)), "model2": ref(trained), "dataset": ref(test_set)}
    done = tones.wait(create(tones, "/evaluations", **body))
    files = files_of(tones, done)
    assert set(files) == {f"{name}.model{side}_score.json" for name in TEST_SET for side in (1, 2)}
    assert all(file["kind"] == "EvaluationDetails" for file in files.values())
    scored = tones.web.get(files["t2.wav.model1_score.json"]["links"]["contentUrl"])  # no key
    result = scored.json()
    best = result["recognizedPhrases"][0]["nBest"][0]
    assert best["lexical"] == "open the uh uh"
    assert best["scoringResult"] == "open,the,<substitution>uh</substitution>,<substitution>uh</substitution>"
    assert result["combinedRecognizedPhrases"][0]["lexical"] == "open the uh uh"
    assert files["t2.wav.model1_score.json"]["properties"]["size"] == len(scored.content)

    transcription = tones.follow(done["transcription2"]["self"])
    assert transcription["status"] == "Succeeded"
    assert transcription["properties"]["durationMilliseconds"] > 0
    heard = files_of(tones, transcription)
    assert set(heard) == {*(f"{name}.json" for name in TEST_SET), "report.json"}
    report = tones.web.get(heard["report.json"]["links"]["contentUrl"]).json()
    assert report["successfulTranscriptionsCount"] == len(TEST_SET)
    text = tones.web.get(heard["t2.wav.json"]["links"]["contentUrl"]).json()
    assert text["combinedRecognizedPhrases"][0]["lexical"] == "open the gastric cardiogram"


def test_a_trained_model_tells_what_it_learnt(tones: ToneService, trained: dict[str, Any]) -> None:
    properties = trained["properties"]
    assert properties["customModelWeightPercent"] == 30
    assert properties["features"]["supportsEndpoints"] is True
    assert "transcriptionDateTime" in properties["deprecationDates"]
    files = files_of(tones, trained)
    assert files["report.json"]["kind"] == "ModelReport"
    report = tones.web.get(files["report.json"]["links"]["contentUrl"]).json()
    assert (report["sentences"], report["pronunciations"]) == (2, 1)
    manifest = tones.api.get(f"/models/{id_of(trained)}/manifest", params={"sasLifetimeMinutes": 60}).json()
    assert manifest["model"] == ref(trained)
    (words,) = manifest["modelFiles"]
    assert "gastric" in tones.web.get(words["contentUrl"]).json()


def test_an_endpoint_recognises_and_changes_its_model_in_place(tones: ToneService, trained: dict[str, Any]) -> None:
    from tone_engine import speak

    endpoint = tones.wait(create(tones, "/endpoints", model=ref(base_model(tones))))
    assert endpoint["links"]["webSocket"].endswith(f"cid={id_of(endpoint)}")

    def hear(style: str = "detailed", **query: str) -> dict[str, Any]:
        answer = tones.web.post(
            f"{tones.url}/speech/recognition/conversation/cognitiveservices/v1",
            params={"language": "en-US", "format": style, "cid": id_of(endpoint), **query},
            headers={**tones.headers, "Content-Type": "audio/wav; codecs=audio/pcm"},
            content=speak("open the gastric ward"),
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    assert hear()["NBest"][0]["Lexical"] == "open the uh uh"
    answer = tones.api.patch(f"/endpoints/{id_of(endpoint)}", json={"model": ref(trained)})
    assert answer.status_code == 200
    assert answer.json()["status"] == "NotStarted"
    assert answer.json()["model"] == ref(trained)
    while True:  # at every moment it serves the old or the new model
        lexical = hear()["NBest"][0]["Lexical"]
        assert lexical in ("open the uh uh", "open the gastric ward")
        if lexical == "open the gastric ward":
            break
    done = tones.wait(answer.json())
    assert (done["status"], id_of(done)) == ("Succeeded", id_of(endpoint))

    simple = hear("simple")
    assert set(simple) == {"RecognitionStatus", "DisplayText", "Offset", "Duration"}
    assert simple["RecognitionStatus"] == "Success"
    best = hear()["NBest"][0]
    assert set(best) == {"Confidence", "Lexical", "ITN", "MaskedITN", "Display"}
    assert 0 < best["Confidence"] <= 1

    refused = tones.api.delete(f"/models/{id_of(trained)}")
    error_of(refused, 409, "Conflict", "InUseViolation")
    assert tones.api.delete(f"/endpoints/{id_of(endpoint)}").status_code == 204
    assert tones.api.get(f"/endpoints/{id_of(endpoint)}").status_code == 404


def test_without_a_recogniser_the_error_rate_is_one_hundred_percent(tmp_path: Any) -> None:
    deaf = start_tone_service(tmp_path / "deaf", "deaf")
    try:
        dataset = upload(deaf, "Acoustic", archive(TEST_SET))
        base = base_model(deaf)
        done = deaf.wait(create(deaf, "/evaluations", model1=ref(base), model2=ref(base), dataset=ref(dataset)))
        properties = done["properties"]
        assert properties["wordErrorRate1"] == properties["wordErrorRate2"] == 1.0
        assert properties["wordDeletionCount1"] == properties["wordCount1"] == WORDS
        assert properties["correctWordCount1"] == 0
        files = files_of(deaf, done)
        result = deaf.web.get(files["t3.wav.model1_score.json"]["links"]["contentUrl"]).json()
        assert result["recognizedPhrases"][0]["recognitionStatus"] == "NoMatch"
        assert json.dumps(result).count("<deletion>") == 4
    finally:
        stop_tone_service(deaf)
