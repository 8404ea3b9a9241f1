"""What goes wrong, and how the world stands afterwards."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.errors import ServiceError, StalePlanError
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import apply_plan, plan_for, promote
from speech_mlflow.tracking import tags
from tests.promotion.world import NAME, WORDS, World, kinds, versions_served


def served(world: World, *versions: str) -> str:
    """Serve versions one after another; the endpoint's id."""
    world.register()
    for version in versions:
        world.move(version)
        assert world.apply().result == "served"
    world.events.clear()
    return world.endpoint().id


def hears(word: str, folder: Path, **bounds: float) -> Target:
    """A target whose probe knows one word."""
    from tests.emulator.tone_plugin.tone_engine import speak

    recording = folder / "probe.wav"
    recording.write_bytes(speak(f"call {word}"))
    return Target.declared({"probe": {"recordings": [{"audio": str(recording), "text": f"call {word}"}], **bounds}})


# --- the new version does not work ---------------------------------------------------------------------------------------


def test_a_deployment_that_fails_puts_the_old_version_back(world: World) -> None:
    endpoint_id = served(world, "1")
    broken = world.add_version(NAME, world.service.broken)
    world.move(broken)
    applied = world.apply()
    assert applied.result == "rolled back"
    assert "cannot be loaded" in applied.reason
    versions_served(world, "1")
    assert world.endpoint().id == endpoint_id
    assert "cannot be loaded" in str(world.tag(tags.HOLD, broken))
    assert kinds(world.events) == ["rolled back"]
    runs = len(world.runs())
    assert world.apply().result == "blocked"  # and is not tried again
    assert len(world.runs()) == runs


def test_a_first_deployment_that_fails_is_never_published(world: World) -> None:
    world.register()
    broken = world.add_version(NAME, world.service.broken)
    world.move(broken)
    assert world.apply().result == "failed"
    assert world.tag(tags.ENDPOINT_ID) is None
    assert world.tag(tags.ENDPOINT_ID, broken) is None
    assert world.apply().result == "blocked"
    world.move("2")
    assert world.apply().result == "served"
    versions_served(world, "2")  # and there is one endpoint


def test_a_probe_that_fails_puts_the_old_version_back(world: World, tmp_path: Path) -> None:
    served(world, "1")
    world.move("2")
    applied = world.apply(target=hears(WORDS[0], tmp_path, max_wer=0.2))
    assert applied.result == "rolled back"
    assert "WER is 50.0%" in applied.reason
    versions_served(world, "1")
    run = world.runs()[-1]
    assert run.data.metrics["probe.wer"] == 0.5
    assert run.info.status == "FAILED"


def test_a_probe_that_passes_is_measured(world: World, tmp_path: Path) -> None:
    world.register()
    world.move("1")
    assert world.apply(target=hears(WORDS[0], tmp_path, max_wer=0.0)).result == "served"
    metrics = world.runs()[-1].data.metrics
    assert (metrics["probe.wer"], metrics["probe.recordings"]) == (0.0, 1.0)


@pytest.mark.slow
def test_a_probe_may_take_longer_than_a_claim_lasts(world: World, tmp_path: Path) -> None:
    world.register()
    world.move("1")
    world.service.tell(faults=[{"kind": "delay", "path": "/recognition/", "seconds": 8, "times": 1}])
    assert world.apply(target=hears(WORDS[0], tmp_path), claim_seconds=6.0).result == "served"
    assert world.runs()[-1].data.metrics["seconds.probe"] >= 8
    assert world.service.tell() == 1
    versions_served(world, "1")


def test_what_was_served_is_put_back_also_where_its_version_was_deleted(world: World, tmp_path: Path) -> None:
    endpoint_id = served(world, "1")
    world.move("2")
    world.client.delete_model_version(NAME, "1")
    applied = world.apply(target=hears(WORDS[0], tmp_path, max_wer=0.2))
    assert applied.result == "rolled back"
    assert f"model {world.models[0]} is served again" in applied.reason
    assert world.hears(endpoint_id) == 0
    assert world.apply(target=hears(WORDS[0], tmp_path, max_wer=0.2)).result == "blocked"
    assert world.hears(endpoint_id) == 0


