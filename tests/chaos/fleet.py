"""Several controllers at once, as processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from speech_mlflow.tracking import tags
from tests.chaos.actors import control
from tests.promotion.world import NAME, World
from tests.waiting import PATIENCE, until

ENDED = {0, 143}
"""How a controller ends that was told to: in order, or after a few seconds in the middle of an answer that is slow to come."""


@contextmanager
def controllers(world: World, processes: Any, count: int, **settings: float) -> Iterator[list[Any]]:
    """So many controller processes, all at work."""
    started = [processes.Event() for _ in range(count)]
    arguments = (world.client.tracking_uri, world.service.address)
    children = [processes.Process(target=control, args=(*arguments, event, settings)) for event in started]
    for child in children:
        child.start()
    try:
        assert all(event.wait(PATIENCE) for event in started)
        yield children
    finally:
        for child in children:
            if child.is_alive():
                child.kill()
            child.join(30)


@contextmanager
def paused(world: World, process: Any) -> Iterator[None]:
    """A process that stands still, though not in the middle of a statement to SQLite: it would hold the lock of the whole file,
    and everybody would stand still with it. A registry on a server has locks that end with their connection's patience."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + PATIENCE
        while not nobody_holds(world.client.tracking_uri.removeprefix("sqlite:///")):
            assert time.monotonic() < deadline
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.005)
            os.kill(process.pid, signal.SIGSTOP)
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def nobody_holds(database: str) -> bool:
    """Whether a write to SQLite can be ended within a second: no process reads or writes for longer than that."""
    with closing(sqlite3.connect(database, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True


def holder_of(world: World, children: list[Any]) -> Any:
    """Which of the controllers is at work on the newest promotion. Its run is there a moment before it says whose it is."""
    until(lambda: "who" in world.runs()[-1].data.params)
    who = world.runs()[-1].data.params["who"]
    (holder,) = [child for child in children if who == f"controller {child.pid}"]
    return holder


def settled(world: World, version: str) -> Callable[[], bool]:
    """Whether the registry says that this version is served, and no promotion is under way."""

    def is_settled() -> bool:
        runs = world.runs()
        return world.tag("speech.served_version") == version and all(
            run.data.tags.get("speech.open") == "false" for run in runs
        )

    return is_settled


@contextmanager
def control_alone(world: World, processes: Any) -> Iterator[Any]:
    """One controller, which looks for everything often."""
    with controllers(world, processes, 1) as (child,):
        yield child


def of_any_resource(world: World) -> None:
    """Versions that do not say in which resource their model is: a command knows a resource by its address alone."""
    for version in world.client.search_model_versions(f"name='{NAME}'"):
        world.client.delete_model_version_tag(NAME, version.version, tags.RESOURCE)
