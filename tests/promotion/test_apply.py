"""Applying: what is served after it, seen from outside."""

from __future__ import annotations

from speech_mlflow.promotion.target import Target
from tests.promotion.world import World, kinds, versions_served


def test_a_first_promotion_makes_one_endpoint_and_notes_it_everywhere(world: World) -> None:
    world.register()
    world.move("1")
    applied = world.apply()
    assert applied.result == "served"
    versions_served(world, "1")
    assert kinds(world.events) == ["served"]
    (run,) = world.runs()
    measured = {name for name in run.data.metrics if name.startswith("seconds")}
    assert measured >= {"seconds.gates", "seconds.write", "seconds.deploy"}
    assert "seconds.probe" not in measured  # the target has none


def test_a_second_promotion_changes_the_endpoint_in_place(world: World) -> None:
    world.register()
    world.move("1")
    first = world.apply()
    world.move("2")
    second = world.apply()
    assert second.endpoint_id == first.endpoint_id
    versions_served(world, "2")


def test_moving_back_serves_the_old_version_again(world: World) -> None:
    world.register()
    for version in ("1", "2", "1"):
        world.move(version)
        world.apply()
    versions_served(world, "1")
    assert world.results() == ["served", "served", "served"]


def test_nothing_new_writes_nothing(world: World) -> None:
    world.register()
    world.move("1")
    world.apply()
    before = (world.endpoint().to_json(), len(world.runs()), world.client.get_registered_model("clinic").tags)
    for _ in range(3):
        assert world.apply().result == "unchanged"
    assert (world.endpoint().to_json(), len(world.runs()), world.client.get_registered_model("clinic").tags) == before


def test_nothing_in_production_keeps_what_is_served(world: World) -> None:
    world.register()
    world.move("1")
    world.apply()
    world.client.delete_registered_model_tag("clinic", "nothing")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        world.client.transition_model_version_stage("clinic", "1", "Archived")
    applied = world.apply()
    assert applied.result == "unchanged"
    assert world.hears(world.endpoint().id) == 0


def test_ambiguous_keeps_what_is_served(world: World) -> None:
    world.register()
    world.move("1")
    world.apply()
    world.move("2", archive=False)
    world.client.update_model_version("clinic", "2", description="edited")
    applied = world.apply()
    assert (applied.result, applied.plan.desired.state) == ("unchanged", "ambiguous")
    assert world.hears(world.endpoint().id) == 0


def test_the_alias_deploys_too(world: World) -> None:
    world.register()
    world.client.set_registered_model_alias("clinic", "production", "2")
    world.apply(target=Target(trigger="alias"))
    versions_served(world, "2")
