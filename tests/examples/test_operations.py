"""What the page for operators says is so: units, containers, commands, messages and metrics."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from speech_mlflow.promotion.counts import Counts, metrics, render

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
UNITS = sorted((EXAMPLES / "systemd").glob("*.service"))
PAGE = (ROOT / "README.md").read_text("utf-8").split("\n## Operations\n")[1].split("\n## ")[0]
PROGRAMS = {"speech-mlflow": "speech_mlflow", "mlflow": "mlflow"}


def helps(words: list[str]) -> str:
    """The help of the command that a line names, without running it; every option of the line must be in it."""
    program, *rest = words
    group = [word for word in rest[:1] if not word.startswith("-")]
    command = [sys.executable, "-m", PROGRAMS[Path(program).name], *group, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
        assert option in done.stdout, (option, done.stdout)
    return done.stdout


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text("utf-8"))
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_again_and_its_command_exists(path: Path) -> None:
    parsed = unit(path)
    assert set(parsed.sections()) == {"Unit", "Service", "Install"}
    service = parsed["Service"]
    assert service["Restart"] == "always"
    assert service["EnvironmentFile"].startswith("/etc/speech-mlflow/")
    assert not re.search(r"(?i)(key|secret|password)=", service["ExecStart"])
    helps(shlex.split(service["ExecStart"]))


def test_the_units_and_the_containers_run_the_two_programs_that_the_page_names() -> None:
    commands = {shlex.split(unit(path)["Service"]["ExecStart"])[0].rpartition("/")[2] for path in UNITS}
    assert commands == {"mlflow", "speech-mlflow"}
    for path in (*UNITS, *(EXAMPLES / "compose").iterdir()):
        assert path.parent.name in PAGE


def containerfile() -> dict[str, str]:
    lines = (EXAMPLES / "compose" / "Containerfile").read_text("utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def test_the_containers_run_commands_that_exist_as_another_user() -> None:
    built = containerfile()
    assert built["USER"] not in {"root", "0"}
    helps([*json.loads(built["ENTRYPOINT"]), *json.loads(built["CMD"])])
    composed: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose" / "compose.yaml").read_text("utf-8"))
    for name, service in composed["services"].items():
        entry = service.get("entrypoint") or json.loads(built["ENTRYPOINT"])
        helps([*entry, *service["command"]])
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["env_file"] == "environment"
    watch, server = composed["services"]["watch"], composed["services"]["mlflow"]
    port = watch["command"][watch["command"].index("--listen") + 1].rpartition(":")[2]
    assert server["environment"]["SPEECH_MLFLOW_RECEIVER_URL"] == f"http://watch:{port}"
    assert watch["environment"]["SPEECH_MLFLOW_TRACKING_URI"] in ("http://mlflow:5000",)
    assert "--port=5000" in server["command"]


def test_the_image_holds_what_the_package_is_built_from_and_nothing_else_of_the_folder(tmp_path: Path) -> None:
    """The folder that it is built in may hold a file of secrets, as compose.yaml asks for one."""
    lines = (EXAMPLES / "compose" / "Containerfile").read_text("utf-8").splitlines()
    for *sources, target in (line.split()[1:] for line in lines if line.startswith("COPY ")):
        for source in sources:
            copied = ROOT / source
            assert copied != ROOT
            assert not (EXAMPLES / "compose").is_relative_to(copied)
            into = tmp_path / target.strip("/")
            if copied.is_dir():
                shutil.copytree(copied, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(copied, into)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path / "src", check=True, capture_output=True, timeout=200)
    assert len(list(tmp_path.glob("speech_mlflow-*.whl"))) == 1


def test_the_server_is_not_given_the_key_of_the_speech_resource() -> None:
    composed = yaml.safe_load((EXAMPLES / "compose" / "compose.yaml").read_text("utf-8"))
    assert composed["services"]["mlflow"]["environment"]["SPEECH_MLFLOW_KEY"] == ""  # comes before the file
    (server,) = [unit(path)["Service"] for path in UNITS if "mlflow server" in unit(path)["Service"]["ExecStart"]]
    assert server["UnsetEnvironment"] == "SPEECH_MLFLOW_KEY"


def test_the_settings_in_the_examples_exist() -> None:
    from speech_mlflow.settings import PREFIX, Settings

    known = {PREFIX + name.upper() for name in Settings.model_fields}
    texts = [path.read_text("utf-8") for folder in ("systemd", "compose") for path in (EXAMPLES / folder).iterdir()]
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+", "".join(texts)))
    assert named
    assert named <= known


def rows(table: str) -> list[list[str]]:
    """The rows of the table in the page whose head begins with this word."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {table} |")) + 2
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def test_the_metrics_that_the_page_names_exist() -> None:
    counts = Counts(next_expiry_at=1.0)
    counts.polled(1)
    counts.resynced(0)
    text = render(metrics(counts))
    named = [row[0].strip("`") for row in rows("metric")]
    assert len(named) >= 6
    for name in named:
        assert f"# TYPE {name} " in text


def test_the_messages_that_the_page_shows_are_those_of_the_program() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "speech_mlflow").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # a message may be written in several lines
    shown = [row[0].strip("`") for row in rows("message")]
    assert len(shown) >= 10
    for message in shown:
        for fragment in message.split("…"):
            words = fragment.strip(" ,;:")
            assert words in source or words.partition(": ")[2] in source, (message, words)
