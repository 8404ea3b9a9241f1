"""Ctrl-C and SIGTERM in the middle of an upload, a wait and a promotion: a quick end, nothing held, and the same command again
goes on with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.actors import command
from tests.chaos.fleet import control_alone, of_any_resource
from tests.promotion.world import NAME, World, versions_served
from tests.waiting import PATIENCE, until

QUICK = 45.0
"""Seconds after which a command has ended, on a busy machine too: it gives up after four (``GRACE_SECONDS``), and the service is
silent for 60."""
SIGNALS = [pytest.param(signal.SIGINT, 130, id="ctrl-c"), pytest.param(signal.SIGTERM, 143, id="sigterm")]


def hangs(method: str, path: str) -> list[dict[str, Any]]:
    """A service that does not answer, for longer than anybody waits."""
    return [{"kind": "delay", "method": method, "path": path, "seconds": 60, "times": None}]


def interrupted(world: World, processes: Any, number: int, faults: list[dict[str, Any]], *arguments: str) -> int | None:
    """The exit code of a command that gets a signal while it waits for an answer that does not come."""
    world.service.tell(faults=faults)
    child = processes.Process(target=command, args=(world.client.tracking_uri, world.service.address, arguments))
    child.start()
    try:
        until(lambda: world.service.tell() > 0)
        os.kill(child.pid, number)
        child.join(QUICK)
        return child.exitcode
    finally:
        world.service.tell(faults=[])
        if child.is_alive():
            child.kill()
        child.join(30)


def again(world: World, processes: Any, *arguments: str) -> None:
    child = processes.Process(target=command, args=(world.client.tracking_uri, world.service.address, arguments))
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_upload_goes_on_where_it_was(world: World, processes: Any, tmp_path: Path, number: int, code: int) -> None:
    text = tmp_path / f"sentences {code}.txt"
    text.write_text(f"please call {code} at once\n" * 3, "utf-8-sig")
    arguments = ("data", "upload", str(text))
    assert interrupted(world, processes, number, hangs("PUT", "blocks"), *arguments) == code
    again(world, processes, *arguments)
    (made,) = [one for one in world.speech.datasets.list() if one.display_name.startswith(text.stem)]
    assert made.status == "Succeeded"


@pytest.mark.parametrize("where", ["write", pytest.param("wait", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_promotion_is_gone_on_with_and_holds_nothing(
    world: World, processes: Any, number: int, code: int, where: str
) -> None:
    world.register()
    of_any_resource(world)
    world.move("1")
    assert world.apply().result == "served"
    arguments = ("promote", f"{NAME}/2")
    faults = hangs("PATCH", "/endpoints/") if where == "write" else [{**hangs("GET", "/endpoints/.")[0], "skip": 3}]
    assert interrupted(world, processes, number, faults, *arguments) == code
    assert world.hears(world.endpoint().id) in {0, 1}  # no gap
    (claim,) = world.runs("claim")
    numbers = [int(name[6:]) for name in claim.data.params]
    assert claim.data.tags[f"claim.{max(numbers)}.until"] == "0.0"  # released: other machines need not wait for it to end
    again(world, processes, *arguments)
    world.apply()
    versions_served(world, "2")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_controller_ends_though_the_service_does_not_answer(world: World, processes: Any, number: int, code: int) -> None:
    world.register()
    world.move("1")
    world.apply()
    world.service.tell(faults=hangs("PATCH", "/endpoints/"))
    with control_alone(world, processes) as child:
        world.move("2")
        until(lambda: world.service.tell() > 0)
        os.kill(child.pid, number)
        child.join(QUICK)
        assert child.exitcode == code
    world.service.tell(faults=[])
    world.apply()  # at once: the claim of a process that is gone is in nobody's way
    world.apply()
    versions_served(world, "2")
