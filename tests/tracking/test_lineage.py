from __future__ import annotations

import re
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import TrackingError
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import registry, runs, tags
from speech_mlflow.tracking.lineage import lineage
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import open_store
from tests.cli.tools import answer, invoke, where
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import Mlflow

ENDPOINT = "4e1b1c5e-1111-4111-8111-111111111111"


@pytest.fixture
def chain(speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow) -> tuple[str, str, str]:
    """Ids of the train run, test run and promotion run of one version."""
    trained = workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **mlflow.where)
    tested = workflow.test(speech, data=testing, models=["base", trained.model], **mlflow.where)
    registry.set_stage(mlflow.client, "clinic", "1", "Production")
    # what a promotion leaves in MLflow
    store = open_store(mlflow.uri, experiment="speech promotions")
    promotion = {
        tags.REGISTERED_MODEL: "clinic",
        tags.MODEL_VERSION: "1",
        tags.MODEL_ID: trained.model.id,
        tags.ENDPOINT_ID: ENDPOINT,
        tags.RESULT: "served",
    }
    begun = runs.begin(store, Work(tags.KIND_PROMOTION, "plan", "clinic 1", tags=promotion))
    runs.log(store, begun.id, params={"who": "ada", "why": "it is better"})
    runs.finish(store, begun.id)
    mlflow.client.set_registered_model_tag("clinic", tags.ENDPOINT_ID, ENDPOINT)
    mlflow.client.set_registered_model_tag("clinic", tags.SERVED_VERSION, "1")
    return trained.run_id, tested.run_id, begun.id


def test_the_chain_is_the_same_from_every_link(chain: tuple[str, str, str], mlflow: Mlflow) -> None:
    train, test, promotion = chain
    named = "speech-mlflow/clinic/default"
    asked = ("clinic/1", "clinic/Production", train, promotion, ENDPOINT, named)
    found = {reference: lineage(mlflow.client, reference) for reference in asked}
    kinds = ["data", "base model", "train", "model", "test", "version", "promotion", "endpoint"]
    for reference, one in found.items():
        assert {node.kind for node in one.nodes.values()} == set(kinds), reference
        assert set(one.edges) == set(found["clinic/1"].edges)
    assert {reference: one.focus for reference, one in found.items()} == {
        "clinic/1": "version clinic/1",
        "clinic/Production": "version clinic/1",
        train: f"train {train}",
        promotion: f"promotion {promotion}",
        ENDPOINT: f"endpoint {ENDPOINT}",
        named: f"endpoint {ENDPOINT}",
    }
    both = lineage(mlflow.client, test)
    assert both.focus == f"test {test}"
    assert set(found["clinic/1"].edges) <= set(both.edges), "a test leads to the chains of both models"

    chain_ = found["clinic/1"]
    assert [node.title for node in chain_.before(f"train {train}")] == ["related-text", "20250115"]
    (endpoint,) = chain_.of_kind("endpoint")
    assert endpoint.facts == {"serves": "clinic/1"}
    (promoted,) = chain_.of_kind("promotion")
    assert (promoted.facts["who"], promoted.facts["why"], promoted.facts["result"]) == ("ada", "it is better", "served")
    assert chain_.after(promoted.id) == [endpoint]
    wer = mlflow.client.get_model_version("clinic", "1").tags[tags.WER]
    (tested,) = chain_.of_kind("test")
    assert (tested.facts["WER"], tested.facts["data"]) == (f"{float(wer):.2%}", "testing")
    sizes = {node.title: (node.facts.get("utterances"), node.facts.get("lines")) for node in chain_.of_kind("data")}
    assert sizes == {"related-text": (None, "4"), "testing": ("4", None)}
    assert chain_.to_dict()["focus"] == "version clinic/1"


def test_the_drawing_shows_data_first_and_the_endpoint_last(chain: tuple[str, str, str], mlflow: Mlflow) -> None:
    lines = str(lineage(mlflow.client, "clinic/1")).splitlines()
    words = [line.lstrip(" │├└─").split()[0] for line in lines]
    assert words == ["data", "base", "train", "model", "test", "version", "promotion", "endpoint"]
    assert lines[5].endswith("<")
    assert "stage Production" in lines[5]
    assert lines[-1].strip().startswith("└─ endpoint")


def test_a_terminal_gets_a_tree_a_pipe_plain_text_and_a_program_json(
    chain: tuple[str, str, str], mlflow: Mlflow, emulator: RunningEmulator
) -> None:
    environ = where(emulator.state_dir, mlflow.uri)
    drawn = lineage(mlflow.client, "clinic/1")
    assert invoke("lineage", "clinic/1", **environ).stdout == f"{drawn}\n"
    assert answer("lineage", ENDPOINT, **environ) == lineage(mlflow.client, ENDPOINT).to_dict()
    coloured = invoke("lineage", "clinic/1", FORCE_COLOR="1", **environ).stdout
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    kinds = [line.lstrip(" │├└─").split()[0] for line in plain.splitlines()]
    assert kinds == [line.lstrip(" │├└─").split()[0] for line in str(drawn).splitlines()]
    with pytest.raises(TrackingError, match="no model version 'clinic/9'"):
        invoke("lineage", "clinic/9", **environ)
    with pytest.raises(TrackingError):
        invoke("lineage", "no endpoint of this name", **environ)


def test_a_base_model_alone_and_a_training_at_work_are_drawn_too(
    speech: SpeechClient, testing: Corpus, text: Path, mlflow: Mlflow
) -> None:
    tested = workflow.test(speech, data=testing, **mlflow.where)
    lines = str(lineage(mlflow.client, tested.run_id)).splitlines()
    assert [line.lstrip(" └─").split()[0] for line in lines] == ["base", "test"]
    store = open_store(mlflow.uri, experiment="speech")
    begun = runs.begin(store, Work(tags.KIND_TRAIN, "k", "at work", tags={tags.BASE_MODEL_ID: "b1"}))
    drawn = str(lineage(mlflow.client, begun.id)).splitlines()
    assert [line.lstrip(" └─").split()[0] for line in drawn] == ["base", "train"]
    assert "status running" in drawn[1]


def test_what_is_not_there_is_said(mlflow: Mlflow) -> None:
    for reference in ("clinic/7", "f" * 32, ENDPOINT, "speech-mlflow/clinic/default"):
        with pytest.raises(TrackingError):
            lineage(mlflow.client, reference)
    run = mlflow.client.create_run("0")
    with pytest.raises(TrackingError, match="no train, test or promotion"):
        lineage(mlflow.client, run.info.run_id)
