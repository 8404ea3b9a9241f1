"""What surrounds a promotion misbehaves: clocks, the registry, MLflow itself, plugins, the disk."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from speech_mlflow import hookimpl
from speech_mlflow.plugins import create_manager
from speech_mlflow.promotion import gates
from speech_mlflow.promotion.decisions import Candidate
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags
from tests.chaos.actors import apply_with_little_room, command
from tests.chaos.fleet import controllers, of_any_resource, settled
from tests.fixtures.mlflow import MlflowStore
from tests.fixtures.mlflow_server import MlflowServer, proxy
from tests.promotion.test_failures import hears, served
from tests.promotion.world import NAME, WORDS, World, kinds, versions_served
from tests.waiting import PATIENCE, until

# --- clocks ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_service_whose_clock_is_an_hour_off_is_served_all_the_same(world: World, seconds: int) -> None:
    endpoint_id = served(world, "1")
    world.service.tell(clock=seconds)
    world.move("2")
    assert world.apply().result == "served"
    world.service.tell(clock=-seconds)
    world.move("3")
    assert world.apply().result == "served"
    versions_served(world, "3")
    assert world.endpoint().id == endpoint_id


# --- the registry ------------------------------------------------------------------------------------------------------------


def test_of_moves_there_and_back_at_once_the_last_one_counts(world: World, processes: Any) -> None:
    world.register()
    with controllers(world, processes, 1):
        for version in ("1", "2", "1", "3", "1"):
            world.move(version)
        until(settled(world, "1"))
        time.sleep(0.5)
        until(settled(world, "1"))
    assert "unchanged" in [world.apply().result for _ in range(3)]
    versions_served(world, "1")


def test_of_two_versions_in_production_the_one_moved_last_is_served(world: World) -> None:
    served(world, "2")
    world.move("1", archive=False)
    world.client.set_registered_model_alias(NAME, "production", "3")  # the alias is another matter where the stage decides
    assert world.apply().result == "served"
    versions_served(world, "1")
    assert "alias production names version 3" in world.apply().plan.desired.notes[0]


def test_what_is_served_stays_when_its_version_is_archived_or_deleted(world: World) -> None:
    endpoint_id = served(world, "1", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        world.client.transition_model_version_stage(NAME, "2", "Archived")
    for _ in range(2):
        applied = world.apply()
        assert applied.result == "unchanged"
        assert "what is served stays" in applied.reason
        assert world.hears(endpoint_id) == 1
        if world.client.search_model_versions(f"name='{NAME}' and version_number='2'"):
            world.client.delete_model_version(NAME, "2")


# --- MLflow ------------------------------------------------------------------------------------------------------------------


def test_without_mlflow_nothing_is_written_and_the_last_good_model_serves(world: World, monkeypatch: Any) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    endpoint_id = served(world, "1")
    before = world.endpoint().to_json()
    world.move("2")
    gone = World(world.service, world.speech, MlflowClient("http://127.0.0.1:9", "http://127.0.0.1:9"))
    with pytest.raises(MlflowException):
        gone.apply()
    assert world.endpoint().to_json() == before
    assert world.hears(endpoint_id) == 0


@pytest.mark.slow
def test_a_database_that_is_locked_in_the_middle_leaves_what_the_next_one_finishes(
    world: World, mlflow_store: MlflowStore
) -> None:
    endpoint_id = served(world, "1")
    world.move("2")
    world.service.tell(faults=[{"kind": "delay", "method": "PATCH", "path": "/endpoints/", "seconds": 3, "times": 1}])
    raised: list[Exception] = []

    def go() -> None:
        try:
            world.apply()
        except Exception as error:  # whatever MLflow makes of it
            raised.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    until(lambda: world.service.tell() == 1)
    with sqlite3.connect(mlflow_store.database, timeout=60, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        thread.join(180)
        other.execute("ROLLBACK")
    other.close()
    assert "locked" in str(raised)
    assert world.hears(endpoint_id) in {0, 1}
    assert "unchanged" in [world.apply().result for _ in range(3)]
    versions_served(world, "2")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_mlflow_that_fails_at_any_request_leaves_what_the_next_one_finishes(
    world: World, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request of a promotion in turn is answered 500, before the server sees it; the next go finds the server well."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    failing = -1

    def refuse(method: str, path: str) -> tuple[int, bytes] | None:
        return (500, b"the database is not well") if len(before.seen) - 1 == failing else None

    with proxy(mlflow_server.uri, refuse) as before:
        here = World(world.service, world.speech, MlflowClient(mlflow_server.uri, mlflow_server.uri))
        disturbed = World(world.service, world.speech, MlflowClient(before.uri, before.uri))
        endpoint_id = served(here, "1")
        failures = 0
        for failing in range(200):
            version = "2" if here.tag("speech.served_version") == "1" else "1"
            here.move(version)
            before.seen.clear()
            try:
                disturbed.apply()
            except Exception:  # whatever MLflow's client makes of it
                failures += 1
            if len(before.seen) <= failing:
                break
            assert here.hears(endpoint_id) in {0, 1}
            assert "unchanged" in [here.apply().result for _ in range(3)]
            versions_served(here, version)
    assert failures > 15


# --- drift -------------------------------------------------------------------------------------------------------------------


def test_with_healing_off_drift_is_told_and_left_alone(world: World) -> None:
    endpoint_id = served(world, "1")
    target = Target(heal=False)
    world.speech.wait(world.speech.endpoints.update(endpoint_id, model=world.models[2]))
    applied = world.apply(target=target)
    assert (applied.result, applied.plan.changes) == ("unchanged", False)
    assert any("healing is off" in step.reason for step in applied.plan.steps)
    assert world.hears(endpoint_id) == 2
    world.speech.endpoints.delete(endpoint_id)
    assert world.apply(target=target).result == "unchanged"
    assert world.endpoints() == []
    world.move("2")  # to deploy another version is no healing
    assert world.apply(target=target).result == "served"
    versions_served(world, "2")


# --- gates and probes --------------------------------------------------------------------------------------------------------


def test_an_approval_that_was_taken_back_stops_the_deployment(world: World) -> None:
    served(world, "1")
    run = world.client.create_run("0", tags={"mlflow.user": "ann"})
    world.client.set_model_version_tag(NAME, "2", tags.TRAIN_RUN_ID, run.info.run_id)
    world.client.set_model_version_tag(NAME, "2", "speech.approved_by", "bob")
    world.move("2")
    world.client.delete_model_version_tag(NAME, "2", "speech.approved_by")
    target = Target(approval=True)
    assert world.apply(target=target).result == "refused"
    versions_served(world, "1")
    world.client.set_model_version_tag(NAME, "2", "speech.approved_by", "bob")
    assert world.apply(target=target).result == "served"
    versions_served(world, "2")


@pytest.mark.parametrize("how", ["slow", "refused"])
def test_a_probe_that_is_too_slow_or_refused_puts_the_old_version_back(world: World, tmp_path: Path, how: str) -> None:
    endpoint_id = served(world, "1")
    world.move("2")
    faults = {
        "slow": {"kind": "delay", "method": "POST", "path": "recognition", "seconds": 0.4, "times": 1},
        "refused": {"kind": "status", "method": "POST", "path": "recognition", "status": 400, "times": 1},
    }
    world.service.tell(faults=[faults[how]])
    target = hears(WORDS[1], tmp_path, max_seconds=0.3)
    assert world.apply(target=target).result == "rolled back"
    versions_served(world, "1")
    assert world.endpoint().id == endpoint_id
    assert str(world.tag(tags.HOLD, "2")).startswith("failed: ")
    assert kinds(world.events) == ["rolled back"]
    assert world.apply(target=target).result == "blocked"
    versions_served(world, "1")


# --- plugins -----------------------------------------------------------------------------------------------------------------


class Hanging:
    """Thinks for longer than anybody waits."""

    def __init__(self) -> None:
        self.go = threading.Event()

    @hookimpl
    def promotion_event(self, event: PromotionEvent) -> None:
        self.go.wait(60)

    @hookimpl
    def promotion_gate(self, candidate: Candidate) -> None:
        self.go.wait(60)


def test_a_gate_that_hangs_has_said_no() -> None:
    from tests.promotion.test_gates import candidate

    manager, hanging = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"}), Hanging()
    manager.register(hanging, name="hanging")
    said = gates.evaluate(candidate(), manager=manager, seconds=0.2)
    hanging.go.set()
    assert [(one.gate, one.passed, one.reason) for one in said] == [
        ("hanging", False, "the gate failed: TimeoutError: no answer within 0.2 s")
    ]


@pytest.mark.slow
def test_a_listener_that_hangs_holds_nobody_up(world: World) -> None:
    class Listener:
        @hookimpl
        def promotion_event(self, event: PromotionEvent) -> None:
            hanging.go.wait(60)

    manager, hanging = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"}), Hanging()
    manager.register(Listener())
    world.register()
    for version in ("1", "2"):
        world.move(version)
        assert world.apply(manager=manager).result == "served"
    hanging.go.set()
    versions_served(world, "2")
    assert kinds(world.events) == ["served", "served"]


def test_a_plugin_that_prints_does_not_spoil_the_document(world: World, processes: Any, tmp_path: Path) -> None:
    world.register()
    of_any_resource(world)
    world.move("1")
    out = tmp_path / "out.json"
    arguments = ("apply", NAME, "--json")
    child = processes.Process(
        target=command, args=(world.client.tracking_uri, world.service.address, arguments, str(out), True)
    )
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert [one["result"] for one in json.loads(out.read_text())] == ["served"]
    versions_served(world, "1")


# --- the disk ----------------------------------------------------------------------------------------------------------------


def test_where_the_disk_is_full_nothing_is_deployed(world: World, processes: Any) -> None:
    world.register()
    world.move("1")
    child = processes.Process(target=apply_with_little_room, args=(world.client.tracking_uri, world.service.address, NAME))
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 1
    assert world.endpoints() == []
    assert "unchanged" in [world.apply().result for _ in range(3)]
    versions_served(world, "1")
