"""One registered model in two speech resources: two services on real sockets, the model copied from one to the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion import lifecycle, registry
from speech_mlflow.promotion.claim import acquire
from speech_mlflow.promotion.controller import Controller
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.regions import Elsewhere, Regions, unknown_regions
from speech_mlflow.promotion.retire import leftovers
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import plan_for
from speech_mlflow.service.client import SpeechClient
from speech_mlflow.service.entities import CustomModel
from speech_mlflow.settings import Settings
from speech_mlflow.tracking import tags
from tests.promotion.test_controller import until
from tests.promotion.world import NAME, Service, World, kinds, versions_served

TARGET = Target(regions=("west",))


@pytest.fixture(scope="module")
def west_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A second speech resource, with nothing in it."""
    service = Service(tmp_path_factory.mktemp("west"))
    yield service
    service.close()


class Both:
    """The world, its second resource, and the settings that name both."""

    def __init__(self, world: World, west: Service, resource_id: str) -> None:
        self.world = world
        self.service = west
        self.values: dict[str, Any] = {
            "resource_id": resource_id,
            "endpoint": world.service.address["url"],
            "resources": {"west": {"endpoint": west.address["url"], "key": west.address["key"]}},
        }
        self.regions = Regions(Settings.model_validate(self.values), world.speech)

    @property
    def west(self) -> SpeechClient:
        return self.regions.speech("west")

    def apply(self, **options: Any) -> list[Elsewhere]:
        """The first resource, then the region."""
        given = Options(who="test", why="a test", on_event=self.world.events.append, look_after=(0.0, 0.2), **options)
        return self.regions.apply(self.world.client, self.world.apply(target=TARGET), given)

    def command(self, folder: Path) -> Callable[..., str]:
        """The command line in a directory whose settings name both; what it printed."""
        (folder / "speech-mlflow.toml").write_text(
            f'tracking_uri = "{self.world.client.tracking_uri}"\nendpoint = "{self.values["endpoint"]}"\n'
            f'resource_id = "{self.values["resource_id"]}"\n[targets.{NAME}]\nregions = ["west"]\n'
            f'[resources.west]\nendpoint = "{self.service.address["url"]}"\nkey_variable = "WEST_KEY"\n',
            "utf-8",
        )
        keys = {"SPEECH_MLFLOW_KEY": self.world.service.address["key"], "WEST_KEY": self.service.address["key"]}

        def run(*words: str, code: int = 0, **more: str) -> str:
            command = [sys.executable, "-m", "speech_mlflow", *words, "--json"]
            environ = {**os.environ, **keys, **more}
            done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stderr
            return done.stdout

        return run

    def copies(self) -> list[CustomModel]:
        return list(self.west.models.list())

    def serves(self, version: str) -> None:
        """Both resources serve this version, each with one endpoint of its own."""
        world = self.world
        versions_served(world, version)
        (endpoint,) = self.west.endpoints.list()
        copied = world.tag(f"{tags.MODEL_ID}.west", version)
        assert endpoint.status == "Succeeded"
        assert endpoint.model is not None
        assert endpoint.model.id == copied
        assert world.tag(f"{tags.ENDPOINT_ID}.west") == endpoint.id
        assert world.tag(f"{tags.SERVED_VERSION}.west") == version
        there = World(self.service, self.west, world.client)
        assert there.hears(endpoint.id) == world.models.index(str(world.tag(tags.MODEL_ID, version)))


@pytest.fixture
def both(world: World, west_service: Service) -> Iterator[Both]:
    west_service.tell(faults=[], clock=0)
    with west_service.connect() as asked:  # a resource tells its own id to who asks the other way round
        permission = asked.models.authorize_copy(
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/x"
        )
    with world.service.connect() as main:
        own = main.models.authorize_copy(permission.target_resource_id).target_resource_id
    found = Both(world, west_service, own)
    with found.regions:
        yield found
        west_service.tell(faults=[], clock=0)
        for endpoint in list(found.west.endpoints.list()):
            found.west.wait(endpoint)
            found.west.endpoints.delete(endpoint.id)
        for model in found.copies():
            found.west.models.delete(model.id)


