"""Models copied from one offline service to another, with the target's authorisation."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.conftest import (
    ToneService,
    archive,
    base_model,
    create,
    error_of,
    id_of,
    ref,
    start_tone_service,
    stop_tone_service,
    upload,
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToneService]:
    started = start_tone_service(tmp_path_factory.mktemp("target"))
    yield started
    stop_tone_service(started)


@pytest.fixture(scope="module")
def model(tones: ToneService) -> dict[str, Any]:
    text = upload(tones, "Language", "the gastric ward\n")
    return tones.wait(create(tones, "/models", datasets=[ref(text)], displayName="to copy"))


def authorize(source: ToneService, target: ToneService) -> dict[str, Any]:
    answer = target.api.post("/models:authorizecopy", json={"sourceResourceId": source.resource_id})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {
        "targetResourceRegion",
        "targetResourceId",
        "targetResourceEndpoint",
        "sourceResourceId",
        "expirationDateTime",
        "id",
    }
    return body


def copy(tones: ToneService, model: dict[str, Any], authorization: dict[str, Any]) -> dict[str, Any]:
    answer = tones.api.post(f"/models/{id_of(model)}:copy", json=authorization)
    assert answer.status_code == 202, answer.text
    operation: dict[str, Any] = answer.json()
    assert answer.headers["operation-location"] == operation["self"]
    assert int(answer.headers["retry-after"]) >= 1
    return tones.wait(operation)


def test_a_copied_model_hears_what_the_original_hears(tones: ToneService, target: ToneService, model: dict[str, Any]) -> None:
    done = copy(tones, model, authorize(tones, target))
    assert done["status"] == "Succeeded", done
    assert done["id"] == id_of(done)
    copied = target.follow(done["result"]["link"])
    assert (copied["displayName"], copied["status"]) == ("to copy", "Succeeded")
    assert copied["baseModel"] == ref(base_model(target))
    sounds = upload(target, "Acoustic", archive({"a.wav": "the gastric ward"}))
    body = {"model1": ref(base_model(target)), "model2": ref(copied), "dataset": ref(sounds)}
    properties = target.wait(create(target, "/evaluations", **body))["properties"]
    assert (properties["wordErrorRate1"], properties["wordErrorRate2"]) == (pytest.approx(0.6667), 0)


def test_an_authorisation_serves_once(tones: ToneService, target: ToneService, model: dict[str, Any]) -> None:
    authorization = authorize(tones, target)
    assert copy(tones, model, authorization)["status"] == "Succeeded"
    before = len(target.api.get("/models").json()["values"])
    failed = copy(tones, model, authorization)
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "Forbidden")
    assert len(target.api.get("/models").json()["values"]) == before


def test_an_authorisation_for_others_or_of_the_past_is_refused(
    tones: ToneService, target: ToneService, model: dict[str, Any]
) -> None:
    authorization, path = authorize(tones, target), f"/models/{id_of(model)}:copy"
    other = {**authorization, "sourceResourceId": target.resource_id}
    error_of(tones.api.post(path, json=other), 403, "Forbidden", "Forbidden")
    late = {**authorization, "expirationDateTime": "2020-01-01T00:00:00Z"}
    error_of(tones.api.post(path, json=late), 400, "InvalidRequest", "ModelCopyAuthorizationExpired")
    answer = target.api.post("/models:authorizecopy", json={"sourceResourceId": "me"})
    error_of(answer, 400, "InvalidRequest", "InvalidSourceAzureResourceId")
    nowhere = {**authorization, "targetResourceEndpoint": "http://127.0.0.1:9"}
    failed = copy(tones, model, nowhere)
    assert failed["error"]["code"] == "InternalCommunicationFailed"
    assert tones.api.get(f"/operations/models/copy/{id_of(model)}").status_code == 404


def package(description: dict[str, Any], *names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("copy.json", json.dumps(description))
        for name in names:
            file.writestr(name, "x")
    return out.getvalue()


def test_a_package_says_nothing_that_is_not_its_own(tones: ToneService, target: ToneService) -> None:
    body = {"displayName": "a", "locale": "en-US", "directory": "/etc", "datasets": ["datasets/1"], "error": {"code": "x"}}
    content = package({"source": tones.resource_id, "engine": "tone", "base": "new", "body": body}, "model/words.json")
    answer = target.web.put(f"{target.url}/copies/{authorize(tones, target)['id']}", content=content)
    assert answer.status_code == 201, answer.text
    model = target.follow(answer.json()["link"])
    assert (model["datasets"], "error" in model["properties"]) == ([], False)
    assert target.api.delete(f"/models/{id_of(model)}").status_code == 204


def test_a_hostile_package_is_refused(tones: ToneService, target: ToneService) -> None:
    good = {"source": tones.resource_id, "engine": "tone", "base": "new", "body": {"displayName": "a", "locale": "en-US"}}
    packages = [
        (b"no archive", 400),
        (package(good, "model/../../evil"), 400),
        (package(good, "/model/evil"), 400),
        (package({**good, "body": None}), 400),
        (package({**good, "body": {"displayName": "a"}}, "model/a"), 400),
        (package({**good, "body": {**good["body"], "displayName": 7}}, "model/a"), 400),
        (package({**good, "body": {**good["body"], "locale": "de-DE"}}, "model/a"), 400),
        (package({name: value for name, value in good.items() if name != "source"}, "model/a"), 400),
        (package({name: value for name, value in good.items() if name != "engine"}, "model/a"), 400),
        (package(good), 400),
        (package(good, "model/a", "model/a/b"), 400),
        (package({**good, "base": "other"}, "model/a"), 400),
        (package({**good, "source": "another"}, "model/a"), 403),
    ]
    url = f"{target.url}/copies/{authorize(tones, target)['id']}"
    before = len(target.api.get("/models").json()["values"])
    for content, status in packages:
        assert target.web.put(url, content=content).status_code == status
    assert target.web.put(f"{target.url}/copies/guess", content=packages[0][0]).status_code == 404
    assert len(target.api.get("/models").json()["values"]) == before
    assert not list(target.state_dir.rglob("evil"))
