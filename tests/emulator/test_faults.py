"""Faults on demand, as a client on a real socket meets them; and that nobody but the starter can cause them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from speech_mlflow.emulator.faults import Fault
from tests.emulator.conftest import create
from tests.fixtures.emulator import RunningEmulator, StartEmulator

PROJECT = {"displayName": "p", "locale": "en-US"}


@pytest.fixture(scope="module")
def shared(emulator_factory: StartEmulator) -> RunningEmulator:
    return emulator_factory()


@pytest.fixture
def service(shared: RunningEmulator) -> RunningEmulator:
    assert shared.faults is not None
    shared.faults.clear()
    for project in shared.api.get("/projects").json()["values"]:
        shared.api.delete(project["self"].partition("/speechtotext")[2].partition("?")[0])
    return shared


def names(service: RunningEmulator) -> list[str]:
    return [value["displayName"] for value in service.api.get("/projects").json()["values"]]


def add(service: RunningEmulator, kind: Any, **fault: Any) -> None:
    assert service.faults is not None
    service.faults.add(Fault(kind, **fault))


def test_a_status_is_answered_instead_of_the_work(service: RunningEmulator) -> None:
    add(service, "status", method="POST", path="/projects", status=503, headers={"Retry-After": "7"}, body=b"busy")
    answer = service.api.post("/projects", json=PROJECT)
    assert (answer.status_code, answer.headers["retry-after"], answer.text) == (503, "7", "busy")
    assert names(service) == []
    assert service.api.post("/projects", json=PROJECT).status_code == 201  # once only
    assert names(service) == ["p"]


def test_a_reset_comes_before_the_work(service: RunningEmulator) -> None:
    add(service, "reset", method="POST")
    with pytest.raises(httpx.ReadError):
        service.api.post("/projects", json=PROJECT)
    assert names(service) == []


def test_an_answer_is_lost_after_the_work(service: RunningEmulator) -> None:
    add(service, "lost", method="POST")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        service.api.post("/projects", json=PROJECT)
    assert names(service) == ["p"]


def test_a_delay(service: RunningEmulator) -> None:
    add(service, "delay", method="GET", path="/projects", seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        service.api.get("/projects", timeout=0.3)
    assert names(service) == []


def test_a_request_is_worked_on_twice(service: RunningEmulator) -> None:
    add(service, "duplicate", method="POST")
    assert service.api.post("/projects", json=PROJECT).status_code == 201
    assert names(service) == ["p", "p"]


def test_a_gateway_loses_patience_after_the_work(service: RunningEmulator) -> None:
    add(service, "late-status", method="POST", status=504)
    assert service.api.post("/projects", json=PROJECT).status_code == 504
    assert names(service) == ["p"]


def test_a_list_lags_behind(service: RunningEmulator) -> None:
    create(service, "/projects", displayName="old")
    assert service.clock is not None
    service.clock.advance(seconds=60)
    create(service, "/projects", displayName="new")
    add(service, "stale-list", method="GET", path="/projects$", seconds=30, times=2)
    assert [names(service) for _ in range(3)] == [["old"], ["old"], ["old", "new"]]


def test_an_answer_is_cut(service: RunningEmulator) -> None:
    create(service, "/projects")
    add(service, "truncate", method="GET", after_bytes=20)
    with pytest.raises(httpx.RemoteProtocolError):
        service.api.get("/projects")


def test_an_answer_comes_byte_by_byte(service: RunningEmulator) -> None:
    add(service, "slice", method="GET", seconds=0.001)
    assert service.api.get("/projects").json() == {"values": []}


def test_an_answer_is_replaced(service: RunningEmulator) -> None:
    add(service, "body", method="GET", body=b"<html>", headers={"Content-Type": "text/html"})
    answer = service.api.get("/projects")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, "<html>", "text/html")


def test_some_are_spared_first_and_all_are_hit_where_no_number_is_given(service: RunningEmulator) -> None:
    add(service, "status", path="/projects", skip=2, times=2, status=500)
    assert [service.api.get("/projects").status_code for _ in range(5)] == [200, 200, 500, 500, 200]
    add(service, "status", path="/projects", times=None, status=429)
    assert {service.api.get("/projects").status_code for _ in range(5)} == {429}
    assert service.api.get("/datasets").status_code == 200


def test_faults_may_meet(service: RunningEmulator) -> None:
    add(service, "duplicate", method="POST")
    add(service, "lost", method="POST")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        service.api.post("/projects", json=PROJECT)
    assert names(service) == ["p", "p"]


@pytest.mark.parametrize("send", ["get", "post", "put", "patch", "delete"])
def test_no_request_sets_a_fault(start_emulator: StartEmulator, send: str) -> None:
    service = start_emulator()
    call: Callable[..., httpx.Response] = getattr(service.web, send)
    for path in ("/faults", "/emulator/faults", "/speechtotext/faults?api-version=2025-10-15", "/health/faults"):
        assert call(f"{service.url}{path}", headers=service.headers).status_code in (404, 405)
    assert service.api.get("/projects", headers={"X-Fault": "reset"}).status_code == 200
