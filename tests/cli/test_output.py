"""Tables and progress: names are shown as they are, in a pipe and on a terminal, wide or narrow."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from speech_mlflow.errors import PromotionError
from tests.cli.test_cli import run
from tests.cli.tools import answer, in_terminal, invoke, on_terminal, where
from tests.fixtures.emulator import RunningEmulator
from tests.fixtures.mlflow import MlflowStore

ODD = "run [v2] :smile: [/x]"


@pytest.fixture
def transcripts(tmp_path: Path) -> tuple[str, str]:
    """Files of references and of hypotheses for ``score``."""
    (tmp_path / "ref.trn").write_text("take two tablets (a-1)\n")
    (tmp_path / "hyp.trn").write_text("take too tablets (a-1)\n")
    return "ref.trn", "hyp.trn"


def test_a_name_in_a_table_is_shown_as_it_is(transcripts: tuple[str, str], tmp_path: Path) -> None:
    assert ODD in run("score", *transcripts, "--name", ODD, cwd=tmp_path).stdout
    assert ODD in in_terminal("score", *transcripts, "--name", ODD, cwd=tmp_path)


def test_a_name_in_a_bar_of_progress_is_shown_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from speech_mlflow.cli.progress import show\n"
        "from speech_mlflow.progress import ProgressEvent\n"
        "with show() as progress:\n"
        f"    progress(ProgressEvent({ODD!r}, 1, 2, 'files', 'note {ODD}'))\n"
    )
    shown = on_terminal([sys.executable, str(program)], cwd=tmp_path)
    assert shown.count(ODD) >= 2
    assert "Error" not in shown


def test_letters_that_the_terminal_does_not_have_are_no_error(transcripts: tuple[str, str], tmp_path: Path) -> None:
    environ = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert "33.3 %" in run("score", *transcripts, "--name", "ü模", cwd=tmp_path, **environ).stdout
    document = json.loads(run("score", *transcripts, "--name", "ü模", "--json", cwd=tmp_path, **environ).stdout)
    assert document["models"][0]["model"] == "ü模"


def test_a_row_in_a_pipe_is_one_line_and_on_a_narrow_terminal_a_block(transcripts: tuple[str, str], tmp_path: Path) -> None:
    long = "x" * 300
    piped = run("score", *transcripts, "--name", long, cwd=tmp_path).stdout.splitlines()
    (line,) = [line for line in piped if "33.3 %" in line]
    assert long in line
    narrow = in_terminal("score", *transcripts, "--name", "y" * 50, cwd=tmp_path, COLUMNS="60").splitlines()
    assert [line.split() for line in narrow if "y" * 50 in line] == [["model", "y" * 50]]
    assert ["words", "3"] in [line.split() for line in narrow]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan"], "no speech models are registered"),
        (["apply"], "no speech models are registered"),
        (["history", "nope"], "no promotions of nope"),
        (["models", "list"], "no registered versions yet"),
        (["models", "base", "--locale", "xx-YY"], "there is no base model for xx-YY"),
    ],
)
def test_nothing_is_said_in_words_and_is_an_empty_list_in_json(
    arguments: list[str], said: str, emulator: RunningEmulator, mlflow_store: MlflowStore
) -> None:
    environ = where(emulator.state_dir, mlflow_store.uri)
    assert invoke(*arguments, **environ).stdout.startswith(said)
    assert answer(*arguments, **environ) == []


def test_what_is_no_plan_is_told_from_a_plan(tmp_path: Path, emulator: RunningEmulator, mlflow_store: MlflowStore) -> None:
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(PromotionError, match="is not the plan of one model"):
        invoke("apply", "--plan", str(tmp_path / "plan.json"), **where(emulator.state_dir, mlflow_store.uri))