@pytest.mark.slow
def test_a_held_version_is_tried_again_when_the_hold_goes(world: World, tmp_path: Path) -> None:
    served(world, "1")
    world.move("2")
    target = hears(WORDS[0], tmp_path, max_wer=0.2)
    world.apply(target=target)
    world.client.delete_model_version_tag(NAME, "2", tags.HOLD)
    assert world.apply(target=target).result == "rolled back"
    # the probe itself changed: that is other evidence
    assert world.apply(target=hears(WORDS[1], tmp_path, max_wer=0.2)).result == "served"
    versions_served(world, "2")
    assert world.tag(tags.HOLD, "2") is None


# --- gates -----------------------------------------------------------------------------------------------------------------


def test_a_refused_version_is_not_served_and_the_evidence_is_there(world: World) -> None:
    endpoint_id = served(world, "1")
    world.move("2")
    target = Target(max_wer=0.5)
    applied = world.apply(target=target)
    assert applied.result == "refused"
    versions_served(world, "1")
    assert world.endpoint().id == endpoint_id
    assert "refused" in str(world.tag(tags.HOLD, "2"))
    run = world.runs()[-1]
    assert run.data.params["gate.max_wer"].startswith("no: ")
    assert "promotion/gates.json" in [file.path for file in world.client.list_artifacts(run.info.run_id, "promotion")]
    assert kinds(world.events) == ["refused"]
    assert world.apply(target=target).result == "blocked"


def test_a_target_with_a_name_has_a_hold_of_its_own_and_an_override_lifts_it(world: World) -> None:
    world.register()
    world.move("1")
    target = Target.declared({"name": "blue", "max_wer": 0.5})
    assert world.apply(target=target).result == "refused"
    assert world.apply(target=target).result == "blocked"
    assert world.results() == ["refused"]
    assert world.tag(tags.HOLD, "1") is None
    assert promote(world.speech, world.client, NAME, "1", target, override="needed", options=Options(who="ann")).served
    assert world.tag(f"{tags.HOLD}.blue", "1") is None
    (endpoint,) = world.endpoints(target="blue")
    assert world.hears(endpoint.id) == 0


def test_an_override_is_recorded(world: World) -> None:
    world.register()
    world.move("1")
    world.client.set_model_version_tag(NAME, "1", "speech.override", "the old one harms patients (by ann)")
    assert world.apply(target=Target(max_wer=0.5)).result == "served"
    run = world.runs()[-1]
    text = Path(world.client.download_artifacts(run.info.run_id, "promotion/gates.json")).read_text()
    assert "harms patients" in text
    assert run.data.params["gate.max_wer"].startswith("no: ")


def test_an_expired_model_is_refused(world: World) -> None:
    world.register()
    world.move("1")
    world.service.tell(clock=0)
    assert world.apply(target=Target(expires_within_days=100_000)).result == "refused"
    assert world.endpoints() == []


@pytest.mark.slow
def test_the_command_goes_on_after_one_that_fails_and_says_which_gate_refused(world: World, tmp_path: Path) -> None:
    world.speech.resource = world.service.address["url"].partition("://")[2]  # as the command calls it
    for name in ("a refused one", "another that fails", NAME):
        world.register(name, versions=1)
    world.client.set_registered_model_tag("a refused one", "speech.target.max_wer", "0.5")
    broken = world.add_version("another that fails", world.service.broken)
    theirs = world.speech.endpoints.create(
        display_name="theirs",
        locale="en-US",
        model=world.models[1],
        custom_properties={f"note-{number}": "theirs" for number in range(9)},
    )
    world.client.set_registered_model_tag("another that fails", "speech.target.endpoint_id", world.speech.wait(theirs).id)
    for name, version in (("a refused one", "1"), ("another that fails", broken), (NAME, "1")):
        world.move(version, name)
    url, key = world.service.address["url"], world.service.address["key"]
    (tmp_path / "speech-mlflow.toml").write_text(f'tracking_uri = "{world.client.tracking_uri}"\nendpoint = "{url}"\n')

    def apply(*names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "speech_mlflow", "apply", *names, "--yes", "--json"]
        environ = {**os.environ, "SPEECH_MLFLOW_KEY": key}
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    alone = apply("a refused one")
    assert (alone.returncode, "no word error rate" in alone.stderr) == (4, True)
    everything = apply()
    assert everything.returncode == 1, everything.stderr
    assert "custom properties of its own" in everything.stderr
    assert [one["result"] for one in json.loads(everything.stdout)] == ["blocked", "served"]
    versions_served(world, "1")


