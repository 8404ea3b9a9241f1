"""The controller: it notices, it acts, it says so once, and it stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from speech_mlflow.errors import GateError, PromotionError
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.promotion.controller import Controller, backoff
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import history, promote, rollback
from speech_mlflow.tracking import tags
from tests.promotion.world import NAME, World, kinds, versions_served
from tests.waiting import until


@contextmanager
def running(world: World, *, target: Target | None = None, **settings: Any) -> Iterator[Controller]:
    """A controller in a thread of its own, with a client of its own."""
    options = Options(who="watch", on_event=world.events.append, look_after=(0.0, 0.2))
    given: dict[str, Any] = {"poll_seconds": 0.1, "resync_seconds": 0.5, **settings}
    with world.service.connect() as speech:
        controller = Controller(speech, world.client, lambda name: target or Target(), options=options, **given)
        thread = threading.Thread(target=controller.run)
        thread.start()
        try:
            yield controller
        finally:
            controller.stop()
            thread.join(30)
        assert not thread.is_alive()


def told(world: World, kind: str, count: int = 1) -> Callable[[], bool]:
    return lambda: kinds(world.events).count(kind) >= count


def last(world: World, kind: str) -> PromotionEvent:
    return [event for event in world.events if event.kind == kind][-1]


def test_stage_changes_are_deployed_as_they_come(world: World) -> None:
    world.register()
    with running(world):
        for count, version in enumerate(["1", "2", "1"], 1):
            world.move(version)
            until(told(world, "served", count))
            assert last(world, "served").version == version
        until(lambda: world.events[-1].kind == "idle")
    versions_served(world, "1")


def test_idle_is_told_once_each_time_all_is_done(world: World) -> None:
    world.register()
    with running(world) as controller:
        until(told(world, "idle"))
        polls = controller.counts.polls
        until(lambda: controller.counts.polls > polls + 5)
        assert kinds(world.events) == ["idle"]
        world.move("1")
        until(told(world, "idle", 2))
        assert kinds(world.events) == ["idle", "served", "idle"]


def test_other_peoples_models_are_left_alone(world: World) -> None:
    world.register()
    world.client.create_registered_model("churn")
    world.client.create_model_version("churn", source="azure-speech://x")
    world.move("1", name="churn")
    with running(world) as controller:
        until(told(world, "idle"))
        assert controller.counts.models == 1
    assert kinds(world.events) == ["idle"]


def test_drift_is_found_without_any_change_in_the_registry(world: World) -> None:
    world.register()
    world.move("1")
    with running(world):
        until(told(world, "served"))
        endpoint_id = world.endpoint().id
        until(lambda: world.events[-1].kind == "idle")
        world.speech.wait(world.speech.endpoints.update(endpoint_id, model=world.models[2]))
        until(told(world, "drift"))
        world.speech.wait(world.speech.endpoints.update(endpoint_id, model=world.models[2]))
        until(told(world, "drift", 2))  # the same again, whether or not anybody saw it at rest in between
        until(lambda: world.events[-1].kind == "idle")
    versions_served(world, "1")


@pytest.mark.slow
def test_a_hold_that_goes_is_noticed(world: World) -> None:
    world.register()
    world.move("1")
    with running(world, target=Target(max_wer=0.5)):
        until(told(world, "refused"))
        until(told(world, "blocked"))
        world.client.set_model_version_tag(NAME, "1", "speech.override", "needed (by ann)")
        world.client.delete_model_version_tag(NAME, "1", tags.HOLD)
        until(told(world, "served"))
    versions_served(world, "1")
    assert kinds(world.events).count("refused") == 1


def test_ambiguity_is_told_once_and_keeps_what_is_served(world: World) -> None:
    world.register()
    world.move("1")
    with running(world) as controller:
        until(told(world, "served"))
        world.move("2", archive=False)
        world.client.update_model_version(NAME, "2", description="edited")
        until(told(world, "ambiguous"))
        resyncs = controller.counts.resyncs
        until(lambda: controller.counts.resyncs > resyncs + 2)
    served_since = kinds(world.events)[kinds(world.events).index("ambiguous") :]
    assert served_since.count("ambiguous") == 1
    # version 2 may have been seen in Production before its description was edited
    assert world.hears(world.endpoint().id) in {0, 1}


@pytest.mark.slow
def test_an_error_is_told_and_the_target_is_tried_again(world: World) -> None:
    world.register()
    world.service.tell(faults=[{"kind": "status", "status": 403, "path": "/endpoints", "times": None}])
    with running(world):
        world.move("1")
        until(told(world, "error"))
        assert world.runs() == []
        world.service.tell(faults=[])
        until(told(world, "served"))
    versions_served(world, "1")


@pytest.mark.slow
def test_what_fails_is_tried_again_with_pauses_however_often_everything_is_compared(world: World) -> None:
    world.register()
    world.move("1")
    world.service.tell(faults=[{"kind": "status", "status": 403, "method": "POST", "path": "/endpoints$", "times": None}])
    begun = time.monotonic()
    with running(world, resync_seconds=0.1) as controller:
        until(lambda: controller.counts.resyncs > 30)
        failures, passed = controller.counts.failures["target"], time.monotonic() - begun
    assert 0.5 * (2.0 ** (failures - 1) - 1) <= passed  # after each failure twice as long, less up to a half


def test_pauses_end_however_long_something_fails() -> None:
    assert [backoff(1.0, failures, 300.0) for failures in (0, 1, 8, 9, 5000)] == [1.0, 2.0, 256.0, 300.0, 300.0]


def test_a_model_that_was_deleted_is_not_tried_again(world: World) -> None:
    world.register()
    world.move("1")
    world.service.tell(faults=[{"kind": "status", "status": 403, "method": "POST", "path": "/endpoints$", "times": None}])
    with running(world):
        until(told(world, "error"))
        world.client.delete_registered_model(NAME)
        until(told(world, "idle"))


def test_what_waits_for_its_turn_is_not_begun_after_the_end(world: World) -> None:
    names = [f"model {number}" for number in range(5)]
    for name in names:
        world.register(name, versions=1)
        world.move("1", name=name)

    def stop(event: ProgressEvent) -> None:
        if "journal" in event.step:
            controller.stop()

    options = Options(progress=stop, look_after=(0.0,))
    controller = Controller(world.speech, world.client, lambda name: Target(), workers=1, options=options)
    controller.run()
    assert len(world.runs()) == 1


def test_a_wake_looks_at_once(world: World) -> None:
    world.register()
    with running(world, poll_seconds=3600.0, resync_seconds=3600.0) as controller:
        until(told(world, "idle"))
        world.move("1")
        controller.wake()
        until(told(world, "served"))
        world.speech.endpoints.delete(world.endpoint().id)
        controller.wake(NAME)
        until(told(world, "served", 2))
    versions_served(world, "1")


def test_a_plugin_that_raises_stops_nothing(world: World) -> None:
    import pluggy

    from speech_mlflow import hookimpl
    from speech_mlflow.plugins import create_manager

    class Broken:
        @hookimpl
        def promotion_event(self, event: PromotionEvent) -> None:
            raise RuntimeError("I am broken")

    manager: pluggy.PluginManager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(Broken())
    world.register()
    world.move("1")
    assert world.apply(manager=manager).result == "served"
    assert kinds(world.events) == ["served"]


# --- promote and look back ---------------------------------------------------------------------------------------------------


def test_promote_archives_the_others_and_deploys(world: World) -> None:
    world.register()
    world.move("3")
    world.move("2", archive=False)
    options = Options(who="ann", why="it is better", look_after=(0.0,))
    assert promote(world.speech, world.client, NAME, "1", options=options).served
    versions_served(world, "1")
    stages = {str(one.version): one.current_stage for one in world.client.search_model_versions(f"name='{NAME}'")}
    assert stages == {"1": "Production", "2": "Archived", "3": "Archived"}
    (past,) = history(world.client, NAME)
    assert (past.who, past.why, past.version, past.result) == ("ann", "it is better", "1", "served")


def test_a_promotion_that_a_gate_refuses_changes_nothing(world: World) -> None:
    world.register()
    world.move("1")
    world.apply()
    with pytest.raises(GateError) as raised:
        promote(world.speech, world.client, NAME, "2", Target(max_wer=0.5))
    assert [one.gate for one in raised.value.decisions if not one.passed] == ["max_wer"]
    assert raised.value.exit_code == 4
    versions_served(world, "1")
    assert world.client.get_model_version(NAME, "2").current_stage == "None"
    options = Options(who="ann")
    assert promote(world.speech, world.client, NAME, "2", Target(max_wer=0.5), override="needed", options=options).served
    assert world.tag("speech.override", "2") == "needed (by ann)"
    versions_served(world, "2")


def test_rollback_serves_what_was_served_before(world: World) -> None:
    world.register()
    with pytest.raises(PromotionError, match="no version that was served before"):
        rollback(world.speech, world.client, NAME)
    for version in ("1", "3"):
        world.move(version)
        world.apply()
    assert rollback(world.speech, world.client, NAME).version == "1"
    versions_served(world, "1")


def test_promote_and_a_controller_at_once_deploy_once(world: World) -> None:
    world.register()
    with running(world):
        until(told(world, "idle"))
        for version in ("1", "2"):
            assert promote(world.speech, world.client, NAME, version).served
        until(lambda: world.events[-1].kind == "idle")
    versions_served(world, "2")
    assert world.results().count("served") == 2


def test_a_version_that_is_not_there_is_named(world: World) -> None:
    world.register(versions=2)
    with pytest.raises(PromotionError, match="no version 9") as raised:
        promote(world.speech, world.client, NAME, "9")
    assert raised.value.hint == "versions: 1, 2"
