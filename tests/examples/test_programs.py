"""The programs and the workflow of examples/, each run on a small corpus laid out like the example corpus."""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient

import speech_mlflow as sm
from speech_mlflow.cli.main import cli
from speech_mlflow.scoring.evaluators import EvaluatedUtterance
from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow import MlflowStore
from tests.workflow.conftest import CLINIC, excerpt

EXAMPLES = CLINIC.parent
WORKFLOW = EXAMPLES / "github-actions" / "speech-mlflow.yml"
TEXT = "Continue apixaban.\nShe was given warfarin for pneumonia.\nHold amiodarone before the echocardiogram.\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings to train with and four to test on, a little text, one pronunciation."""
    root = tmp_path_factory.mktemp("corpus")
    train = CLINIC / "training" / "audio-and-transcripts"
    ids = sorted(path.name for path in train.glob("*.wav"))[:4]
    excerpt(train, root / "training" / "audio-and-transcripts", ids)
    (root / "training" / "related-text.txt").write_text(TEXT, "utf-8-sig")
    (root / "training" / "pronunciations.txt").write_text("apixaban\ta pix a ban\n", "utf-8-sig")
    excerpt(CLINIC / "testing", root / "testing", ["t01.wav", "t02.wav", "t03.wav", "t04.wav"])
    return root


@pytest.fixture
def environ(emulator: RunningEmulator, mlflow_store: MlflowStore) -> dict[str, str]:
    return {
        **os.environ,
        "SPEECH_MLFLOW_STATE_DIR": str(emulator.state_dir),
        "SPEECH_MLFLOW_TRACKING_URI": mlflow_store.uri,
        "SPEECH_MLFLOW_EXPERIMENT": "examples",
    }


def run(name: str, *arguments: str, cwd: Path, environ: dict[str, str], code: int = 0) -> str:
    """Run a program of examples/ as a user does; what it prints."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_train_and_compare(corpus: Path, tmp_path: Path, environ: dict[str, str], mlflow_store: MlflowStore) -> None:
    said = run("train_and_compare.py", str(corpus), cwd=tmp_path, environ=environ)
    assert "4 recordings to train with, 4 to test on" in said
    assert [word for word in ("base", "example-words v1", "example-voices v1") if f"{word:20} WER" not in said] == []
    assert "between" in said
    (tested,) = (run for run in runs(mlflow_store) if run.data.tags["speech.kind"] == "test")
    assert f"MLflow run {tested.info.run_id}" in said


@pytest.mark.slow
def test_promote_with_gates(corpus: Path, tmp_path: Path, environ: dict[str, str], mlflow_store: MlflowStore) -> None:
    refused = run("promote_with_gates.py", str(corpus), "0.01", cwd=tmp_path, environ=environ, code=4)
    assert "NO      max_wer" in refused
    assert mlflow_store.client.get_model_version("example-gated", "1").current_stage == "None"
    served = run("promote_with_gates.py", str(corpus), "1.5", cwd=tmp_path, environ=environ)
    assert "served: version 1 is served by endpoint" in served
    assert mlflow_store.client.get_model_version("example-gated", "1").current_stage == "Production"


def test_evaluator(corpus: Path, tmp_path: Path, environ: dict[str, str], mlflow_store: MlflowStore) -> None:
    said = run("evaluator.py", str(corpus / "testing"), cwd=tmp_path, environ=environ)
    (tested,) = runs(mlflow_store)
    shown = dict(line.split(": ") for line in said.splitlines())
    metrics = {name: value for name, value in tested.data.metrics.items() if name.startswith("last_word_accuracy")}
    assert metrics
    for name, value in metrics.items():
        assert shown[name] == f"{value:.3f}"


def test_the_evaluator_counts_words_as_wer_does_whatever_their_case_and_stops() -> None:
    last_words = runpy.run_path(str(EXAMPLES / "evaluator.py"))["last_words"]
    said, heard = ["Hold apixaban.", "Hold apixaban.", "Hold warfarin."], ["old apixaban", "hold a pix", ""]
    scored = sm.score(said, heard, normalizer="en-US")
    given = [EvaluatedUtterance(one.id, one.reference, one.hypothesis, one.alignment) for one in scored]
    output = last_words(sm.EvaluatorInput("custom", "en-US", given, lambda name: None))
    assert output.columns == {"last word heard": [True, False, False]}


def test_the_evaluator_takes_ten_lines() -> None:
    text = (EXAMPLES / "evaluator.py").read_text("utf-8")
    body = text.partition("ten lines ---")[2].partition("# --- seeing")[0].splitlines()[1:]
    assert 0 < len([line for line in body if line.strip()]) <= 10


# --- the workflow ---


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    return document


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    (job,) = workflow["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def test_the_workflow_gives_each_event_its_steps(workflow: dict[Any, Any]) -> None:
    assert set(workflow[True]) == {"pull_request", "push"}  # YAML reads `on` as true
    ours = {
        step["run"].partition(" #")[0]: step.get("if", "")
        for step in steps(workflow)
        if "speech-mlflow run" in step.get("run", "")
    }
    assert ours == {
        "speech-mlflow run --dry-run": "",
        "speech-mlflow run --until gates --yes --summary summary.md": "github.event_name == 'pull_request'",
        "speech-mlflow run --yes": "github.event_name == 'push'",
    }
    (dry,) = [step for step in steps(workflow) if step.get("run") == "speech-mlflow run --dry-run"]
    assert dry["continue-on-error"], "it exits with 3 or 4 as the run does, whose summary is the one to read"
    comment = next(step for step in steps(workflow) if "gh pr comment" in step.get("run", ""))
    assert "always()" in comment["if"], "a summary of what was refused is the one to read"
    assert "${{" not in comment["run"], "text of an event is given by a variable, never pasted into a command"
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}


@pytest.mark.slow
def test_the_workflow_runs_on_the_file_that_init_writes(
    workflow: dict[Any, Any],
    corpus: Path,
    tmp_path: Path,
    environ: dict[str, str],
    mlflow_store: MlflowStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in workflow["env"]:
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "data").symlink_to(corpus)
    given = {name: value for name, value in environ.items() if name.startswith("SPEECH_MLFLOW_")}

    def speech_mlflow(line: str) -> Any:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "speech-mlflow"
        return CliRunner().invoke(cli, arguments, env=given, catch_exceptions=False)

    assert speech_mlflow("speech-mlflow init").exit_code == 0
    file = tmp_path / "speech-mlflow.toml"
    file.write_text(file.read_text("utf-8").replace("max_wer = 0.40", "max_wer = 1.50"), "utf-8")  # the data are few
    dry, gated, promoted = (step["run"] for step in steps(workflow) if "speech-mlflow run" in step.get("run", ""))
    first = speech_mlflow(dry)
    assert (first.exit_code, "+ train   clinic-en-us: not trained before" in first.stdout) == (0, True), first.output
    second = speech_mlflow(gated)
    assert second.exit_code == 0, second.output
    assert "**clinic-en-us v1**" in (tmp_path / "summary.md").read_text("utf-8")
    assert mlflow_store.client.get_model_version("clinic-en-us", "1").current_stage == "None"
    third = speech_mlflow(promoted)
    assert third.exit_code == 0, third.output
    assert [line[0] for line in third.stdout.splitlines()[:4]] == ["=", "=", "=", "+"], third.stdout
    assert mlflow_store.client.get_model_version("clinic-en-us", "1").current_stage == "Production"


def runs(store: MlflowStore) -> list[Any]:
    client = MlflowClient(tracking_uri=store.uri)
    experiment = client.get_experiment_by_name("examples")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))
