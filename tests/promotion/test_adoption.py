"""An endpoint that was there before us: taken over where the configuration names it, and never written to where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.errors import PromotionError
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import plan_for, target_of
from speech_mlflow.service.entities import Endpoint
from speech_mlflow.settings import Settings
from speech_mlflow.tracking import tags
from tests.promotion.world import NAME, World


def foreign(world: World, name: str = "dictation", **properties: str) -> Endpoint:
    """An endpoint that somebody made in Speech Studio, which serves a model of theirs."""
    given: dict[str, Any] = {"custom_properties": {"owner": "the clinic", **properties}, "description": "by hand"}
    made = world.speech.endpoints.create(display_name=name, locale="en-US", model=world.models[2], **given)
    return world.speech.wait(made)


def declared(endpoint_id: str, folder: Path) -> Target:
    """The target as speech-mlflow.toml names it."""
    (folder / "speech-mlflow.toml").write_text(f'[targets.{NAME}]\nendpoint_id = "{endpoint_id}"\n')
    return target_of(Settings.load(environ={}, directory=folder), NAME)


def test_an_endpoint_named_in_the_configuration_is_taken_over_and_keeps_its_id(world: World, tmp_path: Path) -> None:
    theirs = foreign(world)
    world.register()
    world.move("1")
    target = declared(theirs.id, tmp_path)
    assert theirs.id in plan_for(world.speech, world.client, NAME, target).render()
    applied = world.apply(target=target)
    assert (applied.result, applied.endpoint_id) == ("served", theirs.id)
    assert [one.id for one in world.speech.endpoints.list()] == [theirs.id], "none was made"
    now = world.speech.endpoints.get(theirs)
    assert (now.display_name, now.description) == ("dictation", "by hand")
    properties = now.custom_properties or {}
    assert properties["owner"] == "the clinic", "what they noted on it stays"
    assert properties["managed-by"] == "speech-mlflow"
    assert world.hears(theirs.id) == 0
    assert world.tag(tags.ENDPOINT_ID) == theirs.id
    assert world.apply(target=target).result == "unchanged"

    world.move("2")
    assert world.apply(target=target).endpoint_id == theirs.id
    assert world.hears(theirs.id) == 1
    world.move("1")
    assert world.apply().endpoint_id == theirs.id, "it is ours from then on, and published in the registry"
    assert world.hears(theirs.id) == 0
    assert [one.id for one in world.speech.endpoints.list()] == [theirs.id]


def test_one_that_is_taken_over_gets_its_model_back_where_the_version_does_not_work(world: World, tmp_path: Path) -> None:
    theirs = foreign(world)
    before = dict(world.speech.endpoints.get(theirs).custom_properties or {})
    world.register()
    broken = world.add_version(NAME, world.service.broken)
    world.move(broken)
    target = declared(theirs.id, tmp_path)
    applied = world.apply(target=target)
    assert applied.result == "rolled back"
    assert f"model {world.models[2]} is served again" in applied.reason
    assert world.hears(theirs.id) == 2
    assert world.speech.endpoints.get(theirs).custom_properties == before, "and it is nobody's but theirs"
    assert world.tag(tags.ENDPOINT_ID) is None
    assert world.apply(target=target).result == "blocked"


@pytest.mark.parametrize(("noted", "taken"), [(5, True), (9, False)])
def test_what_others_noted_on_it_is_kept_or_it_is_not_taken(world: World, noted: int, taken: bool, tmp_path: Path) -> None:
    """The service takes ten properties in all; ours give way as far as they can."""
    theirs = foreign(world, **{f"note-{number}": "kept" for number in range(noted - 2)})  # beside owner and create-id
    before = dict(world.speech.endpoints.get(theirs).custom_properties or {})
    assert len(before) == noted
    world.register()
    world.move("1")
    target = declared(theirs.id, tmp_path)
    if taken:
        assert world.apply(target=target).result == "served"
    else:
        with pytest.raises(PromotionError, match="9 custom properties of its own"):
            world.apply(target=target)
        assert world.results() == ["failed"]
    now = world.speech.endpoints.get(theirs).custom_properties or {}
    assert before.items() <= now.items()
    assert ("managed-by" in now) is taken


@pytest.mark.parametrize("trap", ["its name", "the registry's tag", "both"])
def test_without_it_a_foreign_endpoint_is_never_written(world: World, trap: str) -> None:
    """Neither the name that ours would have, nor a tag that somebody wrote in the registry, makes an endpoint ours."""
    theirs = foreign(world, f"speech-mlflow/{NAME}/default" if trap != "the registry's tag" else "dictation")
    before = world.speech.endpoints.get(theirs).to_json()
    world.register()
    if trap != "its name":
        world.client.set_registered_model_tag(NAME, tags.ENDPOINT_ID, theirs.id)
    for version in ("1", "2"):
        world.move(version)
        applied = world.apply()
        assert applied.result == "served"
        assert applied.endpoint_id != theirs.id
    assert world.speech.endpoints.get(theirs).to_json() == before
    assert world.hears(theirs.id) == 2
    assert world.hears(world.endpoint().id) == 1


def test_one_that_is_named_and_not_there_is_not_made_in_its_place(world: World, tmp_path: Path) -> None:
    world.register()
    world.move("1")
    target = declared("4e1b1c5e-1111-4111-8111-111111111111", tmp_path)
    applied = world.apply(target=target)
    assert applied.result == "blocked"
    assert "declared endpoint 4e1b1c5e-1111-4111-8111-111111111111 does not exist" in applied.reason
    assert list(world.speech.endpoints.list()) == []
