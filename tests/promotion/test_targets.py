"""Targets: what the settings say, and what tags on the registered model add."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.errors import GateError, SettingsError
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import plan_for, promote, rollback, target_of
from speech_mlflow.promotion.withdraw import withdraw
from speech_mlflow.settings import Settings
from tests.promotion.world import NAME, World, versions_served


def test_a_tag_says_what_the_settings_do_not() -> None:
    declared = Target.declared({"max_wer": 0.2})
    tagged = declared.with_tags(
        {
            "speech.target.max_wer": "0.9",
            "speech.target.test_dataset": "clinic-test",
            "speech.target.approval": "true",
            "x": "y",
        }
    )
    assert (tagged.max_wer, tagged.test_dataset, tagged.approval) == (0.2, "clinic-test", True)
    assert tagged.with_tags({}) == tagged
    assert declared.with_tags({"speech.uid": "abc"}) == declared


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("max_wre", "0.2", "max_wre"),
        ("margin", "[" * 4000, "margin"),
        ("max_wer", "low", "max_wer"),
        ("probe", "{}", "probe"),
        ("name", '"x"', "name"),
    ],
)
def test_a_wrong_tag_is_named(key: str, value: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Target().with_tags({f"speech.target.{key}": value})


def test_the_trigger_of_all_models_stands_before_a_tag_and_the_default_does_not(tmp_path: Path) -> None:
    tags = {"speech.target.trigger": "alias"}
    assert target_of(Settings.load(environ={}, directory=tmp_path), "m").with_tags(tags).trigger == "alias"
    chosen = Settings.load(environ={"SPEECH_MLFLOW_TRIGGER": "stage"}, directory=tmp_path)
    assert target_of(chosen, "m").with_tags(tags).trigger == "stage"


def test_tags_on_the_registered_model_decide_what_serves_it(world: World) -> None:
    world.register()
    world.client.set_registered_model_tag(NAME, "speech.target.trigger", "alias")
    world.move("1")
    assert not plan_for(world.speech, world.client, NAME).changes  # the alias deploys here, and there is none
    world.client.set_registered_model_alias(NAME, "production", "2")
    assert world.apply().result == "served"
    versions_served(world, "2")
    world.client.set_registered_model_tag(NAME, "speech.target.approval", "true")
    with pytest.raises(GateError, match=r"speech\.approved_by"):
        promote(world.speech, world.client, NAME, "3")
    versions_served(world, "2")


def test_a_tag_deploys_rolls_back_and_is_taken_off_where_it_is_the_trigger(world: World) -> None:
    world.register()
    target = Target(trigger="tag")
    before = registry.poll(world.client)
    world.client.set_registered_model_tag(NAME, "speech.production", "2")
    assert registry.poll(world.client) != before, "a poll shows it"
    assert world.apply(target=target).result == "served"
    versions_served(world, "2")
    assert promote(world.speech, world.client, NAME, "1", target).served
    assert world.tag("speech.production") == "1"
    assert rollback(world.speech, world.client, NAME, target).version == "2"
    versions_served(world, "2")
    withdraw(world.speech, world.client, NAME, target)
    assert world.tag("speech.production") is None
    assert world.endpoints() == []


def test_who_trained_a_version_cannot_approve_it(world: World) -> None:
    """MLflow keeps no user on versions: the author is the user of the training run."""
    world.register(versions=0)
    run = world.client.create_run("0", tags={"mlflow.user": "ann"})
    version = world.add_version(NAME, world.models[0], **{"speech.train_run_id": run.info.run_id})
    target = Target(approval=True)
    for by, said in (("ann", "who made version 1"), ("Bob", None)):
        world.client.set_model_version_tag(NAME, version, "speech.approved_by", by)
        if said:
            with pytest.raises(GateError, match=said):
                promote(world.speech, world.client, NAME, version, target)
            assert world.endpoints() == []
    assert promote(world.speech, world.client, NAME, version, target).served