def test_a_version_is_copied_once_and_served_in_both(both: Both) -> None:
    world = both.world
    world.register()
    world.move("1")
    (part,) = both.apply()
    assert (part.region, part.result) == ("west", "served")
    both.serves("1")
    (copied,) = both.copies()
    assert (copied.custom_properties or {})["copied-from"] == world.models[0]
    assert (copied.custom_properties or {})["managed-by"] == "speech-mlflow"
    assert [one.result for one in both.apply()] == ["unchanged"]
    for version in ("2", "1"):
        world.move(version)
        assert [one.result for one in both.apply()] == ["served"]
        both.serves(version)
    assert len(both.copies()) == 2  # back to a version that was copied before
    assert leftovers(both.west, world.client, lambda name: [TARGET, TARGET.in_region("west")]) == []
    registered = registry.read_all(world.client).values()
    found = lifecycle.read(world.speech, registered, target_of=lambda name: TARGET, regions=both.regions)
    assert {(age.region, age.version) for age in found.served} == {(None, "1"), ("west", "1")}


def test_the_plan_of_a_region_says_what_is_copied(both: Both) -> None:
    world = both.world
    world.register()
    world.move("2")
    main = plan_for(world.speech, world.client, NAME, TARGET)
    (part,) = both.regions.plans(world.client, NAME, main.target)
    assert [step.action for step in part.steps] == ["copy", "create", "publish"]
    assert world.models[1] in part.steps[0].reason
    assert part.to_dict()["target"] == "west"
    assert both.copies() == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            {"method": "POST", "path": "/models/.+:copy", "on": "main"}, id="the copy is refused", marks=pytest.mark.slow
        ),
        pytest.param({"method": "PATCH", "path": "/models/.+", "on": "west"}, id="the copy is made and not noted"),
        pytest.param(
            {"method": "POST", "path": "/endpoints", "on": "west"}, id="copied, and no endpoint", marks=pytest.mark.slow
        ),
    ],
)
def test_a_region_that_fails_is_reported_and_goes_on_without_copying_twice(both: Both, fault: dict[str, Any]) -> None:
    world = both.world
    world.register()
    world.move("1")
    service = world.service if fault.pop("on") == "main" else both.service
    service.tell(faults=[{"kind": "status", "status": 403, "times": None, **fault}])
    (part,) = both.apply()
    assert part.result == "error"
    assert "403" in part.reason
    versions_served(world, "1") if service is both.service else None  # the first resource serves
    assert list(both.west.endpoints.list()) == []
    service.tell(faults=[])
    assert [one.result for one in both.apply()] == ["served"]
    both.serves("1")
    assert len(both.copies()) == 1
    assert world.tag("speech.copy.west", "1") is None


@pytest.mark.slow
def test_a_copy_whose_answer_was_lost_is_found(both: Both) -> None:
    world = both.world
    world.register()
    world.move("1")
    world.apply(target=TARGET)
    world.service.tell(faults=[{"kind": "lost", "method": "POST", "path": "/models/.+:copy", "times": 1}])
    both.apply()
    assert world.service.tell() == 1  # request that met the fault
    world.service.tell(faults=[])
    both.apply()
    both.serves("1")
    assert len(both.copies()) == 1


