"""Processes are killed at any moment, again and again. What they leave is finished by the next one."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import pytest

from tests.chaos.actors import apply_once, control, loaded
from tests.chaos.scale import seeds
from tests.promotion.world import NAME, World, versions_served

KILLS = 10
"""Of each test."""
LONGEST = 0.6
"""Seconds after which a process is killed at the latest: a promotion takes about as long."""


@pytest.mark.parametrize("seed", seeds(6))
def test_whatever_was_killed_at_any_moment_the_next_one_finishes(world: World, processes: Any, seed: int) -> None:
    dice = random.Random(seed)
    world.register()
    arguments = (world.client.tracking_uri, world.service.address)
    started = processes.Event()
    endpoint_id, wanted, killed = None, "1", 0
    allowed: set[int | None] = {0}  # what may answer behind the published endpoint
    world.move(wanted)
    while killed < KILLS:
        if dice.random() < 0.7:
            wanted = dice.choice("123")
            world.move(wanted)
            allowed.add(int(wanted) - 1)
        if dice.random() < 0.7:
            child = processes.Process(target=apply_once, args=(*arguments, NAME, {}, {}))
        else:
            child = processes.Process(target=control, args=(*arguments, started, {"poll": 0.05}))
        child.start()
        child.join(dice.uniform(0.0, LONGEST))
        if child.exitcode is None:
            os.kill(child.pid, signal.SIGKILL)
            child.join(30)
        assert child.exitcode in {0, -signal.SIGKILL}
        killed += child.exitcode != 0
        assert len(world.endpoints()) <= 1
        if endpoint_id is not None:  # no gap: the address that clients have answers
            assert world.hears(endpoint_id) in allowed
        if dice.random() < 0.4:
            assert "unchanged" in [world.apply().result for _ in range(3)]
            versions_served(world, wanted)
            assert endpoint_id in {None, world.endpoint().id}
            endpoint_id, allowed = world.endpoint().id, {int(wanted) - 1}
    assert "unchanged" in [world.apply().result for _ in range(3)]
    versions_served(world, wanted)
    runs = len(world.runs())
    assert world.apply().result == "unchanged"
    assert len(world.runs()) == runs
    _nothing_else_was_made(world)


def test_processes_start_with_everything_loaded(processes: Any) -> None:
    answers = processes.Queue()
    child = processes.Process(target=loaded, args=(answers,))
    child.start()
    assert answers.get(timeout=60)
    child.join(30)


def _nothing_else_was_made(world: World) -> None:
    """Under whatever name: one endpoint of the whole resource carries the mark of this registry."""
    uid = world.tag("speech.uid")
    marked = [one.id for one in world.speech.endpoints.list() if (one.custom_properties or {}).get("speech-uid") == uid]
    assert marked == [world.endpoint().id]
