"""The story that the demo and the README tell: what the demo leaves behind, and the README kept true by it.

One file, so that parallel workers run the demo once.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from speech_mlflow import hookspecs
from speech_mlflow.cli.main import COMMANDS
from speech_mlflow.settings import Settings
from tests.story.conftest import ROOT, Demo, counted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = pytest.mark.timeout(900)
MODEL = "clinic-en-us"
README = (ROOT / "README.md").read_text("utf-8")
POINTS = 1.5  # by how much a WER in percent may differ on other processors and versions of the recogniser


@pytest.fixture(scope="module")
def client(demo: Demo) -> MlflowClient:
    from mlflow import MlflowClient

    uri = f"sqlite:///{demo.directory / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(client: MlflowClient, kind: str) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`speech.kind` = '{kind}'", order_by=["attributes.start_time ASC"]))


def test_custom_wer_is_at_most_half_of_base_wer_and_more_data_is_better(demo: Demo) -> None:
    base, first, second = (line["wer"] for line in demo.first["models"])
    assert 0 < first <= base / 2
    assert second < first


def test_a_second_run_finds_its_own_work_and_makes_nothing_twice(demo: Demo) -> None:
    assert demo.second["models"] == demo.first["models"]
    assert demo.second["endpoint"] == demo.first["endpoint"]
    assert counted(demo.directory) == demo.before == {"data sets": 7, "endpoints": 1, "versions": 2}


def test_version_1_is_served_again_after_the_rollback(demo: Demo) -> None:
    (endpoint,) = json.loads(demo.run("speech-mlflow", "endpoints", "list", "--json").stdout)
    listed = {row["version"]: row for row in json.loads(demo.run("speech-mlflow", "models", "list", "--json").stdout)}
    assert endpoint["model"]["self"].split("?")[0].endswith(listed[1]["model_id"])
    assert (listed[1]["stage"], listed[1]["served"]) == ("Production", True)
    assert (listed[2]["stage"], listed[2]["served"]) == ("Archived", False)
    assert listed[2]["wer"] < listed[1]["wer"]


def test_train_runs_name_their_data_and_their_model(client: MlflowClient) -> None:
    trained = runs(client, "train")
    assert len(trained) == 2
    for run in trained:
        assert run.info.status == "FINISHED"
        contexts = {tag.value for given in run.inputs.dataset_inputs for tag in given.tags if tag.key == "mlflow.data.context"}
        assert contexts == {"training"}
        assert len(run.outputs.model_outputs) == 1
    assert [len(run.inputs.dataset_inputs) for run in trained] == [3, 6]


def test_test_runs_carry_both_models_table_and_report(client: MlflowClient, demo: Demo) -> None:
    tested = runs(client, "test")
    assert len(tested) == 2
    for run in tested:
        (given,) = run.inputs.dataset_inputs
        assert {tag.value for tag in given.tags if tag.key == "mlflow.data.context"} == {"testing"}
        files = {file.path for folder in ("", "eval", "report") for file in client.list_artifacts(run.info.run_id, folder)}
        assert any(path.endswith(".html") for path in files), files


def test_the_best_model_on_the_test_set_is_one_query_away(client: MlflowClient) -> None:
    (experiment,) = [one for one in client.search_experiments() if one.name == "clinic"]
    found = client.search_logged_models(
        experiment_ids=[experiment.experiment_id],
        order_by=[{"field_name": "metrics.wer", "ascending": True, "dataset_name": "testing"}],
    )
    best = found[0]
    versions = client.search_model_versions(f"name = '{MODEL}'")
    assert {version.version for version in versions if version.source == f"models:/{best.model_id}"} & {"2", 2}


def test_each_promotion_is_a_run_that_says_what_changed(demo: Demo) -> None:
    past = json.loads(demo.run("speech-mlflow", "history", MODEL, "--json").stdout)
    assert {one["result"] for one in past} == {"served"}
    assert [one["version"] for one in reversed(past)][:3] == ["1", "2", "1"]
    assert len({one["endpoint_id"] for one in past}) == 1


def test_the_plan_is_empty_afterwards(demo: Demo) -> None:
    demo.run("speech-mlflow", "plan", "--exit-code")


def test_the_endpoint_hears_with_the_model_it_serves(demo: Demo) -> None:
    recording = demo.first["heard"]
    assert recording["heard"]
    from speech_mlflow.cli.demo import example_corpus

    wav = example_corpus() / "testing" / recording["recording"]
    (heard,) = json.loads(demo.run("speech-mlflow", "transcribe", str(wav), "--model", MODEL, "--json").stdout)
    assert heard["display"] == recording["heard"]


def test_a_separately_installed_evaluator_adds_its_metrics_to_the_test_run(
    demo: Demo, client: MlflowClient, tmp_path: Path
) -> None:
    package, clinic = ROOT / "plugins" / "speech-mlflow-domain-terms", ROOT / "examples" / "clinic"
    pip = ("python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target")
    demo.run(*pip, str(tmp_path), str(package))
    plugged = {
        "PYTHONPATH": str(tmp_path),
        "SPEECH_MLFLOW_DISABLED_PLUGINS": "",
        "DOMAIN_TERMS": str(clinic / "training" / "pronunciations.txt"),
    }
    command = ("test", str(clinic / "testing"), "--model", "base", "--model", f"{MODEL}/2", "--json")
    tested = json.loads(demo.run("speech-mlflow", *command, **plugged).stdout)
    assert not tested["reused"]
    assert tested["failed_evaluators"] == {}
    metrics = client.get_run(tested["run_id"]).data.metrics
    recalls = {name: value for name, value in metrics.items() if "term_recall" in name}
    base, custom = (next(v for n, v in recalls.items() if word in n) for word in ("/base", f"/{MODEL}"))
    assert base < custom


@pytest.mark.slow
def test_every_command_prints_as_json_what_is_written_down(
    demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from speech_mlflow.cli.main import cli
    from tests.cli.contract import AFTER_THE_DEMO, missing

    monkeypatch.chdir(demo.directory)

    def printed(name: str, arguments: list[str]) -> Any:
        capsys.readouterr()
        code = cli.main([*name.split(), *arguments, "--json"], prog_name="speech-mlflow", standalone_mode=False)
        assert not code, name
        text = capsys.readouterr().out
        return [json.loads(line) for line in text.splitlines()][-1] if name == "watch" else json.loads(text)

    ids = {kind: printed(f"{kind}s list", [])[0]["id"] for kind in ("evaluation", "endpoint")}
    ids |= {"dataset": printed("data list", [])[0]["id"], "clinic": str(ROOT / "examples" / "clinic")}
    lacking = {}
    for name, arguments in AFTER_THE_DEMO.items():
        document = printed(name, [argument.format(**ids) for argument in arguments])
        lacking[name] = missing(name, document)
    assert {name: names for name, names in lacking.items() if names} == {}
    assert missing("demo", demo.first) == set()


# --- the README ---


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_word_error_rates_are_those_of_the_demo(demo: Demo) -> None:
    written = [float(rate) for rate in re.findall(r"^ (?:base|version \d) .* (\d+\.\d) %$", README, re.MULTILINE)]
    measured = [100 * line["wer"] for line in demo.first["models"]]
    assert written == pytest.approx(measured, abs=POINTS)


@pytest.mark.parametrize("command", re.findall(r"^\$ (.*)$", "\n".join(blocks("console")), re.MULTILINE))
def test_commands_print_what_is_shown(demo: Demo, command: str) -> None:
    (shown,) = (part for block in blocks("console") for part in block.split("$ ") if part.startswith(command))
    printed = demo.run(*command.split()).stdout
    head = re.sub(r"[0-9a-f]{16}\b", "ID", shown.splitlines()[1]).split()
    assert head == re.sub(r"[0-9a-f]{16}\b", "ID", printed.strip().splitlines()[0]).split()


@pytest.mark.slow
def test_five_questions_are_answered_by_a_line_each(demo: Demo) -> None:
    section = README.partition("## Five questions")[2].partition("\n## ")[0]
    commands = re.findall(r"\| `(speech-mlflow .*)` \|", section)
    data, best, serves, past, changed = (json.loads(demo.run(*command.split(), "--json").stdout) for command in commands)
    training = {node["title"] for node in data["nodes"] if node["facts"].get("context") == "training"}
    assert training == {"training-audio-and-transcripts", "training-related-text", "training-pronunciations"}
    assert best[0]["versions"] == [f"{MODEL}/2"]
    assert [one["value"] for one in best] == sorted(line["wer"] for line in demo.first["models"])
    assert {tuple(one["serves"]) for one in serves} == {(f"{MODEL}/1",)}
    assert (past[0]["version"], past[0]["result"], bool(past[0]["who"])) == ("1", "served", True)
    assert len(changed["data_added"]) == 3
    assert changed["wer"]["testing"] == [demo.first["models"][number]["wer"] for number in (1, 2)]


@pytest.mark.parametrize("program", blocks("python"), ids=lambda text: text.splitlines()[0 if "def " in text else -1][:40])
def test_programs_run(demo: Demo, program: str) -> None:
    corpus = demo.directory / "clinic"
    if not corpus.exists():
        corpus.symlink_to(ROOT / "examples" / "clinic")
    demo.run("python", "-c", program)


@pytest.mark.parametrize("table", blocks("toml"))
def test_settings_shown_are_taken(table: str, tmp_path: Path) -> None:
    from speech_mlflow.promotion.usecases import target_of

    (tmp_path / "speech-mlflow.toml").write_text(table, "utf-8")
    settings = Settings.load(environ={}, directory=tmp_path)
    assert settings.targets
    for name in settings.targets:
        target_of(settings, name)


def test_every_hook_is_documented_with_its_arguments() -> None:
    functions = inspect.getmembers(hookspecs, inspect.isfunction)
    hooks = {name: hook for name, hook in functions if hasattr(hook, "speech_mlflow_spec")}
    for name, hook in hooks.items():
        assert f"`{name}({', '.join(inspect.signature(hook).parameters)})`" in README, name


def test_every_setting_and_command_is_documented() -> None:
    for name in Settings.model_fields:
        assert f"| `{name}` |" in README, name
    for name in COMMANDS:
        assert f"speech-mlflow {name}" in README or f"`{name}`" in README, name
