"""Which version is to be served: over records, and over a real registry."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from speech_mlflow.errors import PromotionError
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.desired import desired_of, resolve
from speech_mlflow.promotion.records import Registered, Version
from tests.fixtures.mlflow import MlflowStore


def records(*versions: tuple[str, str, int], updated: int = 0, aliases: dict[str, str] | None = None) -> Registered:
    found = tuple(Version(number, stage, moved) for number, stage, moved in versions)
    return Registered("clinic", updated, aliases or {}, {}, found)


def test_one_version_in_production_is_served() -> None:
    desired = desired_of(records(("1", "Archived", 5), ("2", "Production", 3), ("3", "Staging", 9), updated=9))
    assert (desired.version, desired.state) == ("2", "served")


def test_nothing_in_production_is_none() -> None:
    desired = desired_of(records(("1", "Archived", 5), ("2", "None", 3)))
    assert (desired.version, desired.state) == (None, "none")


def test_of_two_in_production_the_one_moved_last_is_served() -> None:
    desired = desired_of(records(("3", "Production", 10), ("2", "Production", 20), updated=20))
    assert (desired.version, desired.state) == ("2", "served")
    assert "versions 2 and 3" in desired.reason


@pytest.mark.parametrize("updated", [15, 30])
def test_of_two_in_production_none_moved_last_is_ambiguous(updated: int) -> None:
    desired = desired_of(records(("3", "Production", 10), ("2", "Production", 20), updated=updated))
    assert (desired.version, desired.state) == (None, "ambiguous")


def test_two_moved_in_the_same_millisecond_are_ambiguous() -> None:
    desired = desired_of(records(("3", "Production", 20), ("2", "Production", 20), updated=20))
    assert desired.state == "ambiguous"


def test_versions_are_ordered_by_number_in_messages() -> None:
    desired = desired_of(records(("10", "Production", 1), ("9", "Production", 2), updated=3))
    assert "versions 9 and 10" in desired.reason


def test_alias_trigger_ignores_stages_and_says_so() -> None:
    model = records(("1", "Production", 5), ("2", "None", 5), updated=5, aliases={"production": "2"})
    by_alias, by_stage = desired_of(model, "alias"), desired_of(model, "stage")
    assert (by_alias.version, by_stage.version) == ("2", "1")
    assert by_alias.notes
    assert by_stage.notes


def test_a_tag_of_the_registered_model_names_the_version_where_it_is_the_trigger() -> None:
    model = replace(
        records(("1", "Production", 5), ("2", "None", 5), aliases={"Production": "1"}), tags={"speech.production": "2"}
    )
    desired = desired_of(model, "tag")
    assert (desired.version, desired.reason) == ("2", "the tag speech.production names version 2")
    assert desired.notes == ("version 1 is in stage Production, which is not what deploys here: the tag is",)
    none = desired_of(replace(model, tags={}), "tag")
    assert (none.state, none.reason) == ("none", "clinic has no tag speech.production")
    assert len(none.notes) == 1


def test_alias_that_names_no_version_or_is_spelt_otherwise_is_none() -> None:
    assert desired_of(records(("1", "Production", 5), aliases={"production": "7"}), "alias").state == "none"
    other = desired_of(records(("1", "None", 5), aliases={"Production": "1"}), "alias")
    assert other.state == "none"
    assert "Production" in other.notes[0]


# --- a real registry ---------------------------------------------------------------------------------------------------


@pytest.fixture
def client(mlflow_store: MlflowStore) -> MlflowClient:
    client = mlflow_store.client
    client.create_registered_model("clinic")
    for number in range(1, 4):
        client.create_model_version("clinic", source=f"azure-speech://resource/models/{number}")
    return client


def move(client: MlflowClient, number: str, *, archive: bool = False) -> None:
    time.sleep(0.005)  # the registry's times are whole milliseconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        client.transition_model_version_stage("clinic", number, "Production", archive_existing_versions=archive)


def test_moving_back_without_archiving_is_seen(client: MlflowClient) -> None:
    move(client, "3")
    move(client, "2")
    assert resolve(client, "clinic").version == "2"
    # what MLflow itself would say
    latest = {version.current_stage: version.version for version in client.get_registered_model("clinic").latest_versions}
    assert str(latest["Production"]) == "3"


def test_an_edited_description_changes_nothing(client: MlflowClient) -> None:
    move(client, "3")
    move(client, "2")
    time.sleep(0.005)
    client.update_model_version("clinic", "3", description="edited")
    client.set_model_version_tag("clinic", "3", "note", "edited")
    assert resolve(client, "clinic").version == "2"


def test_an_edit_of_what_was_moved_last_is_ambiguous_and_never_another_version(client: MlflowClient) -> None:
    move(client, "3")
    move(client, "2")
    time.sleep(0.005)
    client.update_model_version("clinic", "2", description="edited")
    desired = resolve(client, "clinic")
    assert (desired.version, desired.state) == (None, "ambiguous")


def test_a_new_version_leaves_the_two_ambiguous(client: MlflowClient) -> None:
    move(client, "3")
    move(client, "2")
    time.sleep(0.005)
    client.create_model_version("clinic", source="azure-speech://resource/models/4")
    assert resolve(client, "clinic").state == "ambiguous"


def test_our_own_move_archives_the_others(client: MlflowClient) -> None:
    move(client, "3")
    move(client, "2")
    registry.move_to_production(client, "clinic", "1")  # FutureWarnings are errors here: none comes out
    model = registry.read(client, "clinic")
    assert {version.number: version.stage for version in model.versions} == {
        "1": "Production",
        "2": "Archived",
        "3": "Archived",
    }
    assert desired_of(model).version == "1"


def test_a_deleted_production_version_leaves_the_other(client: MlflowClient) -> None:
    move(client, "3")
    move(client, "2")
    client.delete_model_version("clinic", "2")
    assert resolve(client, "clinic").version == "3"


def test_alias_is_read_with_its_version(client: MlflowClient) -> None:
    client.set_registered_model_alias("clinic", "production", "1")
    assert resolve(client, "clinic", trigger="alias").version == "1"
    client.delete_registered_model_alias("clinic", "production")
    assert resolve(client, "clinic", trigger="alias").state == "none"


def test_poll_marks_change_with_stage_and_alias_only(client: MlflowClient) -> None:
    before = registry.poll(client)
    client.set_model_version_tag("clinic", "1", "note", "x")
    client.update_model_version("clinic", "1", description="x")
    assert registry.poll(client) == before
    client.set_registered_model_alias("clinic", "production", "1")
    with_alias = registry.poll(client)
    assert with_alias != before
    move(client, "3")
    assert registry.poll(client) != with_alias


@pytest.mark.parametrize("name", ["it's", 'say "a"', 'it\'s "a"'])
def test_names_with_quotation_marks_are_read(mlflow_store: MlflowStore, name: str) -> None:
    client = mlflow_store.client
    for registered in (name, "other"):
        client.create_registered_model(registered)
        client.create_model_version(registered, source="azure-speech://resource/models/1")
    model = registry.read(client, name)
    assert [version.number for version in model.versions] == ["1"]


def test_a_model_that_is_not_there_is_named(mlflow_store: MlflowStore) -> None:
    with pytest.raises(PromotionError, match="'nothing'"):
        resolve(mlflow_store.client, "nothing")