# --- the network -----------------------------------------------------------------------------------------------------------


LOST: dict[str, dict[str, Any]] = {
    "lost": {"kind": "lost"},
    "lost after silence": {"kind": "lost", "seconds": 3},
    "reset": {"kind": "reset"},
    "cut": {"kind": "truncate"},
    "504 after the work": {"kind": "late-status", "status": 504},
}


@pytest.mark.parametrize("how", [one if one == "lost" else pytest.param(one, marks=pytest.mark.slow) for one in LOST])
@pytest.mark.parametrize("write", ["POST", "PATCH"])
def test_an_answer_that_is_lost_costs_nothing(world: World, write: str, how: str) -> None:
    world.register()
    world.move("1")
    if write == "PATCH":
        world.apply()
        world.move("2")
    path = r"/endpoints$" if write == "POST" else "/endpoints/"
    world.service.tell(faults=[{**LOST[how], "method": write, "path": path, "times": 1}])
    _until_quiet(world)
    versions_served(world, "2" if write == "PATCH" else "1")


@pytest.mark.parametrize("status", [503, *(pytest.param(one, marks=pytest.mark.slow) for one in (429, 500))])
def test_a_service_that_is_not_well_is_tried_again(world: World, status: int) -> None:
    world.register()
    world.move("1")
    world.service.tell(faults=[{"kind": "status", "status": status, "path": "/endpoints", "times": 4}])
    _until_quiet(world)
    versions_served(world, "1")


@pytest.mark.parametrize("lag", [1, *(pytest.param(one, marks=pytest.mark.slow) for one in (4, 10))])
def test_a_list_that_lags_behind_a_creation_makes_no_second_endpoint(world: World, lag: int) -> None:
    """The process that made the endpoint is gone, and the service does not list it yet."""
    world.register()
    world.move("1")
    # it fails right after the endpoint was made, and the run tells of a creation
    world.service.tell(faults=[{"kind": "status", "status": 403, "method": "GET", "path": "/endpoints/.+", "times": None}])
    with pytest.raises(ServiceError):
        world.apply()
    run = world.runs()[-1]
    world.client.set_tag(run.info.run_id, "speech.open", "true")  # as a killed process leaves it
    world.client.delete_tag(run.info.run_id, "speech.result")
    world.service.tell(faults=[{"kind": "stale-list", "method": "GET", "path": "/endpoints$", "seconds": lag, "times": None}])
    assert world.apply(look_after=(0.0, 0.5, 1.5, 3.0, 6.0)).result == "served"
    world.service.tell(faults=[])
    versions_served(world, "1")


def _until_quiet(world: World) -> None:
    """What the controller does: try again after an error, until nothing is left to do."""
    for _ in range(4):
        try:
            if world.apply().result == "unchanged":
                return
        except ServiceError as error:
            assert error.retryable  # noqa: PT017
    raise AssertionError(world.results())


# --- others ----------------------------------------------------------------------------------------------------------------


def endpoint_by_hand(world: World, model: int, **properties: str) -> str:
    """Somebody, or another process of ours, makes an endpoint with the target's name."""
    made = world.speech.endpoints.create(
        display_name=f"speech-mlflow/{NAME}/default", locale="en-US", model=world.models[model], custom_properties=properties
    )
    return world.speech.wait(made).id


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_oldest_of_several_with_our_mark_is_adopted(world: World, count: int) -> None:
    world.register()
    uid = str(world.tag(tags.UID))
    made = []
    for _ in range(count):
        made.append(endpoint_by_hand(world, 2, **{"managed-by": "speech-mlflow", "speech-uid": uid}))
        time.sleep(1.1)  # the service's times are whole seconds
    oldest, *younger = made
    world.move("1")
    applied = world.apply()
    assert applied.endpoint_id == oldest
    assert world.hears(oldest) == 0
    assert sorted(one.id for one in world.endpoints()) == sorted(made)
    assert {world.hears(one) for one in younger} == {2}
    reported = [step.endpoint_id for step in plan_for(world.speech, world.client, NAME).steps if step.action == "report"]
    assert sorted(str(one) for one in reported) == sorted(younger)


