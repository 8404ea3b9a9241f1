"""What is left over at the service, and taking a model out of service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.errors import PromotionError
from speech_mlflow.promotion import journal
from speech_mlflow.promotion.claim import claimed
from speech_mlflow.promotion.retire import Leftover, leftovers, prune
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.withdraw import withdraw
from speech_mlflow.service import filters
from speech_mlflow.service.upload import upload_dataset
from speech_mlflow.tracking import tags
from tests.promotion.world import NAME, World, kinds, versions_served


@pytest.fixture(autouse=True)
def nothing_of_others(world: World) -> None:
    """The service is that of all tests of the session, some of which train models: here what is left over is counted."""
    for model in list(world.speech.models.list()):
        if model.id not in {*world.models, world.service.broken}:
            world.speech.models.delete(model)


def found(world: World, name: str | None = None) -> list[Leftover]:
    return leftovers(world.speech, world.client, lambda name: [Target()], name)


def pruned(world: World) -> list[Leftover]:
    return prune(world.speech, world.client, lambda name: [Target()], found(world))


def served(world: World, version: str = "1") -> str:
    world.register()
    world.move(version)
    assert world.apply().result == "served"
    return world.endpoint().id


def endpoint(world: World, *, uid: str | None, name: str = NAME, **properties: str) -> str:
    mark = {"managed-by": "speech-mlflow", "speech-uid": uid or "0" * 32, **properties}
    made = world.speech.endpoints.create(
        display_name=f"speech-mlflow/{name}/default", locale="en-US", model=world.models[2], custom_properties=mark
    )
    return world.speech.wait(made).id


def train(world: World, name: str, **properties: str) -> str:
    """A small model of the service with these customProperties."""
    text = world.service.directory / "retire.txt"
    text.write_text("please call again\n", "utf-8-sig")
    data = upload_dataset(world.speech, text, kind="Language", locale="en-US", display_name=name, fingerprint="9" * 64)
    made = world.speech.models.create(
        display_name=name, locale="en-US", datasets=[data.id], custom_properties={"managed-by": "speech-mlflow", **properties}
    )
    return world.speech.wait(made).id


def test_a_duplicate_is_listed_and_deleted_and_what_serves_is_neither(world: World) -> None:
    serving = served(world)
    duplicate = endpoint(world, uid=world.tag(tags.UID))
    foreign = world.speech.wait(
        world.speech.endpoints.create(display_name=f"speech-mlflow/{NAME}/default", locale="en-US", model=world.models[2])
    ).id
    assert [(one.kind, one.id, one.kept) for one in found(world)] == [("endpoint", duplicate, None)]
    (gone,) = pruned(world)
    assert gone.deleted
    assert {one.id for one in world.speech.endpoints.list()} == {serving, foreign}
    versions_served(world, "1")
    assert world.results() == ["served", "retired"]
    assert pruned(world) == []


def test_an_endpoint_of_another_mlflow_is_listed_and_stays(world: World) -> None:
    served(world)
    theirs = endpoint(world, uid="f" * 32, **{"registered-model": "their-model", "mlflow-run-id": "0" * 32})
    (listed,) = found(world)
    assert (listed.id, listed.registered_model) == (theirs, "their-model")
    assert "another one's" in str(listed.kept)
    assert not pruned(world)[0].deleted
    assert world.speech.endpoints.get(theirs).status == "Succeeded"
    assert found(world, NAME) == []


def test_the_endpoint_of_a_deleted_registered_model_is_proven_by_its_run(world: World) -> None:
    serving = served(world)
    world.client.delete_registered_model(NAME)
    (listed,) = found(world)
    assert (listed.id, listed.kept) == (serving, None)
    assert pruned(world)[0].deleted
    assert list(world.speech.endpoints.list()) == []


def test_an_endpoint_that_is_named_only_by_a_tag_stays(world: World) -> None:
    """Nothing is in Production any more: what is served stays, and so does a region's that no file declares here."""
    serving = served(world)
    world.client.delete_registered_model_tag(NAME, tags.ENDPOINT_ID)
    world.client.set_registered_model_tag(NAME, f"{tags.ENDPOINT_ID}.west", serving)
    world.client.delete_registered_model_tag(NAME, tags.SERVED_VERSION)
    assert found(world) == []


def test_what_is_named_again_in_between_stays(world: World) -> None:
    served(world)
    duplicate = endpoint(world, uid=world.tag(tags.UID))
    listed = found(world)
    world.client.set_registered_model_tag(NAME, f"{tags.ENDPOINT_ID}.west", duplicate)
    (kept,) = prune(world.speech, world.client, lambda name: [Target()], listed)
    assert not kept.deleted
    assert "speech.endpoint_id.west" in str(kept.kept)
    with claimed(world.client, journal.experiment(world.client), f"{NAME}/default"):
        world.client.delete_registered_model_tag(NAME, f"{tags.ENDPOINT_ID}.west")
        (kept,) = prune(world.speech, world.client, lambda name: [Target()], listed)
        assert "worked on by" in str(kept.kept)
    assert world.speech.endpoints.get(duplicate).status == "Succeeded"


