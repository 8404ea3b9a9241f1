"""Rules between entities: locales, kinds, states, quotas, lifecycle, what is in use."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.emulator.lifecycle import base_dates, custom_dates, quarter_mark
from speech_mlflow.emulator.options import StateProgress
from speech_mlflow.emulator.serving import silence
from tests.emulator.conftest import (
    ToneService,
    archive,
    base_model,
    commit,
    create,
    error_of,
    files_of,
    id_of,
    put_blocks,
    ref,
    start_tone_service,
    stop_tone_service,
    upload,
)
from tests.fixtures.emulator import RunningEmulator, StartEmulator
from tests.waiting import until


def post(service: RunningEmulator, path: str, **body: Any) -> Any:
    return service.api.post(path, json={"displayName": "a name", "locale": "en-US", **body})


@pytest.fixture(scope="module")
def text(tones: ToneService) -> dict[str, Any]:
    return upload(tones, "Language", "the gastric ward\n")


@pytest.fixture(scope="module")
def sounds(tones: ToneService) -> dict[str, Any]:
    return upload(tones, "Acoustic", archive({"a.wav": "one two"}))


def german(service: RunningEmulator) -> dict[str, Any]:
    return base_model(service, "20250116")


# locales and kinds


def test_locales_must_agree(tones: ToneService, text: dict[str, Any], sounds: dict[str, Any]) -> None:
    base = ref(base_model(tones))
    project = ref(create(tones, "/projects", locale="de-DE"))
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/datasets", {"kind": "Language", "project": project}),
        ("/models", {"datasets": [ref(text)], "baseModel": ref(german(tones))}),
        ("/models", {"datasets": [ref(text)], "locale": "de-DE"}),
        ("/evaluations", {"model1": base, "model2": ref(german(tones)), "dataset": ref(sounds)}),
        ("/evaluations", {"model1": base, "model2": base, "dataset": ref(sounds), "locale": "de-DE"}),
        ("/endpoints", {"model": base, "locale": "de-DE"}),
        ("/endpoints", {"model": base, "project": project}),
        ("/projects", {"locale": "fr-FR"}),
    ]
    for path, body in requests:
        error_of(post(tones, path, **body), 400, "InvalidRequest", "InvalidLocale")
    assert create(tones, "/projects", locale="EN-us")["locale"] == "en-US"


def test_what_a_model_cannot_learn_from_is_refused(tones: ToneService, text: dict[str, Any]) -> None:
    sounds = upload(tones, "AudioFiles", archive({"a.wav": "one"}, transcript=False))
    error_of(post(tones, "/models", datasets=[ref(sounds)]), 400, "InvalidRequest", "InvalidAdaptationMapping")
    lists = upload(tones, "LanguageMarkdown", "@ list pet =\n- cat\n# S\n- a {@pet}\n")
    spoken = upload(tones, "Pronunciation", "cat\tcee at\n")
    both = [ref(lists), ref(spoken)]
    error_of(post(tones, "/models", datasets=both), 400, "InvalidRequest", "UnsupportedClassBasedAdaptation")
    error_of(post(tones, "/models", datasets=[]), 400, "InvalidRequest", "InvalidDataset")
    failed = upload(tones, "Language", "aaaa\n")
    error_of(post(tones, "/models", datasets=[ref(failed)]), 400, "InvalidRequest", "FailedDataset")
    waiting = create(tones, "/datasets", kind="Language")
    error_of(post(tones, "/models", datasets=[ref(waiting)]), 400, "InvalidRequest", "InvalidDataset")
    for weight in (0, 101, 30.5, "30"):
        properties = {"customModelWeightPercent": weight}
        answer = post(tones, "/models", datasets=[ref(text)], properties=properties)
        error_of(answer, 400, "InvalidRequest", "InvalidPayload")


def test_what_cannot_be_evaluated_is_refused(tones: ToneService, text: dict[str, Any]) -> None:
    base = ref(base_model(tones))
    error_of(post(tones, "/evaluations", model1=base, model2=base, dataset=ref(text)), 400, "InvalidRequest", "InvalidDataset")
    error_of(post(tones, "/evaluations", model1=base, dataset=ref(text)), 400, "InvalidRequest", "InvalidPayload")


def test_a_model_is_not_trained_on_a_custom_model(tones: ToneService, text: dict[str, Any]) -> None:
    model = tones.wait(create(tones, "/models", datasets=[ref(text)], properties={"customModelWeightPercent": 42}))
    assert model["properties"]["customModelWeightPercent"] == 42
    assert model["baseModel"] == ref(base_model(tones))  # the newest was chosen
    answer = post(tones, "/models", datasets=[ref(text)], baseModel=ref(model))
    error_of(answer, 400, "InvalidRequest", "InvalidBaseModel")


def test_a_data_set_that_is_named_twice_is_learnt_once(tones: ToneService, sounds: dict[str, Any]) -> None:
    model = tones.wait(create(tones, "/models", datasets=[ref(sounds), ref(sounds)]))
    assert (model["status"], model["datasets"]) == ("Succeeded", [ref(sounds)])


def test_audio_without_transcripts_is_only_inspected(tones: ToneService) -> None:
    dataset = upload(tones, "AudioFiles", archive({"a.wav": "one two"}, transcript=False))
    base = ref(base_model(tones))
    done = tones.wait(create(tones, "/evaluations", model1=base, model2=base, dataset=ref(dataset)))
    assert done["status"] == "Succeeded"
    assert done["properties"]["wordErrorRate1"] == -1
    files = files_of(tones, done)
    result = tones.web.get(files["a.wav.model1_score.json"]["links"]["contentUrl"]).json()
    assert result["combinedRecognizedPhrases"][0]["lexical"] == "one two"
    assert "scoringResult" not in result["recognizedPhrases"][0]["nBest"][0]


def test_a_failed_evaluation_ends_its_transcriptions_and_holds_nothing(tones: ToneService, sounds: dict[str, Any]) -> None:
    text = upload(tones, "Language", "the gastric ward\n")
    model = tones.wait(create(tones, "/models", datasets=[ref(text)]))
    (tones.state_dir / "models" / id_of(model) / "words.json").unlink()
    body = {"model1": ref(base_model(tones)), "model2": ref(model), "dataset": ref(sounds)}
    failed = tones.wait(create(tones, "/evaluations", **body))
    assert (failed["status"], failed["properties"]["error"]["code"]) == ("Failed", "PipelineError")
    for name in ("transcription1", "transcription2"):
        transcription = tones.follow(failed[name]["self"])
        assert transcription["status"] == "Failed"
        assert transcription["properties"]["error"] == failed["properties"]["error"]
    assert tones.api.delete(f"/models/{id_of(model)}").status_code == 204


def test_custom_properties_and_project_of_an_evaluation(tones: ToneService, sounds: dict[str, Any]) -> None:
    project, base = create(tones, "/projects"), ref(base_model(tones))
    body = {"model1": base, "model2": base, "dataset": ref(sounds), "customProperties": {"testingKind": "Evaluation"}}
    evaluation = create(tones, "/evaluations", project=ref(project), **body)
    assert evaluation["customProperties"] == {"testingKind": "Evaluation"}
    listed = tones.follow(project["links"]["evaluations"])["values"]
    assert [item["self"] for item in listed] == [evaluation["self"]]
    assert len(tones.follow(project["links"]["transcriptions"])["values"]) == 2
    tones.wait(evaluation)
    answer = tones.api.patch(f"/evaluations/{id_of(evaluation)}", json={"project": None, "displayName": "other"})
    assert answer.json()["displayName"] == "other"
    assert tones.follow(project["links"]["evaluations"])["values"] == []

    transcription = evaluation["transcription1"]["self"]
    path = transcription.partition("/speechtotext")[2].partition("?")[0]
    error_of(tones.api.delete(path), 409, "Conflict", "InUseViolation")
    assert tones.api.delete(f"/evaluations/{id_of(evaluation)}").status_code == 204
    assert tones.api.get(path).status_code == 404


def test_deleting_a_project_leaves_its_entities(tones: ToneService) -> None:
    project = create(tones, "/projects", foundryProjectName="foundry")
    assert project["foundryProjectName"] == "foundry"
    dataset = create(tones, "/datasets", kind="Language", project=ref(project))
    assert dataset["project"] == ref(project)
    assert tones.api.delete(f"/projects/{id_of(project)}").status_code == 204
    assert "project" not in tones.follow(dataset["self"])


# endpoints


def test_what_cannot_be_deployed_is_refused(tones: ToneService) -> None:
    answer = post(tones, "/endpoints", model=ref(base_model(tones)), properties={"loggingEnabled": True})
    error_of(answer, 400, "InvalidRequest", "EndpointLoggingNotSupported")
    endpoint = tones.wait(create(tones, "/endpoints", properties={"loggingEnabled": False}))
    assert endpoint["model"] == ref(base_model(tones))  # the newest was chosen
    assert endpoint["properties"] == {"loggingEnabled": False}
    path = f"/endpoints/{id_of(endpoint)}"
    answer = tones.api.patch(path, json={"properties": {"contentLoggingEnabled": True}})
    error_of(answer, 400, "InvalidRequest", "EndpointLoggingNotSupported")
    error_of(tones.api.patch(path, json={"model": ref(german(tones))}), 400, "InvalidRequest", "InvalidLocale")
    error_of(tones.api.patch(path, json={"model": None}), 400, "InvalidRequest", "InvalidPayload")
    same = tones.api.patch(path, json={"model": endpoint["model"], "description": "new"})
    assert (same.json()["status"], same.json()["description"]) == ("Succeeded", "new")  # nothing to deploy
    assert tones.api.delete(path).status_code == 204


def test_states_are_shown_as_often_as_asked_for_and_nothing_else_happens_meanwhile(start_emulator: StartEmulator) -> None:
    service = start_emulator(progress=StateProgress("reads", 2))
    endpoint = create(service, "/endpoints")
    assert endpoint["status"] == "NotStarted"
    path = f"/endpoints/{id_of(endpoint)}"
    error_of(service.api.delete(path), 409, "Conflict", "DeleteNotAllowed")
    seen = []
    while not seen or seen[-1] != "Succeeded":
        answer = service.api.get(path)
        seen.append(answer.json()["status"])
        assert ("retry-after" in answer.headers) is (seen[-1] != "Succeeded")
        time.sleep(0.02)
    assert seen.count("NotStarted") >= 2
    assert seen.count("Running") >= 2
    assert sorted(seen, key=["NotStarted", "Running", "Succeeded"].index) == seen
    changed = service.api.patch(path, json={"displayName": "new"})
    assert changed.status_code == 200


def test_another_model_must_wait_until_the_first_is_served(tmp_path: Path) -> None:
    service = start_tone_service(tmp_path / "slow", environ={"SLOW_RECOGNITION": str(tmp_path / "hold")})
    try:
        words = upload(service, "Language", "the gastric ward\n")
        models = [service.wait(create(service, "/models", datasets=[ref(words)])) for _ in range(2)]
        endpoint = service.wait(create(service, "/endpoints", model=ref(models[0])))
        path = f"/endpoints/{id_of(endpoint)}"
        (tmp_path / "hold").touch()
        assert service.api.patch(path, json={"model": ref(models[1])}).status_code == 200
        error_of(service.api.patch(path, json={"model": ref(models[0])}), 409, "Conflict", "EndpointNotUpdatable")
        assert service.api.patch(path, json={"displayName": "new"}).status_code == 200
        for model in models:  # the one that is served, and the one that will be
            error_of(service.api.delete(f"/models/{id_of(model)}"), 409, "Conflict", "InUseViolation")
        (tmp_path / "hold").unlink()
        done = service.wait(service.follow(endpoint["self"]))
        assert (done["status"], done["model"], done["displayName"]) == ("Succeeded", ref(models[1]), "new")
        assert service.api.delete(f"/models/{id_of(models[0])}").status_code == 204
    finally:
        stop_tone_service(service)


def test_what_has_expired_cannot_be_deployed(start_emulator: StartEmulator) -> None:
    service = start_emulator(renew_base_models=False)
    assert service.clock is not None
    service.clock.advance(days=3650)
    error_of(post(service, "/endpoints"), 400, "InvalidRequest", "ModelDeprecated")


def test_states_by_the_clock(start_emulator: StartEmulator) -> None:
    service = start_emulator(progress=StateProgress("seconds", 60))
    dataset = create(service, "/datasets", kind="Language")
    commit(service, dataset, put_blocks(service, dataset, b"a sentence\n"))
    for expected in ("NotStarted", "Running"):
        for _ in range(3):
            assert service.follow(dataset["self"])["status"] == expected
        assert service.clock is not None
        service.clock.advance(seconds=61)
        until(lambda shown=expected: service.follow(dataset["self"])["status"] != shown)  # type: ignore[misc]
    assert service.follow(dataset["self"])["status"] == "Succeeded"


# quotas


def test_the_quotas_of_the_free_tier(start_emulator: StartEmulator) -> None:
    service = start_emulator(tier="F0")
    for _ in range(2):
        create(service, "/datasets", kind="Language")
    error_of(post(service, "/datasets", kind="Language"), 400, "InvalidRequest", "QuotaViolation")
    endpoint = service.wait(create(service, "/endpoints"))
    error_of(post(service, "/endpoints"), 400, "InvalidRequest", "QuotaViolation")
    answer = post(service, "/transcriptions:submit", contentUrls=["http://127.0.0.1:9/a"], properties={"timeToLiveHours": 6})
    error_of(answer, 403, "Forbidden", "SkuLimitsExist")
    assert service.clock is not None
    service.clock.advance(days=7, seconds=1)
    url = f"{service.url}/speech/recognition/conversation/cognitiveservices/v1?language=en-US&cid={id_of(endpoint)}"
    answer = service.web.post(url, content=silence(1), headers={**service.headers, "Content-Type": "audio/wav"})
    assert (answer.status_code, answer.json()["Message"]) == (400, "Invalid CID or language")
    assert service.api.get(f"/endpoints/{id_of(endpoint)}").status_code == 404
    create(service, "/endpoints")


def test_the_sizes_of_the_free_tier(start_emulator: StartEmulator) -> None:
    lines = "".join(f"word{number}\tword\n" for number in range(100))
    free = upload(start_emulator(tier="F0"), "Pronunciation", lines)
    assert (free["status"], free["properties"]["error"]["code"]) == ("Failed", "QuotaViolation")


# lifecycle


def day(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.timezone.utc)  # type: ignore[arg-type,misc]


def test_dates_follow_the_quarters() -> None:
    assert quarter_mark(datetime.date(2021, 10, 13)) == datetime.date(2022, 1, 15)
    dates = base_dates(datetime.date(2021, 10, 13))
    assert (dates.adaptation, dates.transcription) == (day(2023, 1, 15), day(2024, 1, 15))
    assert custom_dates(datetime.date(2022, 5, 22)).transcription == day(2024, 7, 15)
    marks = [quarter_mark(datetime.date(2025, month, 28)) for month in range(1, 13)]
    assert [(mark.year, mark.month) for mark in marks] == [(2025, 4)] * 3 + [(2025, 7)] * 3 + [(2025, 10)] * 3 + [(2026, 1)] * 3


def test_a_base_model_ends_first_for_training_then_for_transcription(start_emulator: StartEmulator) -> None:
    service = start_emulator(renew_base_models=False)
    assert service.clock is not None
    newest = service.api.get("/models/base").json()["values"][-1]
    dates = newest["properties"]["deprecationDates"]
    adaptation, transcription = (
        datetime.datetime.fromisoformat(dates[name].replace("Z", "+00:00"))
        for name in ("adaptationDateTime", "transcriptionDateTime")
    )
    text = upload(service, "Language", "one sentence\n")
    service.clock.offset = adaptation - datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
    error = error_of(post(service, "/models", datasets=[ref(text)]), 400, "InvalidRequest", "ModelDeprecated")
    assert "deprecated" in error["message"]
    endpoint = service.wait(create(service, "/endpoints", model=ref(newest)))
    assert endpoint["status"] == "Succeeded"
    service.clock.offset = transcription - datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
    error_of(post(service, "/endpoints", model=ref(newest)), 400, "InvalidRequest", "ModelDeprecated")
    body = {"contentUrls": ["http://127.0.0.1:9/a"], "properties": {"timeToLiveHours": 6}}
    error_of(post(service, "/transcriptions:submit", **body), 400, "InvalidRequest", "ModelDeprecated")


def test_the_newest_base_model_is_renewed_where_time_is_not_under_test(start_emulator: StartEmulator) -> None:
    service = start_emulator()
    assert service.clock is not None
    service.clock.advance(days=3650)
    dates = service.api.get("/models/base").json()["values"][-1]["properties"]["deprecationDates"]
    assert dates["adaptationDateTime"] > service.clock().isoformat()


def test_content_urls_expire_by_the_clock_and_cannot_be_stretched(start_emulator: StartEmulator) -> None:
    service = start_emulator()
    assert service.clock is not None
    dataset = upload(service, "Language", "one sentence\n")
    path = f"/datasets/{id_of(dataset)}/files"
    short, usual = (
        service.api.get(path, params=query).json()["values"][0]["links"]["contentUrl"]
        for query in ({"sasLifetimeMinutes": 10}, {})
    )
    assert service.web.get(short).content == b"\xef\xbb\xbfone sentence\n"
    later = short.replace("se=20", "se=21")
    assert service.web.get(later).status_code == 403
    assert service.web.get(short.partition("?")[0]).status_code == 403
    service.clock.advance(minutes=11)
    expired = service.web.get(short)
    assert (expired.status_code, expired.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    assert service.web.get(usual).status_code == 200
    service.clock.advance(hours=12)
    assert service.web.get(usual).status_code == 403
