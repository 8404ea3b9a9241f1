"""Each package in plugins/ is installed alone, by pip, into a directory of its own, and found through its entry point.

What runs here is what a user gets: another process, with the installed files on its path and not the checkout's plugin folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.fixtures.mlflow import MlflowStore

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("speech-mlflow-*/pyproject.toml"))

LIST = """
import json
from speech_mlflow.plugins import create_manager, list_plugins
print(json.dumps([[p.name, p.version, p.hooks, p.error] for p in list_plugins(create_manager()) if not p.builtin]))
"""

TERMS = """
import json
from speech_mlflow.scoring.alignment import align
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, EvaluatorInput, evaluators, run_evaluators
reference, hypothesis = "continue apixaban and warfarin", "continue apixaban and war for in"
utterance = EvaluatedUtterance("a.wav", reference, hypothesis, align(reference.split(), hypothesis.split()))
given = EvaluatorInput("custom", "en-US", [utterance], lambda name: None)
outputs, failures = run_evaluators(given, evaluators())
print(json.dumps([{n: dict(o.metrics) for n, o in outputs.items()}, {f.name: f.reason for f in failures}]))
"""

WHISPER = """
import speech_mlflow as sm
print(sm.score(["I've taken twenty milligrams."], ["i have taken 20 milligrams"], normalizer="whisper-english").errors)
"""

APPROVE = """
import json, sys
from mlflow import MlflowClient
from speech_mlflow.cli.main import cli
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.decisions import Candidate
from speech_mlflow.promotion.gates import evaluate
from speech_mlflow.promotion.target import Target

def allowed():
    model = registry.read(MlflowClient(sys.argv[1], sys.argv[1]), "clinic")
    candidate = Candidate(model, model.version("1"), Target(), author="ann")
    return [decision.passed for decision in evaluate(candidate) if decision.gate == "approvals"]

seen = [allowed()]
for who in ("ann", "bob", "BOB", "cy"):
    cli.main(["approve", "clinic/1", "--by", who, "--tracking-uri", sys.argv[1]], standalone_mode=False)
    seen.append(allowed())
print(json.dumps(seen))
"""

RUN_TAGS = """
import json
from speech_mlflow.tracking.runs import _from_hooks
print(json.dumps(_from_hooks("train")))
"""

ENGINES = """
from speech_mlflow.emulator.engine import engines
print(sorted(engines()))
"""

MANIFEST = """
import speech_mlflow as sm, sys
print({u.id: u.text for u in sm.read_corpus(sys.argv[1], locale="en-US").utterances})
"""

Install = Callable[[str], Path]


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Install a package of plugins/ by name; the directory that holds it."""
    made: dict[str, Path] = {}

    def installed(name: str) -> Path:
        if name not in made:
            made[name] = pip_install(ROOT / "plugins" / name, tmp_path_factory.mktemp(name))
        return made[name]

    return installed


