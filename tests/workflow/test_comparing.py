"""Comparing models across test runs: which tests are meant, what is refused, and what comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import speech_mlflow as sm
from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.errors import ScoringError, TrackingError
from speech_mlflow.hookspecs import hookimpl
from speech_mlflow.plugins import plugin_manager
from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput, EvaluatorOutput
from speech_mlflow.service import SpeechClient
from tests.workflow.conftest import CLINIC, excerpt
from tests.workflow.tools import Mlflow


@pytest.fixture
def world(speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow, tmp_path: Path) -> dict[str, str]:
    """Two versions in two runs on the same data, the base model in the first; version 1 tested on other data, too."""
    for name, data in (("first", text), ("second", _more(tmp_path))):
        workflow.train(speech, name=name, data=[data], registered_model="clinic", weight_percent=90, **mlflow.where)
    other = read_corpus(excerpt(CLINIC / "testing", tmp_path / "other", ["t05.wav"]), locale="en-US")
    runs = {
        "both": workflow.test(speech, data=testing, models=["base", "clinic/1"], **mlflow.where),
        "second": workflow.test(speech, data=testing, models=["base", "clinic/2"], **mlflow.where),
        "other": workflow.test(speech, data=other, models=["clinic/1"], **mlflow.where),
    }
    return {name: result.run_id for name, result in runs.items()}


def _more(folder: Path) -> Path:
    path = folder / "more-text.txt"
    path.write_text("She was given warfarin for atelectasis.\nHold aspirin before the biopsy.\n", "utf-8-sig")
    return path


def run_command(mlflow: Mlflow, *arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "speech_mlflow", *arguments, "--tracking-uri", mlflow.uri],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_runs_versions_and_aliases_are_compared_on_the_data_they_share(
    world: dict[str, str], mlflow: Mlflow, testing: Corpus, tmp_path: Path
) -> None:
    where = {"tracking_uri": mlflow.uri}
    runs = sm.compare_runs(world["both"], world["second"], **where)
    assert list(runs.scores) == ["base", "clinic v1", "clinic v2"], "the base model, heard the same twice, counts once"
    assert len(runs.table.pairs) == 3
    assert runs.dataset == "testing"
    assert runs.digest.startswith(testing.fingerprint[:23])
    stored = workflow.load_test(world["both"], **where)
    for model in runs.models[:2]:
        assert model.score.wer == stored.scores[model.label].wer
        assert model.wer == stored.wer[model.label]
        assert model.run_id == world["both"]
    assert runs.table.pairs["base", "clinic v1"].resampled_by == "speaker"

    mlflow.client.set_registered_model_alias("clinic", "candidate", "2")
    versions = sm.compare_runs("clinic/1", "clinic@candidate", **where)
    assert list(versions.scores) == ["clinic v1", "clinic v2"], "the only data that both were tested on"
    assert [one.run_id for one in versions.models] == [world["both"], world["second"]]
    assert [one.contamination and one.contamination.text for one in versions.models] == [("t03.wav",), ("t02.wav",)]

    mixed = sm.compare_runs("clinic/2", world["both"], **where)
    assert list(mixed.scores) == ["clinic v2", "base", "clinic v1"]

    page = runs.report()
    assert "In the training data of clinic v2" in page
    assert len(page) > 4 * len(testing.audio("t01.wav")), "the recordings are in it"

    plain = sm.compare_runs("clinic/1", "clinic/2", normalizer="none", **where)
    assert plain.models[0].score.normalizer.label == "none"
    assert plain.models[0].score.wer > versions.models[0].score.wer, "capitals and full stops count as errors"
    assert plain.models[0].wer == versions.models[0].wer, "what the service counted stays"

    # --- the command ---
    report = tmp_path / "report.html"
    done = run_command(mlflow, "compare", "clinic/1", "clinic/2", "--json", "--report", str(report), cwd=tmp_path)
    said: dict[str, Any] = json.loads(done.stdout)
    (pair,) = said["comparisons"]
    assert [line["wer_recomputed"] for line in said["models"]] == [one.score.wer for one in versions.models]
    assert pair["mapsswe_p_value"] == versions.table.pairs["clinic v1", "clinic v2"].mapsswe.p_value
    assert pair["better"] + pair["worse"] == len(pair["got_better"]) + len(pair["got_worse"])
    assert said["models"][1]["in_training_data"] == {"count": 1, "audio": [], "text": ["t02.wav"]}
    assert set(said["groups"]["speaker"]) == {"a", "b"}
    assert sum(line["words"] for line in said["groups"]["speaker"].values()) == said["models"][0]["words"]
    assert report.read_text("utf-8").startswith("<!doctype html>")
    shown = run_command(mlflow, "compare", "clinic/1", "clinic/2", cwd=tmp_path).stdout
    assert "MAPSSWE p" in shown
    assert "in the training data of clinic v2: 1 of 4 test utterances (0 by recording, 1 by text): t02.wav" in shown

    ranked = json.loads(run_command(mlflow, "models", "best", "testing", "--json", cwd=tmp_path).stdout)
    assert [line["value"] for line in ranked] == sorted(one.wer for one in runs.models if one.wer is not None)
    assert {line["label"]: line["versions"] for line in ranked}["clinic v2"] == ["clinic/2"]
    path = str(testing.source)
    assert json.loads(run_command(mlflow, "models", "best", path, "--json", cwd=tmp_path).stdout) == ranked


def test_different_test_data_are_refused_by_name_and_digest(world: dict[str, str], mlflow: Mlflow, tmp_path: Path) -> None:
    where = {"tracking_uri": mlflow.uri}
    with pytest.raises(ScoringError, match="the test data differ") as refused:
        sm.compare_runs(world["other"], "clinic/2", **where)
    for run_id, name in ((world["other"], "other"), (world["second"], "testing")):
        given = mlflow.client.get_run(run_id).inputs.dataset_inputs[0].dataset
        assert f"{name} (digest {given.digest})" in str(refused.value)
    done = run_command(mlflow, "compare", world["other"], world["both"], cwd=tmp_path, code=3)
    assert "other (digest" in done.stderr

    with pytest.raises(ScoringError, match="clinic/2 was not tested on other, but on testing"):
        sm.compare_runs("clinic/1", "clinic/2", data="other", **where)
    with pytest.raises(ScoringError, match=r"all were tested on several data sets: testing .*, other"):
        sm.compare_runs("clinic/1", **where)
    with pytest.raises(ScoringError, match="only one model to compare: clinic v1"):
        sm.compare_runs("clinic/1", data="testing", **where)
    with pytest.raises(TrackingError, match="no run 'ffff"):
        sm.compare_runs("f" * 32, **where)
    with pytest.raises(TrackingError, match="no model version 'clinic/9'"):
        sm.compare_runs("clinic/9", "clinic/1", **where)
    train = mlflow.client.get_model_version("clinic", "1").tags["speech.train_run_id"]
    with pytest.raises(TrackingError, match="not a test"):
        sm.compare_runs(train, **where)


def test_evaluators_measure_in_a_comparison_and_one_that_raises_fails_alone(world: dict[str, str], mlflow: Mlflow) -> None:
    def length(given: EvaluatorInput) -> EvaluatorOutput:
        sizes = [len(given.audio(one.id) or b"") for one in given.utterances]
        heard = sum(len(one.hypothesis.split()) for one in given.utterances)
        return EvaluatorOutput({"heard_words": heard, "audio_bytes": sum(sizes)}, {"heard_words": True}, {"bytes": sizes})

    def broken(given: EvaluatorInput) -> EvaluatorOutput:
        raise ValueError("no terms")

    class Plugin:
        @hookimpl
        def register_evaluators(self, register) -> None:  # type: ignore[no-untyped-def]
            register(Evaluator("length", length))
            register(Evaluator("broken", broken))

    plugin = Plugin()
    plugin_manager().register(plugin, name="of the test")
    try:
        compared = sm.compare_runs("clinic/1", "clinic/2", tracking_uri=mlflow.uri)
    finally:
        plugin_manager().unregister(plugin)
    for model in compared.models:
        assert model.outputs["length"].metrics["heard_words"] == model.score.totals.hypothesis_words
        assert model.outputs["length"].metrics["audio_bytes"] > 0
        assert [(failure.name, failure.reason) for failure in model.failures] == [("broken", "ValueError: no terms")]
    # numbers, by which the report's list can be sorted
    columns = {column["name"]: column["values"] for column in json.loads(script(compared.report()))["columns"]}
    sizes = columns["length: bytes (clinic v1)"]
    assert sum(sizes) == compared.models[0].outputs["length"].metrics["audio_bytes"]


def script(page: str) -> str:
    """The data of a report."""
    return page.partition('id="data">')[2].partition("</script>")[0]
