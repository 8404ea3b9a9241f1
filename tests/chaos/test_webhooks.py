"""Two controllers, each with its receiver, under forged, replayed and true webhooks at once: the world changes once each time."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from speech_mlflow.promotion.signatures import signed_headers
from tests.chaos.actors import control
from tests.chaos.fleet import ENDED, settled
from tests.fixtures.mlflow_server import free_port
from tests.promotion.world import NAME, World, versions_served
from tests.waiting import PATIENCE, until

SECRET = "a secret of two controllers"
CALLS = 40


@contextmanager
def listening(world: World, processes: Any) -> Iterator[list[str]]:
    """Two controller processes that look by themselves once an hour only; the addresses of their receivers."""
    ports = [free_port(), free_port()]
    children, started = [], []
    for port in ports:
        event = processes.Event()
        settings = {"poll": 3600.0, "resync": 3600.0, "listen": f"127.0.0.1:{port}", "secret": SECRET}
        child = processes.Process(target=control, args=(world.client.tracking_uri, world.service.address, event, settings))
        child.start()
        children.append(child)
        started.append(event)
    try:
        assert all(event.wait(PATIENCE) for event in started)
        yield [f"http://127.0.0.1:{port}/mlflow" for port in ports]
        for child in children:
            child.terminate()
            child.join(60)
            assert child.exitcode in ENDED
    finally:
        for child in children:
            if child.is_alive():
                child.kill()
            child.join(30)


def call(url: str, secret: str = SECRET, delivery_id: str = "", *, seconds: int = 0, version: str = "1") -> int:
    """One webhook of MLflow's about the model; the status of the answer."""
    data = {"name": NAME, "version": version, "alias": "production"}
    body = json.dumps({"entity": "model_version_alias", "action": "created", "data": data}).encode()
    headers = signed_headers(secret, delivery_id or uuid.uuid4().hex, int(time.time()) + seconds, body)
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=60).status_code


def storm(urls: list[str], wanted: list[int]) -> None:
    """At once and at both: forged, old and replayed calls, and true ones that name the wrong version."""
    answers: list[int] = []
    replayed = uuid.uuid4().hex
    kinds = [
        lambda url: call(url, "forged"),
        lambda url: call(url, seconds=-3600),
        lambda url: call(url, delivery_id=replayed),
        lambda url: call(url, version="3"),
    ]
    threads = [
        threading.Thread(target=lambda url=urls[number % 2], kind=kinds[number % 4]: answers.append(kind(url)))
        for number in range(CALLS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == wanted


@pytest.mark.slow
def test_forged_and_replayed_webhooks_at_two_controllers_write_nothing_twice(world: World, processes: Any) -> None:
    world.register()
    with listening(world, processes) as urls:
        for version in ("1", "2", "1"):
            world.move(version)
            storm(urls, [202] * (CALLS // 2) + [401] * (CALLS // 2))
            until(settled(world, version))
            versions_served(world, version)
        endpoint = world.endpoint()
        changed = endpoint.last_action_date_time
        storm(urls, [202] * (CALLS // 2) + [401] * (CALLS // 2))  # and now that there is nothing to do
        time.sleep(3)  # longer than a controller waits for another's claim
        assert world.endpoint().last_action_date_time == changed
        assert world.results() == ["served"] * 3
    assert [one.id for one in world.speech.endpoints.list()] == [endpoint.id]
    assert world.apply().result == "unchanged"
