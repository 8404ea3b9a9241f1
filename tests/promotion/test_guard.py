"""What the guard in an MLflow server says of a move to Production, by what a real registry holds."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from mlflow import MlflowClient

from speech_mlflow import hookimpl
from speech_mlflow.plugins import create_manager
from speech_mlflow.promotion.guard import Move, refusal
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags
from tests.fixtures.mlflow import MlflowStore

NAME = "clinic"
STRICT = Target(test_dataset="calls", max_wer=0.3)


@pytest.fixture
def client(mlflow_store: MlflowStore) -> MlflowClient:
    """Two speech versions without a test, and a model that is none of ours."""
    client = mlflow_store.client
    client.create_registered_model(NAME, tags={tags.UID: "u", tags.LOCALE: "en-US"})
    for number in (1, 2):
        noted = {tags.MODEL_ID: f"m{number}", tags.LOCALE: "en-US"}
        client.create_model_version(NAME, source=f"azure-speech://models/m{number}", tags=noted)
    client.create_registered_model("churn")
    client.create_model_version("churn", source="azure-speech://models/x")
    return client


def said(client: MlflowClient, target: Target = STRICT, *, version: str = "1", name: str = NAME, **more: Any) -> str | None:
    return refusal(client, Move(name, version, more.pop("by", "stage")), target, **more)


@pytest.mark.parametrize(
    ("asked", "move"),
    [
        ({"name": "a", "version": "1", "stage": "Production"}, Move("a", "1", "stage")),
        ({"name": "a", "version": "1", "stage": "pRODUCTION"}, Move("a", "1", "stage")),
        ({"name": "a", "version": "1", "stage": "Staging"}, None),
        ({"name": "a", "version": 1, "stage": "Production"}, None),
        ({"name": ["a"], "version": "1", "stage": "Production"}, None),
        ({"version": "1", "stage": "Production"}, None),
        ({}, None),
    ],
)
def test_only_a_move_to_production_is_looked_at(asked: dict[str, object], move: Move | None) -> None:
    assert Move.of_stage(asked) == move


def test_only_the_alias_production_is_looked_at() -> None:
    assert Move.of_alias({"name": "a", "version": "1", "alias": "production"}) == Move("a", "1", "alias")
    assert Move.of_alias({"name": "a", "version": "1", "alias": "Production"}) is None
    assert Move.of_alias({"name": "a", "version": "1", "alias": "champion"}) is None
    assert Move.of_alias({"name": "a", "alias": "production"}) is None


def test_without_evidence_a_move_is_refused_with_every_reason_and_what_to_do(client: MlflowClient) -> None:
    reason = said(client)
    assert reason is not None
    assert "version 1 was not tested on calls" in reason
    assert "no word error rate of version 1 is known" in reason
    assert "speech-mlflow promote clinic/1 --override" in reason


def test_where_nothing_is_asked_for_nothing_is_refused(client: MlflowClient) -> None:
    assert said(client, Target()) is None


def test_other_peoples_models_and_what_is_not_there_pass(client: MlflowClient) -> None:
    assert said(client, name="churn") is None
    assert said(client, version="9") is None  # MLflow itself says that it is not there


def test_an_override_passes(client: MlflowClient) -> None:
    client.set_model_version_tag(NAME, "1", "speech.override", "needed (by ann)")
    assert said(client) is None
    assert said(client, version="2") is not None


def test_what_is_served_may_be_moved_again(client: MlflowClient) -> None:
    client.set_registered_model_tag(NAME, "speech.served_version", "1")
    assert said(client) is None
    assert said(client, version="2") is not None


def test_the_alias_counts_where_it_deploys(client: MlflowClient) -> None:
    assert said(client, by="alias") is None
    by_alias = Target.declared({**STRICT.model_dump(exclude_unset=True), "trigger": "alias"})
    assert said(client, by_alias, by="alias") is not None


def test_tags_of_the_registered_model_declare_gates_too(client: MlflowClient) -> None:
    client.set_registered_model_tag(NAME, "speech.target.approval", "true")
    assert "gate approval" in str(said(client, Target()))
    run = client.create_run("0", tags={"mlflow.user": "ann"})
    client.set_model_version_tag(NAME, "1", tags.TRAIN_RUN_ID, run.info.run_id)
    client.set_model_version_tag(NAME, "1", "speech.approved_by", "ann")
    assert "approved by ann, who made version 1" in str(said(client, Target()))
    client.set_model_version_tag(NAME, "1", "speech.approved_by", "bob")
    assert said(client, Target()) is None


def test_a_version_that_is_held_back_is_refused_until_its_hold_goes(client: MlflowClient) -> None:
    client.set_model_version_tag(NAME, "1", tags.HOLD, "failed: the probe heard nothing")
    assert "held back: failed: the probe heard nothing" in str(said(client, Target()))
    client.delete_model_version_tag(NAME, "1", tags.HOLD)
    assert said(client, Target()) is None


def test_an_expired_model_is_refused_by_what_its_training_noted(client: MlflowClient) -> None:
    run = client.create_run("0", tags={tags.EXPIRES: "2001-01-01T00:00:00+00:00"})
    client.set_model_version_tag(NAME, "1", tags.TRAIN_RUN_ID, run.info.run_id)
    assert "gate expiry" in str(said(client, Target()))
    client.set_tag(run.info.run_id, tags.EXPIRES, "2101-01-01T00:00:00+00:00")
    assert said(client, Target()) is None


def test_a_gate_that_fails_is_an_error_here_and_not_a_no(client: MlflowClient) -> None:
    class Broken:
        @hookimpl
        def promotion_gate(self, candidate: object) -> None:
            raise RuntimeError("out of order")

    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(Broken())
    with pytest.raises(RuntimeError, match="out of order"):
        said(client, Target(), manager=manager)


def test_it_reads_and_writes_nothing(client: MlflowClient) -> None:
    before = client.get_registered_model(NAME).last_updated_timestamp, client.get_model_version(NAME, "1").tags
    assert said(client) is not None
    assert (client.get_registered_model(NAME).last_updated_timestamp, client.get_model_version(NAME, "1").tags) == before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        assert client.get_latest_versions(NAME, ["Production"]) == []