def test_models_that_no_version_names_are_listed_and_deleted(world: World) -> None:
    serving = served(world)
    run = world.client.create_run("0", tags={"speech.kind": "train"})
    mine = {"registered-model": NAME, "mlflow-run-id": run.info.run_id}
    dropped = train(world, "dropped", **mine)
    try:
        (listed,) = found(world)
        assert (listed.kind, listed.id) == ("model", dropped)
        assert "is not finished" in str(listed.kept)
        world.client.set_terminated(run.info.run_id)
        named = world.add_version(NAME, dropped)
        assert found(world) == []
        world.client.delete_model_version(NAME, named)
        assert pruned(world)[0].deleted
        assert list(world.speech.models.list(filter=filters.eq("displayName", "dropped"))) == []
        assert {one.id for one in world.speech.models.list()} >= set(world.models)  # nobody's mark: not ours
        assert world.speech.endpoints.get(serving).status == "Succeeded"
    finally:
        world.speech.models.delete(dropped)


def test_a_model_that_an_endpoint_serves_stays(world: World) -> None:
    """Somebody else's endpoint has it."""
    run = world.client.create_run("0", tags={"speech.kind": "train"})
    world.client.set_terminated(run.info.run_id)
    model = train(world, "held", **{"registered-model": NAME, "mlflow-run-id": run.info.run_id})
    made = world.speech.endpoints.create(display_name="by hand", locale="en-US", model=model)
    try:
        assert found(world) == []
    finally:
        world.speech.wait(made)
        world.speech.endpoints.delete(made.id)
        assert pruned(world)[0].deleted


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before:delete", "after:delete"])
def test_a_process_that_dies_while_it_prunes_is_finished_by_the_next_one(world: World, tmp_path: Path, point: str) -> None:
    world.speech.resource = world.service.address["url"].partition("://")[2]  # as the command calls it
    serving = served(world)
    duplicate = endpoint(world, uid=world.tag(tags.UID))

    def retire(*more: str, code: int = 0, **environ: str) -> Any:
        settings = {
            "SPEECH_MLFLOW_ENDPOINT": world.service.address["url"],
            "SPEECH_MLFLOW_KEY": world.service.address["key"],
            "SPEECH_MLFLOW_TRACKING_URI": world.client.tracking_uri,
        }
        command = [sys.executable, "-m", "speech_mlflow", "retire", *more, "--json"]
        variables = {**os.environ, **settings, **environ}
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    if point == "before:delete":
        assert f"--prune would delete endpoint {duplicate}" in retire("--prune", code=2)
        assert [one["id"] for one in retire(NAME)] == [duplicate]
    retire("--prune", "--yes", code=-signal.SIGKILL, SPEECH_MLFLOW_CRASH_AT=point)
    assert ({one.id for one in world.speech.endpoints.list()} == {serving}) is (point == "after:delete")
    assert [one["deleted"] for one in retire("--prune", "--yes")] == [True] * (point == "before:delete")
    assert {one.id for one in world.speech.endpoints.list()} == {serving}
    world.apply()  # the next one closes the run of the process that died, and tells of it
    versions_served(world, "1")


# --- withdrawing ----------------------------------------------------------------------------------------------------------


def test_a_withdrawn_model_is_served_no_more_and_may_come_back(world: World) -> None:
    serving = served(world)
    assert withdraw(world.speech, world.client, NAME) == serving
    assert world.endpoints() == []
    assert world.client.get_model_version(NAME, "1").current_stage == "Archived"
    assert world.tag(tags.ENDPOINT_ID) is None
    assert world.tag(tags.ENDPOINT_ID, "1") is None
    assert world.apply().result == "unchanged"
    assert withdraw(world.speech, world.client, NAME) is None
    world.move("2")
    assert world.apply().result == "served"
    versions_served(world, "2")


def test_an_endpoint_left_by_a_process_that_died_while_withdrawing_is_found(world: World) -> None:
    serving = served(world)
    world.service.tell(faults=[{"kind": "status", "status": 403, "method": "DELETE", "path": "/endpoints/.+", "times": None}])
    with pytest.raises(Exception, match="403"):
        withdraw(world.speech, world.client, NAME)
    assert world.speech.endpoints.get(serving).status == "Succeeded"
    world.service.tell(faults=[])
    assert [(one.id, one.kept) for one in found(world)] == [(serving, None)]
    assert world.results() == ["served", "failed"]
    run = world.runs()[-1]  # as a killed process leaves it
    world.client.set_tag(run.info.run_id, "speech.open", "true")
    world.client.delete_tag(run.info.run_id, "speech.result")
    assert withdraw(world.speech, world.client, NAME) == serving
    assert world.endpoints() == []
    assert world.apply().result == "unchanged"  # and closes what was left open
    assert world.results() == ["served", "interrupted", "retired"]
    assert {run.data.tags["speech.open"] for run in world.runs()} == {"false"}


def test_an_endpoint_that_was_taken_over_is_not_deleted(world: World) -> None:
    world.register()
    theirs = world.speech.wait(world.speech.endpoints.create(display_name="theirs", locale="en-US", model=world.models[0])).id
    world.move("2")
    target = Target(endpoint_id=theirs)
    assert world.apply(target=target).result == "served"
    with pytest.raises(PromotionError, match="not made here"):
        withdraw(world.speech, world.client, NAME, target)
    assert world.client.get_model_version(NAME, "2").current_stage == "Production"
    assert world.hears(theirs) == 1
    assert kinds(world.events) == ["served"]
