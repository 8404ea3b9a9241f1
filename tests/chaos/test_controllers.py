"""Several controllers at once, killed, paused and ended: there is one endpoint, and it serves what the registry says."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.chaos.actors import apply_once
from tests.chaos.fleet import ENDED, controllers, holder_of, paused, settled
from tests.promotion.world import NAME, World, versions_served
from tests.waiting import PATIENCE, until


@pytest.mark.parametrize("count", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_controllers_at_once_make_one_endpoint_and_each_change_once(world: World, processes: Any, count: int) -> None:
    world.register()
    with controllers(world, processes, count) as children:
        for version in ("1", "2", "1"):
            world.move(version)
            until(settled(world, version))
            versions_served(world, version)
        runs = len(world.runs())
        time.sleep(1.5)  # every controller has looked at everything again
        assert len(world.runs()) == runs == 3
        assert world.results() == ["served", "served", "served"]
        for child in children:
            os.kill(child.pid, signal.SIGTERM)
        for child in children:
            child.join(60)
            assert child.exitcode in ENDED
    assert world.apply().result == "unchanged"


@pytest.mark.slow
def test_when_one_of_two_is_killed_the_other_goes_on(world: World, processes: Any) -> None:
    world.register()
    world.move("1")
    world.apply()
    # the first to see the change is killed in the middle of a promotion: deploying takes long enough to be caught
    slow = [{"kind": "delay", "method": "GET", "path": "/endpoints/.", "seconds": 2, "times": 3}]
    with controllers(world, processes, 2) as children:
        world.service.tell(faults=slow)
        world.move("2")
        until(lambda: any(run.info.status == "RUNNING" for run in world.runs()))
        holder = holder_of(world, children)
        holder.kill()
        holder.join(30)
        until(settled(world, "2"))
    versions_served(world, "2")


@pytest.mark.slow
def test_a_holder_that_is_paused_past_its_claim_leaves_no_second_endpoint(world: World, processes: Any) -> None:
    world.register()
    world.move("1")
    # its creation arrives late, when another process may have taken over and made one of its own
    world.service.tell(faults=[{"kind": "delay", "method": "POST", "path": "/endpoints$", "seconds": 8, "times": 1}])
    late = processes.Process(target=apply_once, args=(world.client.tracking_uri, world.service.address, NAME, {}, {}))
    late.start()
    until(lambda: world.service.tell() == 1)  # the creation is on its way
    with paused(world, late):
        (run,) = world.runs("claim")
        world.client.set_tag(run.info.run_id, "claim.1.until", "0")  # its time is over
        assert world.apply().result == "served"
        until(lambda: world.service.tell() == 1 and len(list(world.speech.endpoints.list())) >= 1)
        time.sleep(8)  # by now the late creation was carried out
    late.join(PATIENCE)
    assert late.exitcode == 1  # it lost its claim, and says so
    versions_served(world, "1")  # and there is one endpoint


def test_a_controller_that_is_told_to_end_frees_its_claim(world: World, processes: Any) -> None:
    world.register()
    world.service.tell(faults=[{"kind": "delay", "method": "GET", "path": "/endpoints/.", "seconds": 2, "times": None}])
    with controllers(world, processes, 1) as (child,):
        world.move("1")
        until(lambda: any(run.info.status == "RUNNING" for run in world.runs()))
        os.kill(child.pid, signal.SIGTERM)
        child.join(60)
        assert child.exitcode in ENDED
    world.service.tell(faults=[])
    world.apply()  # at once: no claim is in the way
    world.apply()
    versions_served(world, "1")
