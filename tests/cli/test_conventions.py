"""What holds for every command: examples, shared options, errors in words, no secrets, colours off when asked, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from speech_mlflow.emulator.options import StateProgress
from tests.cli.contract import AFTER_THE_DEMO, CONTRACT, ELSEWHERE, missing
from tests.cli.reference import difference
from tests.cli.test_cli import run
from tests.cli.tools import in_terminal
from tests.cli.walking import ALL, GROUPS, LEAVES, options
from tests.fixtures.emulator import RunningEmulator
from tests.tools import require_tool
from tests.waiting import until

CANARY = "canary-key-0815-4711"
SHARED = {"--json", "--debug", "--no-color"}
VERBS = {"base", "best", "check", "copy", "coverage", "diff", "expiring", "list", "schema", "show", "status", "stop", "upload"}


@pytest.mark.parametrize("name", ALL)
def test_every_help_says_what_the_command_is_for_and_gives_an_example(name: str) -> None:
    shown = ALL[name].get_help(click.Context(ALL[name], info_name=f"speech-mlflow {name}"))
    assert shown.startswith(f"Usage: speech-mlflow {name}")
    text = ALL[name].help or ""
    assert re.match(r"[A-Z].+[.:?]", text.split("\n\n")[0].replace("\n", " ")), name
    assert re.search(rf"^\s*speech-mlflow {re.escape(name)}(\s|$)", text, re.MULTILINE), f"no example of {name}"


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained(name: str) -> None:
    silent = [option for option, known in options(ALL[name]).items() if not known.help and not known.hidden]
    assert silent == []


@pytest.mark.parametrize("name", ALL)
def test_an_option_that_takes_a_value_shows_so(name: str) -> None:
    assert [option for option, known in options(ALL[name]).items() if not known.is_flag and known.metavar == ""] == []


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_no_summary_in_the_list_of_a_group_is_cut_off(name: str) -> None:
    shown = ALL[name].get_help(click.Context(ALL[name], info_name=f"speech-mlflow {name}"))
    assert "..." not in shown.partition("\nCommands:\n")[2]


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_the_shared_options(name: str) -> None:
    assert set(options(LEAVES[name])) >= SHARED


def test_what_every_command_prints_as_json_is_written_down_and_checked() -> None:
    assert set(CONTRACT) == set(LEAVES)
    assert set(AFTER_THE_DEMO) | ELSEWHERE == set(LEAVES)


def test_the_reference_in_the_readme_is_that_of_the_commands() -> None:
    assert difference() == "", "python -m tests.cli.reference writes it anew"


def test_groups_are_nouns_and_what_is_in_them_is_said_in_known_words() -> None:
    assert {name.split()[1] for name in ALL if " " in name} <= VERBS
    assert all(isinstance(ALL[name], click.Group) for name in GROUPS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["models", "lsit"], "Did you mean 'list'?"),
        (["models", "list", "--nmae", "x"], "--name"),
        (["promote", "clinic"], "clinic-en-us/2"),
    ],
)
def test_what_is_misspelt_is_a_usage_error_that_names_the_nearest(arguments: list[str], said: str, tmp_path: Path) -> None:
    failed = run(*arguments, cwd=tmp_path, code=2)
    assert said in failed.stderr
    assert "--help' for help" in failed.stderr
    assert failed.stdout == ""


def test_an_error_is_one_line_with_the_cause_and_one_with_the_next_step(tmp_path: Path) -> None:
    done = run("transcribe", __file__, "--endpoint-id", "x", "--endpoint", "http://127.0.0.1:9", cwd=tmp_path, code=3, **KEY)
    assert re.fullmatch(r"error: .+\n  → .+\n", done.stderr)


def test_an_error_of_mlflow_is_shown_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, and it is long enough to be looked at as one" * 9)
    done = run("models", "list", cwd=tmp_path, code=1)
    *_, cause, step = done.stderr.splitlines()
    assert re.match(r"error: \w+: ", cause)
    assert step.startswith("  → ")
    assert "Traceback" not in done.stderr


KEY = {"SPEECH_MLFLOW_KEY": CANARY}
SHOWN = re.compile(r"error: .+\n  → .+\n")
"""An error of one line."""


@pytest.mark.slow
def test_an_mlflow_server_that_is_not_there_is_said_before_any_work_and_without_its_password(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("good morning\n", "utf-8-sig")
    server, database = f"http://me:{CANARY}@127.0.0.1:9", f"postgresql+psycopg2://me:{CANARY}@127.0.0.1:9/mlflow"
    for uri, command in ((database, ("models", "list")), (server, ("train", str(words), "--name", "m"))):
        asked = (*command, "--tracking-uri", uri, "--endpoint", "http://127.0.0.1:9")
        said = run(*asked, cwd=tmp_path, code=1, **KEY).stderr
        assert SHOWN.fullmatch(said)
        assert "cannot be reached: 127.0.0.1:9: Connection refused" in said
        assert CANARY not in said


def test_a_store_that_cannot_be_written_is_said_at_once_and_by_doctor(tmp_path: Path) -> None:
    there = tmp_path / "file"
    there.write_text("no folder")
    uri = f"sqlite:///{there / 'mlflow.db'}"  # nobody, root included, makes a file below a file
    assert SHOWN.fullmatch(said := run("models", "list", "--tracking-uri", uri, cwd=tmp_path, code=1).stderr)
    assert "no permission to write" in said
    assert re.search(
        r"^fail  mlflow .* cannot be opened", run("doctor", "--tracking-uri", uri, cwd=tmp_path, code=1).stdout, re.M
    )


def test_a_credential_that_is_missing_is_one_line_and_not_a_page_about_each_way_to_sign_in(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "HOME": str(tmp_path), "AZURE_TENANT_ID": "", "AZURE_CLIENT_ID": ""}
    said = run("data", "list", "--endpoint", "http://127.0.0.1:9", cwd=tmp_path, code=1, **nothing).stderr
    assert SHOWN.fullmatch(said)


@pytest.mark.parametrize(
    ("arguments", "code", "cause", "step"),
    [
        (["endpoints", "show", "nope"], 1, "404 NotFound: The endpoint nope was not found.", "`endpoints list`"),
        (["transcribe", "words.txt", "--model", "no"], 1, "error: there is no registered model named 'no'\n", "models list"),
        (["test", "words.txt", "--model", "base"], 3, "words.txt: 1 error", "mend what is named"),
        (["data", "list", "--endpoint", CANARY], 2, "error: the endpoint is not a URL like", "Keys and Endpoint"),
        (["score", "ref.trn", "ref.trn", "--report", "no/r.html"], 1, "error: no/r.html: No such file or directory", "path"),
    ],
)
def test_what_cannot_be_is_said_once_with_what_to_do_next(
    arguments: list[str], code: int, cause: str, step: str, emulator: RunningEmulator, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("good morning\n", "utf-8-sig")
    (tmp_path / "ref.trn").write_text("good morning (a-1)\n")
    environ = {"SPEECH_MLFLOW_ENDPOINT": emulator.url, "SPEECH_MLFLOW_KEY": emulator.key.get_secret_value()}
    said = run(*arguments, cwd=tmp_path, code=code, **environ).stderr
    *causes, last = said.splitlines()
    assert cause in said
    assert len(causes) == len(set(causes))
    assert last.startswith("  → ")
    assert step in last
    assert CANARY not in said


def test_a_wrong_key_is_told_without_saying_401_twice(emulator: RunningEmulator, tmp_path: Path) -> None:
    said = run("data", "list", "--endpoint", emulator.url, cwd=tmp_path, code=1, **KEY).stderr
    assert ": 401 Access denied" in said


def test_debug_shows_trace_and_log_without_the_key(emulator: RunningEmulator, tmp_path: Path) -> None:
    refused = run("models", "base", "--debug", "--endpoint", emulator.url, cwd=tmp_path, code=1, **KEY)
    assert "Traceback (most recent call last)" in refused.stderr
    assert "DEBUG" in refused.stderr
    assert "error: " in refused.stderr.splitlines()[-2]
    assert CANARY not in refused.stdout + refused.stderr


def test_every_secret_of_the_settings_is_known_and_replaced() -> None:
    from pydantic import SecretStr

    from speech_mlflow.cli.redact import STARS, hide, redact, secrets_in

    class Record:
        model_fields_set: frozenset[str] = frozenset()

        def __init__(self) -> None:
            self.inner = {"west": [SecretStr("canary-in-a-record")], "plain": "not secret"}

    assert list(secrets_in({"a": SecretStr("canary-at-the-top"), "b": Record()})) == ["canary-at-the-top", "canary-in-a-record"]
    hide(["canary-at-the-top"])
    for text in (
        "sent canary-at-the-top away",
        "{'Ocp-Apim-Subscription-Key': 'canary'}",
        "Authorization: Bearer canary.canary-canary",
        "PUT https://store/x?sv=1&sig=canary%2F&se=2",
        "postgresql://ann:canary@db/mlflow",
    ):
        assert "canary" not in redact(text)
        assert STARS in redact(text)
    assert redact("keys, tokens and https://host/path stay") == "keys, tokens and https://host/path stay"


def test_debug_hides_the_right_key_and_signed_links_too(emulator: RunningEmulator, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("good morning\n", "utf-8-sig")
    key = emulator.key.get_secret_value()
    done = run(
        *("data", "upload", str(words), "--kind", "Language", "--debug", "--endpoint", emulator.url),
        cwd=tmp_path,
        SPEECH_MLFLOW_KEY=key,
    )
    assert "DEBUG speech_mlflow.service" in done.stderr or "DEBUG httpcore" in done.stderr
    assert key not in done.stdout + done.stderr
    assert not re.search(r"sig=(?!\*)", done.stderr)


def test_progress_in_a_pipe_is_plain_lines_and_stdout_is_the_result_alone(emulator: RunningEmulator, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("good evening\n", "utf-8-sig")
    key = emulator.key.get_secret_value()
    common = ("data", "upload", str(words), "--kind", "Language", "--endpoint", emulator.url)
    done = run(*common, "--json", cwd=tmp_path, SPEECH_MLFLOW_KEY=key)
    assert json.loads(done.stdout)["status"] == "Succeeded"
    assert done.stderr == ""
    done = run(*common, cwd=tmp_path, SPEECH_MLFLOW_KEY=key)
    assert not set("\r\x1b") & set(done.stdout + done.stderr)


COLORS = re.compile(r"\x1b\[(\d+;)*(3[0-7]|9[0-7]|38)(;\d+)*m")


def test_colours_are_off_when_asked(tmp_path: Path) -> None:
    assert COLORS.search(in_terminal("doctor", cwd=tmp_path))
    assert not COLORS.search(in_terminal("doctor", "--no-color", cwd=tmp_path))
    assert not COLORS.search(in_terminal("doctor", cwd=tmp_path, NO_COLOR="1"))


@pytest.mark.slow
def test_ctrl_c_leaves_a_training_that_the_same_command_goes_on_with(
    start_emulator: Callable[..., RunningEmulator], tmp_path: Path
) -> None:
    service = start_emulator(progress=StateProgress("seconds", 3))
    words = tmp_path / "words.txt"
    words.write_text("take two tablets of aspirin\n" * 3, "utf-8-sig")
    command = [sys.executable, "-m", "speech_mlflow", "train", str(words), "--name", "clinic", "--endpoint", service.url]
    environ = {**os.environ, "SPEECH_MLFLOW_KEY": service.key.get_secret_value()}
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True)
    until(lambda: bool(service.api.get("/models").json()["values"]))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again to pick it up" in said
    assert "Traceback" not in said
    done = subprocess.run([*command, "--json"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    trained = json.loads(done.stdout)
    assert trained["version"] == "1"
    assert missing("train", trained) == set()
    assert len(service.api.get("/models").json()["values"]) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_prints_a_script_for_each_shell(shell: str, tmp_path: Path) -> None:
    document = json.loads(run("completion", shell, "--json", cwd=tmp_path).stdout)
    assert document["shell"] == shell
    assert f"_SPEECH_MLFLOW_COMPLETE={shell}_complete" in document["script"].replace("$env:", "").replace(' = "', "=")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    bash = require_tool("bash")
    (tmp_path / "completion.sh").write_text(run("completion", "bash", cwd=tmp_path).stdout)
    program = tmp_path / "speech-mlflow"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m speech_mlflow "$@"\n')
    program.chmod(0o755)
    script = """
        source ./completion.sh
        ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _speech_mlflow_completion $1; echo "${COMPREPLY[@]}"; }
        ask speech-mlflow prom
        ask speech-mlflow models l
        ask speech-mlflow train --wei
    """
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([bash, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["promote", "list", "--weight"], done.stderr


def test_powershell_is_answered_with_values_and_tips(tmp_path: Path) -> None:
    def completed(words: str, word: str) -> list[str]:
        environ = {"_SPEECH_MLFLOW_COMPLETE": "powershell_complete", "COMP_WORDS": words, "COMP_CWORD": word}
        return run(cwd=tmp_path, **environ).stdout.splitlines()

    assert completed("speech-mlflow prom", "prom")[0].startswith("promote\t")
    assert completed("speech-mlflow completion ", "")[-1] == "powershell\tpowershell"
