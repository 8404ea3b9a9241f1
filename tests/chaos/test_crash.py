"""A promotion is killed at every one of its steps; a fresh process finishes it. What counts is the state of the world."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.promotion.crash import STEPS, VARIABLE
from speech_mlflow.promotion.target import Target
from tests.chaos.actors import apply_once
from tests.promotion.world import NAME, World, kinds, versions_served

POINTS = [f"{when}:{step}" for step in STEPS for when in ("before", "after")]
SITUATIONS = {"first": ([], "1"), "update": (["1"], "2"), "rollback": (["1", "2"], "1")}
"""By name: the versions that were served before, and the one that is promoted when the process dies."""
QUICK = {
    ("first", "after:write"),
    ("update", "after:journal"),
    ("update", "before:tags"),
    ("rollback", "before:notify"),
}
CASES = [
    pytest.param(situation, point, marks=[] if (situation, point) in QUICK else [pytest.mark.slow])
    for situation in SITUATIONS
    for point in POINTS
]


@pytest.fixture
def target(tmp_path: Path) -> dict[str, Any]:
    from tests.emulator.tone_plugin.tone_engine import speak

    recording = tmp_path / "probe.wav"
    recording.write_bytes(speak("please call stop"))
    return {"probe": {"recordings": [{"audio": str(recording), "text": "please call stop"}]}}


@pytest.mark.parametrize(("situation", "point"), CASES)
def test_a_fresh_process_finishes_what_a_killed_one_began(
    world: World, processes: Any, target: dict[str, Any], situation: str, point: str
) -> None:
    before, wanted = SITUATIONS[situation]
    declared = Target.declared(target)
    world.register()
    for version in before:
        world.move(version)
        world.apply(target=declared)
    endpoint_ids = [one.id for one in world.endpoints()]
    world.move(wanted)
    world.events.clear()

    environ = {VARIABLE: point}
    arguments = (world.client.tracking_uri, world.service.address, NAME, target, environ)
    child = processes.Process(target=apply_once, args=arguments)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL

    if before:  # no gap: what clients have in their code answers, with the old or the new model
        assert world.hears(endpoint_ids[0]) in {int(before[-1]) - 1, int(wanted) - 1}
    results = [world.apply(target=declared).result for _ in range(3)]
    assert results[-1] == "unchanged"
    versions_served(world, wanted)
    if before:
        assert [one.id for one in world.endpoints()] == endpoint_ids
    if point != "after:notify":
        assert "served" in kinds(world.events)
    _evidence_was_there_before_the_write(world)
    runs = len(world.runs())
    assert world.apply(target=declared).result == "unchanged"
    assert len(world.runs()) == runs


def _evidence_was_there_before_the_write(world: World) -> None:
    """The run that the endpoint names as its last writer holds what the gates said."""
    run_id = (world.endpoint().custom_properties or {})["mlflow-run-id"]
    assert "promotion/gates.json" in [file.path for file in world.client.list_artifacts(run_id, "promotion")]