def pip_install(package: Path, target: Path) -> Path:
    """Install a package without its dependencies, which this environment has, and without the network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(target), str(package)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def run(code: str, *paths: Path, args: Sequence[str] = (), **environ: str) -> str:
    """Run Python code in another process, with paths before all others and no plugin blocked unless asked; its output."""
    return run_python(["-c", code, *args], paths, environ)


def run_python(arguments: Sequence[str], paths: Sequence[Path], environ: Mapping[str, str], cwd: Path = ROOT) -> str:
    variables = {k: v for k, v in os.environ.items() if k not in ("SPEECH_MLFLOW_DISABLED_PLUGINS", "DOMAIN_TERMS")}
    variables["PYTHONPATH"] = os.pathsep.join(str(path) for path in (*paths, ROOT))
    done = subprocess.run([sys.executable, *arguments], env={**variables, **environ}, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loaded(*paths: Path, **environ: str) -> dict[str, tuple[str, list[str], str | None]]:
    """Version, hooks and error of each plugin that is not built in."""
    rows = json.loads(run(LIST, *paths, **environ))
    return {name: (version, hooks, error) for name, version, hooks, error in rows}


def test_there_are_plugins() -> None:
    names = {path.name.removeprefix("speech-mlflow-") for path in PLUGINS}
    assert {"approval", "domain-terms", "notify", "readers", "run-tags", "vosk", "whisper-normalizer"} <= names


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)
def test_plugin_is_found_through_its_entry_point(folder: Path, install: Install) -> None:
    name = folder.name.removeprefix("speech-mlflow-")
    version, hooks, error = loaded(install(folder.name))[name]
    assert error is None
    assert version == "0.1.0"
    assert hooks


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)
def test_plugin_has_a_readme_and_tests_and_brings_no_other_module(folder: Path, install: Install) -> None:
    assert (folder / "README.md").read_text("utf-8").startswith(f"# {folder.name}\n")
    assert list((folder / "tests").glob("test_*.py"))
    modules = {path.name for path in install(folder.name).iterdir() if not path.name.endswith(".dist-info")}
    assert modules - {"__pycache__"} == {f"{folder.name.replace('-', '_')}.py"}


def test_plugin_can_be_blocked_by_name(install: Install) -> None:
    target = install("speech-mlflow-domain-terms")
    assert "domain-terms" not in loaded(target, SPEECH_MLFLOW_DISABLED_PLUGINS="domain-terms")
    assert "domain-terms" not in loaded()


def test_installed_domain_terms_measure(install: Install, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("apixaban\nwarfarin\n", encoding="utf-8")
    target = install("speech-mlflow-domain-terms")
    metrics, failures = json.loads(run(TERMS, target, DOMAIN_TERMS=str(terms)))
    assert failures == {}
    assert metrics["domain-terms"]["term_recall"] == 0.5
    metrics, failures = json.loads(run(TERMS, target))
    assert "domain-terms" not in metrics
    assert "DOMAIN_TERMS" in failures["domain-terms"]


def test_installed_whisper_normalizer_is_found_by_its_name(install: Install) -> None:
    assert run(WHISPER, install("speech-mlflow-whisper-normalizer")).strip() == "0"


def test_installed_reader_reads(install: Install, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "clinic" / "testing" / "t01.wav", tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"audio_filepath": "t01.wav", "text": "hello"}\n', encoding="utf-8")
    assert run(MANIFEST, install("speech-mlflow-readers"), args=[str(manifest)]).strip() == "{'t01.wav': 'hello'}"


def test_installed_approval_adds_its_command_and_its_gate(install: Install, mlflow_store: MlflowStore, tmp_path: Path) -> None:
    target = install("speech-mlflow-approval")
    mlflow_store.client.create_registered_model("clinic")
    mlflow_store.client.create_model_version("clinic", source="azure-speech://x")

    commands = run_python(["-m", "speech_mlflow", "--help"], [target], {}, cwd=tmp_path).partition("Plugin commands:")[2]
    assert commands.split()[:1] == ["approve"]
    *said, allowed = run(APPROVE, target, args=[mlflow_store.uri]).splitlines()
    assert json.loads(allowed) == [[False], [False], [False], [False], [True]]
    assert said[-1] == "clinic/1: approved by ann, bob, cy; 2 needed, the author not counted"
    assert mlflow_store.client.get_model_version("clinic", "1").tags["speech.approved_by"] == "ann, bob, cy"


def test_installed_run_tags_are_put_on_runs(install: Install) -> None:
    tags = json.loads(run(RUN_TAGS, install("speech-mlflow-run-tags"), GITHUB_ACTIONS="true", GITHUB_SHA="c0ffee"))
    assert (tags["ci.name"], tags["git.commit"]) == ("GitHub Actions", "c0ffee")


def test_installed_vosk_is_an_engine_where_models_are_named(install: Install, tmp_path: Path) -> None:
    target = install("speech-mlflow-vosk")
    (tmp_path / "am").mkdir()
    (tmp_path / "am" / "final.mdl").touch()
    assert run(ENGINES, target, VOSK_MODELS=f"ko-KR={tmp_path}").strip() == "['pocketsphinx', 'vosk']"
    assert run(ENGINES, target, VOSK_MODELS="ko-KR=/nowhere").strip() == "['pocketsphinx']"


def test_template_copied_and_renamed_as_the_readme_says_is_a_plugin(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (commands,) = [block for block in readme.split("```") if "cp -r plugins/_template" in block]
    commands = commands.removeprefix("sh\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--of-the-checkout-alone'\n", "utf-8")
    shutil.copytree(ROOT / "plugins" / "_template", tmp_path / "plugins" / "_template")
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True)
    mine = tmp_path / "speech-mlflow-mine"
    kinds = (".py", ".toml", ".md")
    assert not [path for path in mine.rglob("*") if path.suffix in kinds and "template" in path.read_text("utf-8")]
    target = pip_install(mine, tmp_path / "installed")
    assert loaded(target)["mine"] == ("0.1.0", ["register_evaluators"], None)
    metrics, failures = json.loads(run(TERMS, target))
    assert failures == {}
    assert metrics["mine"] == {"long_word_error_rate": 1 / 3}  # of continue, apixaban, warfarin
    run_python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], [target], {}, cwd=mine)
