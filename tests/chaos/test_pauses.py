"""The holder of a claim is paused past its end, others take over, and it wakes up in the middle of its work."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from speech_mlflow import hookimpl
from speech_mlflow.errors import ClaimHeldError
from speech_mlflow.plugins import create_manager
from speech_mlflow.promotion.decisions import Candidate
from tests.chaos.fleet import ENDED, controllers, holder_of, paused, settled
from tests.chaos.scale import seeds
from tests.promotion.world import World, versions_served
from tests.waiting import PATIENCE, until

ROUNDS = 4
SLOW = [
    {"kind": "delay", "method": "GET", "path": "/endpoints/.", "seconds": 1.0, "times": None},
    {"kind": "delay", "method": "PATCH", "path": "/endpoints/.", "seconds": 2.0, "times": 1},
    {"kind": "delay", "method": "POST", "path": "/endpoints$", "seconds": 2.0, "times": 1},
]
"""What keeps the holder waiting while it is paused: a read before its write, the change itself, or the creation itself."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", seeds(2))
@pytest.mark.parametrize("count", [2, 5])
def test_a_holder_that_wakes_up_late_changes_nothing_that_stays(world: World, processes: Any, count: int, seed: int) -> None:
    dice = random.Random(seed)
    world.register()
    with controllers(world, processes, count, poll=0.3, resync=1.0) as children:
        wanted = "1"
        for number in range(ROUNDS):
            slow = SLOW[2] if number == 0 else dice.choice(SLOW[:2])
            world.service.tell(faults=[slow])
            runs = len(world.runs())
            world.move(wanted)
            until(lambda: len(world.runs()) > runs and (slow["method"] == "GET" or world.service.tell() > 0))  # noqa: B023
            time.sleep(dice.uniform(0.0, 0.3))
            with paused(world, holder_of(world, children)):
                world.service.tell(faults=[])
                end_the_claim(world)
                if dice.random() < 0.5 and number:
                    wanted = dice.choice([one for one in "123" if one != wanted])
                    world.move(wanted)
                until(settled(world, wanted))  # the others went on while it was paused
            time.sleep(1.5)  # what it was about to do is done or refused
            until(settled(world, wanted))
            until(serves(world, wanted))
            wanted = dice.choice([one for one in "123" if one != wanted])
        wanted = str(world.tag("speech.served_version"))
        for child in children:
            child.terminate()  # what one of them is still about to do is done or refused
        for child in children:
            child.join(PATIENCE)
            assert child.exitcode in ENDED
    assert "unchanged" in [world.apply().result for _ in range(3)]
    versions_served(world, wanted)


def end_the_claim(world: World) -> None:
    """Make the time of whoever holds the claim be over, for all others. It looks at its own clock, and at who came after."""
    for run in world.runs("claim"):  # two processes may each have made one
        number = max((int(name[6:]) for name in run.data.params), default=0)
        world.client.set_tag(run.info.run_id, f"claim.{number}.until", "0")


def serves(world: World, version: str) -> Callable[[], bool]:
    """Whether there is one endpoint, at rest, with the model of this version."""

    def is_served() -> bool:
        found = [(one.status, one.model.id if one.model else None) for one in world.endpoints()]
        return found == [("Succeeded", world.models[int(version) - 1])]

    return is_served


def test_a_late_holder_writes_nothing(world: World) -> None:
    """It thinks for longer than its claim lasts, and goes on when another one has served another version."""
    world.register()
    world.move("1")
    assert world.apply().result == "served"
    endpoint = world.endpoint()
    world.move("2")
    entered, go = threading.Event(), threading.Event()

    class Slow:
        @hookimpl
        def promotion_gate(self, candidate: Candidate) -> None:
            entered.set()
            go.wait(60)

    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(Slow())
    raised: list[Exception] = []

    def late() -> None:
        with world.service.connect() as speech:
            try:
                World(world.service, speech, world.client).apply(manager=manager)
            except ClaimHeldError as error:
                raised.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    assert entered.wait(60)
    end_the_claim(world)  # as if nobody had renewed it in time
    world.move("3")
    assert world.apply().result == "served"
    go.set()
    thread.join(60)
    assert len(raised) == 1
    versions_served(world, "3")
    assert world.endpoint().id == endpoint.id