@pytest.mark.slow
def test_a_process_that_died_between_copy_and_note_is_taken_over(both: Both) -> None:
    world = both.world
    world.register()
    world.move("1")
    both.apply()
    world.client.delete_model_version_tag(NAME, "1", f"{tags.MODEL_ID}.west")
    world.client.set_model_version_tag(NAME, "1", "speech.copy.west", "asked")
    both.apply()
    both.serves("1")
    assert len(both.copies()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("point", ["copy:asked", "copy:begun", "copy:made", "after:copy"])
def test_a_process_killed_at_any_point_of_copying_is_followed_without_a_second_copy(
    both: Both, tmp_path: Path, point: str
) -> None:
    world = both.world
    world.speech.resource = world.service.address["url"].partition("://")[2]  # as the command calls it
    world.register()
    world.move("1")
    apply = both.command(tmp_path)
    killed = apply("apply", NAME, code=-signal.SIGKILL, SPEECH_MLFLOW_CRASH_AT=point)
    assert killed == ""
    assert world.tag(tags.SERVED_VERSION) == "1"
    assert [one["result"] for one in json.loads(apply("apply", NAME))] == ["unchanged", "served"]
    both.serves("1")
    assert len(both.copies()) == 1


@pytest.mark.slow
def test_a_region_whose_probe_fails_is_held_there_and_serves_elsewhere(both: Both, tmp_path: Path) -> None:
    from tests.emulator.tone_plugin.tone_engine import speak

    world = both.world
    recording = tmp_path / "probe.wav"
    recording.write_bytes(speak("call aspirin"))
    probe = {"recordings": [{"audio": str(recording), "text": "call aspirin"}], "max_wer": 0.0}
    target = Target.declared({"regions": ["west"], "probe": probe})
    world.register()
    world.move("1")
    both.service.tell(faults=[{"kind": "status", "status": 400, "path": "/recognition/", "times": None}])
    (part,) = both.regions.apply(world.client, world.apply(target=target))
    assert part.result == "failed"
    assert "refused a recording of the probe" in part.reason
    versions_served(world, "1")
    assert world.tag(tags.HOLD, "1") is None
    assert "refused a recording" in str(world.tag(f"{tags.HOLD}.west", "1"))
    assert world.tag(f"{tags.ENDPOINT_ID}.west") is None
    both.service.tell(faults=[])
    (part,) = both.regions.apply(world.client, world.apply(target=target))
    assert part.result == "blocked"
    world.client.delete_model_version_tag(NAME, "1", f"{tags.HOLD}.west")
    (part,) = both.regions.apply(world.client, world.apply(target=target))
    assert part.result == "served"
    both.serves("1")


def test_what_the_first_resource_refuses_goes_to_no_region(both: Both) -> None:
    world = both.world
    world.register()
    world.move("1")
    both.apply()
    broken = world.add_version(NAME, world.service.broken)
    world.move(broken)
    (part,) = both.apply()
    assert (part.result, part.reason) == ("waiting", f"waits until version {broken} is served by the first resource")
    both.serves("1")
    assert len(both.copies()) == 1


@pytest.mark.slow
def test_the_controller_serves_regions_heals_them_and_survives_one_that_is_down(both: Both) -> None:
    world, heard = both.world, []
    world.register()
    world.client.set_registered_model_tag(NAME, "speech.target.regions", '["west"]')
    world.move("1")

    def run_until(kind: str) -> None:
        def hear(event: PromotionEvent) -> None:
            heard.append(event)
            if event.kind == kind:
                controller.stop()

        controller = Controller(
            world.speech, world.client, lambda name: Target(), options=Options(on_event=hear), regions=both.regions
        )
        controller.run()

    run_until("idle")
    both.serves("1")
    assert {(event.kind, event.target) for event in heard} >= {("served", "default"), ("served", "west")}
    (endpoint,) = both.west.endpoints.list()
    world.move("2")
    run_until("idle")
    both.serves("2")
    other = next(one.id for one in both.copies() if one.id != world.tag(f"{tags.MODEL_ID}.west", "2"))
    both.west.wait(both.west.endpoints.update(endpoint.id, model=other))
    run_until("idle")
    both.serves("2")
    both.service.tell(faults=[{"kind": "status", "status": 403, "path": "/.*", "times": None}])
    world.move("3")
    run_until("error")
    versions_served(world, "3")
    assert "west" in heard[-1].reason
    both.service.tell(faults=[])
    run_until("idle")
    both.serves("3")


@pytest.mark.slow
def test_a_region_that_another_process_works_on_is_waited_for_without_an_error(both: Both) -> None:
    world = both.world
    world.register()
    world.move("1")
    assert world.apply().result == "served"
    world.events.clear()
    claim = acquire(world.client, world.experiment, f"{NAME}/west", ttl=600.0)
    options = Options(on_event=world.events.append)
    controller = Controller(world.speech, world.client, lambda name: TARGET, options=options, regions=both.regions)
    thread = threading.Thread(target=controller.run)
    thread.start()
    try:
        until(
            lambda: controller.counts.results.get("unchanged", 0) > 1
        )  # the first resource, whenever the region was asked for
        assert world.events == []
        claim.release()
        until(lambda: "idle" in kinds(world.events))
    finally:
        controller.stop()
        thread.join(60)
    both.serves("1")
    assert controller.counts.results["served"] == controller.counts.told["served"] == 1
    assert "error" not in kinds(world.events)


def test_a_region_that_does_not_answer_hides_no_other_and_is_asked_once(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    world = both.world
    for name in (NAME, "another"):
        world.register(name)
        world.move("1", name)
    values = {**both.values["resources"], "gone": {"endpoint": "https://w", "key_variable": "SPEECH_MLFLOW_TEST_NO_SUCH_KEY"}}
    target = Target(regions=("gone", "west"))
    with Regions(Settings.model_validate({**both.values, "resources": values}), world.speech) as regions:
        plans = [regions.compare(registry.read(world.client, name), target) for name in (NAME, "another")]
    assert [[(one.target.region, one.changes) for one in each] for each in plans] == [[("west", True)]] * 2
    assert len([record for record in caplog.records if "region gone cannot be compared" in record.getMessage()]) == 1


def test_regions_without_a_resource_and_keys_that_are_missing_are_named(world: World) -> None:
    values = {
        "targets": {NAME: {"regions": ["wset"]}},
        "resources": {"west": {"endpoint": "https://w.cognitiveservices.azure.com"}},
    }
    with pytest.raises(SettingsError, match=r"targets\.clinic: wset"):
        unknown_regions(Settings.model_validate(values))
    values["resources"]["west"]["key_variable"] = "SPEECH_MLFLOW_TEST_NO_SUCH_KEY"  # type: ignore[index]
    settings = Settings.model_validate(values)
    with pytest.raises(SettingsError, match="SPEECH_MLFLOW_TEST_NO_SUCH_KEY is not set"):
        Regions(settings, world.speech).speech("west")
    secret = Settings.model_validate({"resources": {"west": {"endpoint": "https://w", "key": "canary-88"}}})
    assert "canary-88" not in repr(secret) + json.dumps(secret.model_dump(mode="json"))


@pytest.mark.slow
def test_a_resource_that_does_not_know_its_own_id_says_what_to_set(both: Both) -> None:
    world = both.world
    world.register()
    world.move("1")
    settings = Settings.model_validate({**both.values, "resource_id": None})
    with Regions(settings, world.speech) as regions:
        (part,) = regions.apply(world.client, world.apply(target=TARGET))
    assert part.result == "error"
    assert "Azure resource id" in part.reason
    assert both.copies() == []


@pytest.mark.slow
def test_a_deployment_is_made_and_deleted_in_both(both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = both.world
    world.speech.resource = world.service.address["url"].partition("://")[2]  # as the settings' own connection calls it
    world.register()
    world.client.set_registered_model_tag(NAME, "speech.target.regions", '["west"]')
    (tmp_path / "speech-mlflow.toml").write_text(
        f'resource_id = "{both.values["resource_id"]}"\n'
        f'[resources.west]\nendpoint = "{both.service.address["url"]}"\nkey_variable = "WEST_KEY"\n',
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPEECH_MLFLOW_ENDPOINT", world.service.address["url"])
    monkeypatch.setenv("SPEECH_MLFLOW_KEY", world.service.address["key"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.client.tracking_uri)
    monkeypatch.setenv("WEST_KEY", "wrong")
    client = get_deploy_client("speech")
    with pytest.raises(MlflowException, match="served by the first resource, and not everywhere: west: error"):
        client.create_deployment(NAME, f"models:/{NAME}/1")
    monkeypatch.setenv("WEST_KEY", both.service.address["key"])
    assert client.update_deployment(NAME)["regions"] == ["west"]
    both.serves("1")
    client.delete_deployment(NAME)
    assert world.endpoints() == []
    assert list(both.west.endpoints.list()) == []
    assert world.tag(f"{tags.ENDPOINT_ID}.west") is None


@pytest.mark.slow
def test_the_commands_show_both_and_exit_with_1_where_one_failed(both: Both, tmp_path: Path) -> None:
    world = both.world
    world.speech.resource = world.service.address["url"].partition("://")[2]  # as the settings' own connection calls it
    world.register()
    command = both.command(tmp_path)

    def run(*words: str, **more: Any) -> Any:
        return json.loads(command(*words, **more))

    main, west = run("promote", f"{NAME}/1", code=1, WEST_KEY="wrong")
    assert (main["result"], west["region"], west["result"]) == ("served", "west", "error")
    assert run("plan", NAME)["regions"][0]["changes"]
    assert [one["result"] for one in run("apply", NAME)] == ["unchanged", "served"]
    both.serves("1")
    assert not run("plan", NAME, "--exit-code")["regions"][0]["changes"]
