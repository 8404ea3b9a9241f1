"""What people install: an sdist that builds the wheel, a wheel that runs in an environment of its own, and types that hold.

The environment sees the packages that speech_mlflow asks for (those of this interpreter) and not the checkout, and connects to
nothing but this machine.
"""

from __future__ import annotations

import email
import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]

OFFLINE = '''
"""Connections leave this machine for nobody."""
import socket

_connect = socket.socket.connect


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the network is off: {address[0]}")
    return _connect(self, address)


socket.socket.connect = connect
'''

PROGRAM = '''
"""What a team writes, checked strictly."""

from __future__ import annotations

from collections.abc import Callable

import speech_mlflow as sm


def shorter(given: sm.EvaluatorInput) -> sm.EvaluatorOutput:
    ratios = [len(one.hypothesis) / max(1, len(one.reference)) for one in given.utterances]
    return sm.EvaluatorOutput({"length_ratio": sum(ratios) / len(ratios)}, columns={"length ratio": ratios})


@sm.hookimpl
def register_evaluators(register: Callable[[sm.Evaluator], None]) -> None:
    register(sm.Evaluator("length", shorter))


def improve(folder: str) -> float:
    corpus: sm.Corpus = sm.read_corpus(folder, locale="en-US")
    with sm.connect() as speech:
        trained = sm.train(speech, name="clinic", data=[corpus], registered_model="clinic")
        tested = sm.test(speech, data=corpus, models=["base", trained.model])
    if not isinstance(tested.comparison, sm.Comparison):  # nothing to compare, or more than two models
        return 0.0
    return tested.comparison.difference


first: sm.Score = sm.score(["a b"], ["a c"])
second: sm.Score = sm.score(["a b"], ["a b"])
comparison: sm.Comparison = sm.compare(first, second)
print(f"{first.wer:.2f} {comparison.difference:+.2f} {sm.Settings.load().locale}")
try:
    sm.score(["a"], [])
except sm.SpeechMlflowError as error:
    print(error.message, error.hint or "")
'''


def succeed(*command: str | Path, cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**clean_environment(), **environ}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPEECH_MLFLOW_", "MLFLOW_"))}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sdist")
    succeed(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", target, cwd=ROOT)
    (built,) = target.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, so that nothing comes from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():  # (the filter of extractall is not in every supported Python)
            assert not member.name.startswith(("/", "..")), member.name
        archive.extractall(folder)
    (source,) = folder.iterdir()
    succeed(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=source)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    programs = folder / "bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    (site / "asked_for.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")  # a .pth of that folder is not followed
    (site / "sitecustomize.py").write_text(OFFLINE)
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet", "--no-deps", "--no-index")
    succeed(*pip, wheel, cwd=folder)
    return programs


def test_the_sdist_has_what_the_tests_and_the_plugins_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "Makefile", "pyproject.toml", "tests/conftest.py", "examples/clinic/metadata.csv"} <= names
    assert "plugins/_template/pyproject.toml" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db"))]


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {
            name for name in archive.namelist() if ".dist-info/" not in name and not name.startswith("speech_mlflow/examples/")
        }
        assert "speech_mlflow/examples/clinic/testing/t01.wav" in archive.namelist()
    package = ROOT / "speech_mlflow"
    files = {f"speech_mlflow/{path.relative_to(package).as_posix()}" for path in package.rglob("*") if path.is_file()}
    assert names == {name for name in files if "__pycache__" not in name}
    assert "speech_mlflow/py.typed" in names


def test_the_metadata_says_what_is_true(wheel: Path) -> None:
    import speech_mlflow

    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
        (entries,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert b"speech-mlflow = speech_mlflow.cli:main" in archive.read(entries)
    assert (metadata["Version"], metadata["License-Expression"]) == (speech_mlflow.__version__, "MIT")
    assert metadata["Requires-Python"] == ">=3.10"
    supported = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if "Python :: 3." in line]
    assert supported == ["3.10", "3.11", "3.12", "3.13"]


def test_installed_alone_it_starts_the_demo_with_the_network_off(environment: Path, tmp_path: Path) -> None:
    where = succeed(environment / "python", "-c", "import speech_mlflow; print(speech_mlflow.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment.parent)
    blocked = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    refused = subprocess.run([environment / "python", "-c", blocked], capture_output=True, text=True, cwd=tmp_path)
    assert "the network is off" in refused.stderr
    command = [str(environment / "speech-mlflow"), "demo", "--dir", str(tmp_path / "demo")]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("3/7"):
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.stdout.close()
        assert process.wait(120) == 130
    finally:
        process.kill()
        process.wait()
        succeed(environment / "speech-mlflow", "emulator", "stop", "--state-dir", tmp_path / "demo" / "speech", cwd=tmp_path)
    assert [line for line in said if "testing: Acoustic, 66 lines accepted" in line], said


def test_a_program_that_uses_the_public_names_is_typed_strictly_and_runs(environment: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    (tmp_path / "program.py").write_text(PROGRAM)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", tmp_path / "cache")
    succeed(*mypy, "--python-executable", environment / "python", "program.py", cwd=tmp_path)
    wrong = PROGRAM.replace("tested.comparison.difference", "tested.comparison.diffrence").replace("sm.compare(", "sm.compre(")
    (tmp_path / "wrong.py").write_text(wrong)
    command = [str(word) for word in (*mypy, "--python-executable", environment / "python", "wrong.py")]
    refused = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert 'has no attribute "diffrence"' in refused.stdout
    assert 'has no attribute "compre"' in refused.stdout
    out = succeed(environment / "python", "program.py", cwd=tmp_path)
    assert out.startswith("0.50 -0.50 en-US\n")
