"""Each package in plugins/ is installed alone, by pip, into a directory of its own, and found through its entry point.

What runs here is what a user gets: another process, with the installed files on its path and not the checkout's plugin folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
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
reference, hypothesis = "start apixaban and warfarin", "start apixaban and war for in"
utterance = EvaluatedUtterance("a.wav", reference, hypothesis, align(reference.split(), hypothesis.split()))
given = EvaluatorInput("custom", "en-US", [utterance], lambda name: None)
outputs, failures = run_evaluators(given, evaluators(create_manager()))
print(json.dumps([dict(outputs["domain-terms"].metrics) if outputs else None, [f.reason for f in failures]]))
"""

Install = Callable[[str], Path]


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Install a package of plugins/ by name; the directory that holds it."""
    made: dict[str, Path] = {}

    def installed(name: str) -> Path:
        if name not in made:
            target = tmp_path_factory.mktemp(name)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--no-build-isolation", "--no-index", "--target", str(target), str(ROOT / "plugins" / name)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            made[name] = target
        return made[name]

    return installed


def run(code: str, *paths: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in another process, with paths before all others and no plugin blocked unless asked."""
    variables = {k: v for k, v in os.environ.items() if k not in ("SPEECH_MLFLOW_DISABLED_PLUGINS", "DOMAIN_TERMS")}
    variables["PYTHONPATH"] = os.pathsep.join(str(path) for path in (*paths, ROOT))
    done = subprocess.run([sys.executable, "-c", code], env={**variables, **environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def loaded(*paths: Path, **environ: str) -> dict[str, tuple[str, list[str], str | None]]:
    """Version, hooks and error of each plugin that is not built in."""
    rows = json.loads(run(LIST, *paths, **environ).stdout)
    return {name: (version, hooks, error) for name, version, hooks, error in rows}


def test_there_are_plugins() -> None:
    assert "speech-mlflow-domain-terms" in {path.name for path in PLUGINS}


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
    metrics, failures = json.loads(run(TERMS, target, DOMAIN_TERMS=str(terms)).stdout)
    assert failures == []
    assert metrics["term_recall"] == 0.5
    metrics, failures = json.loads(run(TERMS, target).stdout)
    assert metrics is None
    assert "DOMAIN_TERMS" in failures[0]
