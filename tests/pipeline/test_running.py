"""A declared project, carried out on the real offline service: what is done, what is found, what a failure stops."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from speech_mlflow.cli.main import cli
from speech_mlflow.emulator.faults import Fault
from speech_mlflow.errors import SettingsError
from speech_mlflow.workflow import status
from tests.pipeline.conftest import ONE_MODEL, TERMS, Folder, MakeFolder, states
from tests.waiting import until
from tests.workflow.conftest import CLINIC, excerpt

if TYPE_CHECKING:
    from tests.fixtures.emulator import RunningEmulator, StartEmulator

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
STEPS = {
    "data terms": "done",
    "data testing": "done",
    "train clinic": "done",
    "test testing: clinic": "done",
    "gates clinic": "done",
    "promote clinic": "done",
}
OTHER = """
[pipeline.models.other]
train = ["other"]
"""


@pytest.mark.slow
def test_a_project_is_done_once_and_then_only_what_changed(folder: Folder) -> None:
    # --- a dry run says all of it and makes nothing
    outlooks = folder.plan()
    assert {step: one.state for step, one in outlooks.items()} == {
        **STEPS,
        "train clinic": "new",
        "test testing: clinic": "later",
        "gates clinic": "later",
        "promote clinic": "later",
    }
    assert outlooks["train clinic"].why == "not trained before"
    assert folder.client.get_experiment_by_name("clinic") is None

    # --- the first run does it, as one parent with a child for each piece of work
    first = folder.run()
    assert states(first) == STEPS
    assert (first.exit_code, first.changed) == (0, True)
    (parent,) = folder.runs("pipeline")
    assert parent.info.status == "FINISHED"
    assert parent.info.run_id == first.run_id
    children = folder.runs("train") + folder.runs("test") + folder.runs("promotion")
    assert [run.data.tags["mlflow.parentRunId"] for run in children] == [first.run_id] * 3
    (measured,) = first.measurements
    assert parent.data.metrics["wer/testing/clinic v1"] == measured.wer
    assert measured.interval.low <= measured.recomputed <= measured.interval.high
    assert "| **clinic v1** | testing |" in parent.data.tags["mlflow.note.content"]
    assert folder.served() == "1"

    # --- the second run finds everything and makes no run
    before = len(folder.runs())
    again = folder.run()
    assert states(again) == STEPS
    assert (again.exit_code, again.changed, again.run_id) == (0, False, None)
    assert again.verdict == "nothing changed, nothing was done"
    assert [one.to_dict() for one in again.measurements] == [one.to_dict() for one in first.measurements]
    assert len(folder.runs()) == before
    assert not any(one.work for one in folder.plan().values())

    # --- changed data: one training and one test more, compared with what is served, which is not tested again
    (folder.path / "terms.txt").write_text("\n".join([*TERMS, "Give metoprolol and furosemide with food."]) + "\n", "utf-8-sig")
    assert folder.plan()["train clinic"].why == "changed data terms"
    second = folder.run()
    assert second.exit_code == 0, second.outcomes
    assert folder.served() == "2"
    assert [len(folder.runs(kind)) for kind in ("train", "test", "promotion", "pipeline")] == [2, 2, 2, 2]
    (measured,) = second.measurements
    assert measured.champion == "clinic v1"
    assert measured.against_champion is not None
    assert measured.against_champion.first.wer == first.measurements[0].recomputed
    assert folder.run().changed is False

    # --- a person rolls back: the pipeline leaves that alone
    from speech_mlflow.promotion import rollback

    rollback(folder.speech, folder.client, "clinic")
    third = folder.run()
    assert states(third)["promote clinic"] == "kept"
    assert (third.exit_code, third.changed, folder.served()) == (0, False, "1")


@pytest.mark.slow
def test_until_ends_before_what_comes_after(folder: Folder) -> None:
    assert set(states(folder.run("train"))) == {"data terms", "data testing", "train clinic"}
    assert not folder.runs("test")
    gated = folder.run("gates")
    assert set(states(gated)) == set(STEPS) - {"promote clinic"}
    assert gated.judged[0].refusal is None
    assert {one.gate for one in gated.judged[0].decisions} >= {"tested"}
    assert folder.served() is None
    assert [len(folder.runs(kind)) for kind in ("train", "promotion", "pipeline")] == [1, 0, 2]


@pytest.mark.slow
def test_several_test_sets_and_data_that_the_service_has_already(folder: Folder, tmp_path: Path) -> None:
    first = folder.run("train")
    assert first.exit_code == 0
    at_service = folder.runs("train")[0].data.tags["speech.dataset_ids"]
    excerpt(CLINIC / "testing", folder.path / "noisy", ["t05.wav", "t06.wav"])
    more = f'testing = "testing"\nnoisy = "noisy"\nknown = "dataset:{at_service}"'
    copy = '[pipeline.models.copy]\ntrain = ["known"]\n[pipeline.tests.noisy]\nmodels = ["clinic"]\n'
    folder.declare(
        ONE_MODEL.replace('testing = "testing"', more).replace("[pipeline.tests.testing]", copy + "[pipeline.tests.testing]")
    )
    plan = folder.plan("test")
    assert plan["train clinic"].state == "done"
    assert plan["train copy"].why == "trained, not yet registered as copy"
    assert [step for step, one in plan.items() if one.stage == "test"] == [
        "test noisy: clinic",
        "test testing: clinic",
        "test testing: copy",
    ]
    result = folder.run("gates")
    assert result.exit_code == 0, result.outcomes
    assert [(one.test, one.label) for one in result.measurements] == [
        ("noisy", "clinic v1"),
        ("testing", "clinic v1"),
        ("testing", "copy v1"),
    ]
    assert len(folder.runs("train")) == 1, "the same data make the same model, whatever it is registered as"


def test_a_gate_that_says_no_stops_the_promotion_with_its_numbers(folder: Folder, emulator: RunningEmulator) -> None:
    folder.declare(ONE_MODEL.replace("compare = false", "max_wer = 0.01"))
    result = folder.run()
    assert (result.exit_code, folder.served()) == (4, None)
    assert states(result)["gates clinic"] == "refused"
    assert states(result)["promote clinic"] == "skipped"
    (judged,) = result.judged
    refused = next(one for one in judged.decisions if not one.passed)
    assert (refused.gate, refused.numbers["max_wer"]) == ("max_wer", 0.01)
    assert folder.client.get_model_version("clinic", "1").current_stage == "None"
    again = folder.run()
    assert (again.exit_code, again.changed) == (4, False)
    environ = {"SPEECH_MLFLOW_STATE_DIR": str(emulator.state_dir)}
    file = str(folder.path / "speech-mlflow.toml")
    shown = CliRunner().invoke(cli, ["run", file, "--dry-run"], env=environ, catch_exceptions=False)
    assert shown.exit_code == 4, "as a run would"
    assert "x gates   clinic: gate max_wer" in shown.stdout


def test_bad_data_and_a_lost_base_model_are_named_and_stop_only_what_needs_them(folder: Folder) -> None:
    lost = '[pipeline.models.lost]\ntrain = ["terms"]\nbase_model = "00000000-0000-0000-0000-000000000000"\n'
    folder.declare(ONE_MODEL.replace('testing = "testing"', 'testing = "testing"\nother = "other.txt"') + OTHER + lost)
    (folder.path / "other.txt").write_bytes(b"\xff\xfe\x00broken")
    assert folder.plan()["train other"].why == "needs data other"
    result = folder.run()
    assert result.exit_code == 3
    ended = states(result)
    assert ended["data other"] == "failed"
    assert [ended[step] for step in ("train other", "test testing: other")] == ["skipped", "skipped"]
    assert {step: ended[step] for step in STEPS} == STEPS
    reasons = {one.id: one.reason for one in result.failed}
    assert set(reasons) == {"data other", "train lost"}
    assert "other.txt" in reasons["data other"]
    assert "00000000-0000" in reasons["train lost"]
    (parent,) = folder.runs("pipeline")
    assert parent.info.status == "FAILED"


@pytest.mark.slow
def test_a_failed_training_is_named_and_tried_again_the_next_time(
    make_folder: MakeFolder, start_emulator: StartEmulator
) -> None:
    service = start_emulator()
    folder = make_folder(service, ONE_MODEL.replace('testing = "testing"', 'testing = "testing"\nother = "other.txt"') + OTHER)
    (folder.path / "other.txt").write_text("Give metoprolol with food.\n", "utf-8-sig")
    assert service.faults is not None
    service.faults.add(Fault("status", method="POST", path="/models$", status=400))
    result = folder.run()
    ended = states(result)
    assert ended["train clinic"] == "failed"
    assert [ended[step] for step in ("test testing: clinic", "gates clinic", "promote clinic")] == ["skipped"] * 3
    assert [ended[step] for step in ("train other", "test testing: other")] == ["done", "done"]
    assert result.exit_code == 1
    assert "train clinic" in result.verdict
    assert "failed" in folder.plan()["train clinic"].why
    again = folder.run()
    assert again.exit_code == 0
    assert {one.id for one in again.outcomes if one.changed} == {"train clinic", "test testing: clinic", "promote clinic"}
    assert len(list(folder.speech.models.list())) == 2


@pytest.mark.slow
def test_every_region_of_a_target_is_served_or_named(make_folder: MakeFolder, start_emulator: StartEmulator) -> None:
    main, west = start_emulator(), start_emulator()
    folder = make_folder(main)
    folder.declare(
        f'endpoint = "{main.url}"\nresource_id = "{main.resource_id}"\n'
        f'{ONE_MODEL}regions = ["west"]\n[resources.west]\nendpoint = "{west.url}"\nkey = "wrong"\n'
    )
    refused = folder.run()
    assert (states(refused)["promote clinic"], refused.exit_code) == ("failed", 1)
    assert "west" in refused.failed[0].reason
    assert folder.served() == "1"
    file = folder.path / "speech-mlflow.toml"
    file.write_text(file.read_text("utf-8").replace('"wrong"', f'"{west.key.get_secret_value()}"'), "utf-8")
    assert folder.plan()["promote clinic"].why == "version 1 is not yet served in west"
    again = folder.run()
    assert (again.exit_code, [one.id for one in again.outcomes if one.changed]) == (0, ["promote clinic"])
    (endpoint,) = west.api.get("/endpoints").json()["values"]
    assert endpoint["properties"] is not None
    assert folder.run().changed is False


@pytest.mark.slow
def test_interrupted_it_goes_on_with_the_same_parent(make_folder: MakeFolder, emulator: RunningEmulator) -> None:
    terms = "\n".join(f"Take {number} tablets of amiodarone." for number in range(1, 90))
    folder = make_folder(emulator, f'state_dir = "{emulator.state_dir}"\n' + ONE_MODEL, terms=terms)
    command = [sys.executable, "-m", "speech_mlflow", "run", "--yes"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder.path, text=True, **quiet) as process:  # type: ignore[call-overload]
        until(lambda: folder.runs("train"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130, said
    assert "again" in said
    (parent,) = folder.runs("pipeline")
    assert parent.info.status == "RUNNING"
    at_work = {one.kind: one.next_step for one in status(folder.speech, tracking_uri=folder.uri, experiment="clinic")}
    assert at_work["pipeline"] == "speech-mlflow run"
    result = folder.run()
    assert result.exit_code == 0, result.outcomes
    assert result.run_id == parent.info.run_id
    assert [len(folder.runs(kind)) for kind in ("pipeline", "train", "test", "promotion")] == [1, 1, 1, 1]
    (trained,) = folder.runs("train")
    made = [(model.custom_properties or {}).get("mlflow-run-id") for model in folder.speech.models.list()]
    assert made.count(trained.info.run_id) == 1


@pytest.mark.slow
def test_two_at_once_share_one_parent_and_all_work(make_folder: MakeFolder, emulator: RunningEmulator) -> None:
    terms = "\n".join(f"Take {number} tablets of metoprolol." for number in range(1, 60))
    folder = make_folder(emulator, f'state_dir = "{emulator.state_dir}"\n' + ONE_MODEL, terms=terms)
    command = [sys.executable, "-m", "speech_mlflow", "run", "--json"]
    both = [subprocess.Popen(command, cwd=folder.path, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    documents = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert {one["run_id"] for one in documents} - {None} == {folder.runs("pipeline")[0].info.run_id}
    assert [len(folder.runs(kind)) for kind in ("pipeline", "train", "test", "promotion")] == [1, 1, 1, 1]
    assert folder.served() == "1"


def test_the_command_writes_summary_json_and_exit_code(
    folder: Folder, emulator: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.declare(f'state_dir = "{emulator.state_dir}"\n' + ONE_MODEL.replace("compare = false", "max_wer = 0.01"))
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "project/speech-mlflow.toml", "--json", "--summary", "out/s.md"]
    done = CliRunner().invoke(cli, arguments, env={"GITHUB_STEP_SUMMARY": str(step)}, catch_exceptions=False)
    assert done.exit_code == 4, done.output
    document = json.loads(done.stdout)
    assert document["exit_code"] == 4
    assert [one["stage"] for one in document["steps"]] == ["data", "data", "train", "test", "gates", "promote"]
    summary = (tmp_path / "out" / "s.md").read_text("utf-8")
    assert "⛔ **no**" in summary
    assert step.read_text("utf-8") == "before\n" + summary


@pytest.mark.parametrize("text", ['[pipeline.models.m]\ntrain = ["x"]\n', "", "[pipeline]\nmodel = 1\n"])
def test_a_wrong_file_is_a_settings_error_before_anything_is_done(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech-mlflow.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"speech-mlflow\.toml"):
        CliRunner().invoke(cli, ["run"], catch_exceptions=False)
    assert not (tmp_path / ".speech-mlflow").exists()


@pytest.mark.slow
def test_the_file_of_init_runs_as_it_is_and_prints_what_the_readme_shows(
    tmp_path: Path, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"SPEECH_MLFLOW_STATE_DIR": str(emulator.state_dir)}
    shown = README.partition("```text\n+ train")[2].partition("```")[0]

    def lines(text: str) -> list[str]:
        """Without ids, times and rates, which differ a little from machine to machine."""
        return [re.sub(r"[0-9a-f]{8}-[-0-9a-f]{27}|\d+ s|\d+\.\d %", "#", line) for line in text.splitlines()]

    assert CliRunner().invoke(cli, ["init", "--example"], env=environ, catch_exceptions=False).exit_code == 0
    done = CliRunner().invoke(cli, ["run"], env=environ, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert lines(done.stdout)[:4] == lines("+ train" + shown)
