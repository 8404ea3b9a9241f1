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

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("speech-mlflow-*/pyproject.toml"))

LIST = """
import json
from speech_mlflow.plugins import create_manager, list_plugins
print(json.dumps([[p.name, p.version, p.hooks, p.error] for p in list_plugins(create_manager()) if not p.builtin]))
"""

TERMS = """
import json
from speech_mlflow.plugins import create_manager
from speech_mlflow.scoring.alignment import align
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, EvaluatorInput, evaluators, run_evaluators
reference, hypothesis = "continue apixaban and warfarin", "continue apixaban and war for in"
utterance = EvaluatedUtterance("a.wav", reference, hypothesis, align(reference.split(), hypothesis.split()))
given = EvaluatorInput("custom", "en-US", [utterance], lambda name: None)
outputs, failures = run_evaluators(given, evaluators(create_manager()))
print(json.dumps([{n: dict(o.metrics) for n, o in outputs.items()}, {f.name: f.reason for f in failures}]))
"""

WHISPER = """
import speech_mlflow as sm
print(sm.score(["I've taken twenty milligrams."], ["i have taken 20 milligrams"], normalizer="whisper-english").errors)
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
    assert {"domain-terms", "readers", "whisper-normalizer"} <= names


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
    assert metrics == {}
    assert "DOMAIN_TERMS" in failures["domain-terms"]


def test_installed_whisper_normalizer_is_found_by_its_name(install: Install) -> None:
    assert run(WHISPER, install("speech-mlflow-whisper-normalizer")).strip() == "0"


def test_installed_reader_reads(install: Install, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "clinic" / "testing" / "t01.wav", tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"audio_filepath": "t01.wav", "text": "hello"}\n', encoding="utf-8")
    assert run(MANIFEST, install("speech-mlflow-readers"), args=[str(manifest)]).strip() == "{'t01.wav': 'hello'}"


def test_template_copied_and_renamed_as_its_readme_says_is_a_plugin(tmp_path: Path) -> None:
    readme = (ROOT / "plugins" / "_template" / "README.md").read_text("utf-8")
    commands = readme.split("```")[1].strip()
    shutil.copytree(ROOT / "plugins" / "_template", tmp_path / "plugins" / "_template")
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True)
    mine = tmp_path / "speech-mlflow-mine"
    assert not [path for path in mine.rglob("*") if path.suffix in (".py", ".toml") and "template" in path.read_text("utf-8")]
    target = pip_install(mine, tmp_path / "installed")
    assert loaded(target)["mine"] == ("0.1.0", ["register_evaluators"], None)
    metrics, failures = json.loads(run(TERMS, target))
    assert failures == {}
    assert metrics["mine"] == {"long_word_error_rate": 1 / 3}  # of continue, apixaban, warfarin
    run_python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], [target], {}, cwd=mine)