def test_what_is_not_ours_is_never_touched(world: World) -> None:
    world.register()
    nobodys = endpoint_by_hand(world, 2)
    another_registrys = endpoint_by_hand(world, 2, **{"managed-by": "speech-mlflow", "speech-uid": "0" * 32})
    before = [world.speech.endpoints.get(one).to_json() for one in (nobodys, another_registrys)]
    world.client.set_registered_model_tag(NAME, tags.ENDPOINT_ID, nobodys)
    for version in ("1", "2"):
        world.move(version)
        world.apply()
    assert [world.speech.endpoints.get(one).to_json() for one in (nobodys, another_registrys)] == before
    versions_served(world, "2")


def test_a_model_changed_by_hand_is_put_back(world: World) -> None:
    endpoint_id = served(world, "1")
    world.speech.wait(world.speech.endpoints.update(endpoint_id, model=world.models[2]))
    assert world.hears(endpoint_id) == 2
    left = world.apply(target=Target(heal=False))
    assert (left.result, left.served) == ("unchanged", False)
    assert world.hears(endpoint_id) == 2
    world.apply()
    versions_served(world, "1")


def test_an_endpoint_whose_mark_was_taken_off_is_neither_written_nor_replaced(world: World) -> None:
    endpoint_id = served(world, "1")
    world.speech.endpoints.update(endpoint_id, custom_properties={"owner": "somebody"})
    world.move("2")
    applied = world.apply()
    assert applied.result == "blocked"
    assert f"endpoint {endpoint_id}, which serves version 1, does not carry our mark any more" in applied.reason
    assert [one.id for one in world.speech.endpoints.list()] == [endpoint_id]
    assert world.hears(endpoint_id) == 0
    assert world.apply(target=Target(endpoint_id=endpoint_id)).result == "served"
    versions_served(world, "2")


@pytest.mark.slow
def test_a_deleted_endpoint_is_made_again(world: World) -> None:
    endpoint_id = served(world, "1")
    world.speech.endpoints.delete(endpoint_id)
    world.apply()
    assert world.endpoint().id != endpoint_id
    versions_served(world, "1")


def test_a_stale_plan_is_refused_and_nothing_is_written(world: World) -> None:
    world.register()
    world.move("1")
    made = plan_for(world.speech, world.client, NAME)
    world.move("2")
    with pytest.raises(StalePlanError):
        apply_plan(world.speech, world.client, made.to_dict(), Target())
    assert world.endpoints() == []
    fresh = plan_for(world.speech, world.client, NAME)
    assert apply_plan(world.speech, world.client, fresh.to_dict(), Target()).result == "served"


def test_where_evidence_cannot_be_written_nothing_is_deployed(world: World, tmp_path: Path) -> None:
    world.register()
    world.move("1")
    (tmp_path / "mlflow" / "mlartifacts").write_text("a file where the folder of artifacts should be")
    with pytest.raises(OSError, match="mlartifacts"):
        world.apply()
    assert world.endpoints() == []


# --- at every instant --------------------------------------------------------------------------------------------------------


def test_the_endpoint_answers_at_every_instant_of_a_change(world: World) -> None:
    endpoint_id = served(world, "1")
    heard: list[Any] = []
    stop = threading.Event()

    def listen() -> None:
        with world.service.connect() as speech:
            listener = World(world.service, speech, world.client)
            while not stop.is_set():
                try:
                    heard.append(listener.hears(endpoint_id))
                except Exception as error:  # any failure is a gap
                    heard.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    for version in ("2", "3", "1"):
        world.move(version)
        world.apply()
    stop.set()
    thread.join()
    assert set(heard) <= {0, 1, 2}
    assert len(set(heard)) > 1


def test_the_key_is_nowhere_in_what_was_written(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    served(world, "1", "2")
    world.service.tell(faults=[{"kind": "status", "status": 401, "path": "/endpoints", "times": None}])
    with pytest.raises(ServiceError) as raised:
        world.apply()
    key = world.service.address["key"]
    out = "".join(capfd.readouterr())
    for text in (caplog.text, out, str(raised.value), repr(raised.value), repr(world.speech), repr(world.events)):
        assert key not in text
    files = [path for path in (tmp_path / "mlflow").rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if key.encode() in path.read_bytes()]
