"""The public face: names, laziness, the tree of errors."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import speech_mlflow
from speech_mlflow import errors

HEAVY = ("mlflow", "numpy", "pocketsphinx", "httpx", "starlette", "pandas", "scipy", "azure", "rich")


def loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(' '.join(sorted(name for name in sys.modules if '.' not in name)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    ["import speech_mlflow", "from speech_mlflow.cli.main import cli\ncli.main(['--help'], standalone_mode=False)"],
    ids=["package", "help"],
)
def test_the_package_and_its_help_import_nothing_heavy(code: str) -> None:
    assert loaded_by(code) & set(HEAVY) == set()


def test_the_lowest_mlflow_that_is_tested_is_the_lowest_that_is_taken() -> None:
    root = Path(__file__).parents[1]
    (tested,) = re.findall(r"^LOWEST_MLFLOW := ([\d.]+)$", (root / "Makefile").read_text("utf-8"), re.MULTILINE)
    (taken,) = re.findall(r'"mlflow>=([\d.]+),', (root / "pyproject.toml").read_text("utf-8"))
    assert tested == f"{taken}.0"


@pytest.mark.parametrize("below", ["", ".corpus", ".pipeline", ".promotion", ".scoring", ".service", ".workflow"])
def test_public_names_are_all_there(below: str) -> None:
    package = importlib.import_module(f"speech_mlflow{below}")
    assert sorted(package.__all__) == sorted(name for name in dir(package) if not name.startswith("__"))
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = speech_mlflow.nothing


def drawn_tree() -> dict[str, str | None]:
    """Class → base class, read from the drawing at the top of errors.py."""
    parents: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip().removeprefix("+ ").split(" ")[0]
        if not name.endswith("Error") or not line.startswith("    "):
            continue
        depth = len(line) - len(line.lstrip(" +"))
        while path and path[-1][0] >= depth:
            path.pop()
        parents[name] = path[-1][1] if path else None
        path.append((depth, name))
    return parents


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    classes = {
        name: cls for name, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.SpeechMlflowError)
    }
    real = {name: None if cls.__bases__[0] is Exception else cls.__bases__[0].__name__ for name, cls in classes.items()}
    assert drawn_tree() == real


def test_an_api_error_says_what_support_needs() -> None:
    error = errors.ConflictError(
        "the model is in use", status=409, code="Conflict", inner_code="InUseViolation", target="model", request_id="r-1"
    )
    assert str(error) == "request r-1: 409 Conflict/InUseViolation: the model is in use (target: model)"
    assert not error.retryable
    assert errors.RateLimitError("slow down", status=429).retryable
