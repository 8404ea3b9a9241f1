"""The plugin manager: built-ins, installed plugins, and broken ones that break nothing else."""

from __future__ import annotations

import inspect
import logging
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from speech_mlflow import hookspecs, plugins
from speech_mlflow.cli.lazy import any_installed
from speech_mlflow.cli.main import COMMANDS
from speech_mlflow.cli.plugin_commands import problems, registered_commands
from speech_mlflow.plugins import create_manager, list_plugins, registered

GOOD = """
import speech_mlflow

@speech_mlflow.hookimpl
def register_evaluators(register):
    register(speech_mlflow.Evaluator("good", lambda given: {"good": 1.0}))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Put a plugin on the path as pip would: a module and its metadata."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name: str, source: str, *, version: str = "1.2", entry: str = "") -> None:
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[speech_mlflow]\n{entry or name} = {name}\n", "utf-8")

    yield put
    for name in [
        name for name, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(str(tmp_path))
    ]:
        del sys.modules[name]


def test_built_ins_are_loaded_like_any_plugin() -> None:
    listed = {plugin.name: plugin for plugin in list_plugins(create_manager({plugins.BLOCKED: "*"}))}
    assert set(listed) == set(plugins.BUILTIN)
    assert all(plugin.builtin for plugin in listed.values())


def test_an_installed_plugin_is_found_by_its_entry_point(install) -> None:  # type: ignore[no-untyped-def]
    install("good_plugin", GOOD)
    manager = create_manager({})
    listed = {plugin.name: plugin for plugin in list_plugins(manager)}
    assert listed["good_plugin"].version == "1.2"
    assert listed["good_plugin"].hooks == ("register_evaluators",)
    assert "good" in registered("register_evaluators", lambda evaluator: evaluator.name, manager=manager)


def test_a_plugin_can_be_blocked_by_name(install) -> None:  # type: ignore[no-untyped-def]
    install("blocked_plugin", GOOD)
    manager = create_manager({plugins.BLOCKED: "other, blocked_plugin"})
    assert "blocked_plugin" not in {plugin.name for plugin in list_plugins(manager)}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no licence')", "no licence"),
        ("import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_evaluator(register): pass", "register_evaluator"),
        ("import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_evaluators(register, nonsense): pass", "nonsense"),
        ("import sys\nsys.exit('no licence')", "SystemExit: no licence"),
    ],
    ids=["import error", "misspelt hook", "wrong signature", "exit"],
)
def test_a_broken_plugin_is_named_and_breaks_nothing_else(install, source: str, said: str) -> None:  # type: ignore[no-untyped-def]
    install("broken_plugin", source)
    install("healthy_plugin", GOOD)
    manager = create_manager({})
    listed = {plugin.name: plugin for plugin in list_plugins(manager)}
    assert said in (listed["broken_plugin"].error or "")
    assert listed["healthy_plugin"].error is None
    assert "good" in registered("register_evaluators", lambda evaluator: evaluator.name, manager=manager)


def test_a_plugin_that_is_left_out_leaves_none_of_its_hooks_behind(install) -> None:  # type: ignore[no-untyped-def]
    right = "@speech_mlflow.hookimpl\ndef promotion_gate(candidate): pass\n"
    wrong = "@speech_mlflow.hookimpl\ndef register_evaluators(register, nonsense): pass\n"
    install("half_plugin", f"import speech_mlflow\n{right}{wrong}")
    manager = create_manager({})
    (listed,) = [plugin for plugin in list_plugins(manager) if plugin.name == "half_plugin"]
    assert (listed.hooks, "nonsense" in (listed.error or "")) == ((), True)
    assert "half_plugin" not in [implementation.plugin_name for implementation in manager.hook.promotion_gate.get_hookimpls()]


def test_a_plugin_that_raises_in_a_hook_stops_nobody_else(install) -> None:  # type: ignore[no-untyped-def]
    install("raising_plugin", "import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_evaluators(register): raise OSError")
    install("second_plugin", GOOD)
    found = registered("register_evaluators", lambda evaluator: evaluator.name, manager=create_manager({}))
    assert "good" in found


def test_of_two_plugins_with_one_name_the_second_is_left_out(install) -> None:  # type: ignore[no-untyped-def]
    install("twin_of_one", GOOD, version="1.0", entry="twin")
    install("twin_of_two", GOOD, version="2.0", entry="twin")
    manager = create_manager({})
    taken, left_out = (plugin for plugin in list_plugins(manager) if plugin.name == "twin")
    assert f"twin_of_{'one' if taken.version == '1.0' else 'two'}" == manager.get_plugin("twin").__name__
    assert {taken.version, left_out.version} == {"1.0", "2.0"}
    assert (taken.error, left_out.error) == (None, "another package has a plugin named twin, which was found first")


def test_who_fails_to_register_is_listed_with_the_reason(install) -> None:  # type: ignore[no-untyped-def]
    raising = "import speech_mlflow\n@speech_mlflow.hookimpl\ndef {hook}(register): raise OSError('no disk')"
    for hook in (*plugins.REGISTER, "register_commands"):
        install(f"raising_{hook}", raising.format(hook=hook))
    install("nameless", "import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_evaluators(register): register(len)")
    found = problems(create_manager({}))
    assert set(plugins.REGISTER) | {"register_commands"} == {name for name in HOOKS if name.startswith("register_")}
    for hook in (*plugins.REGISTER, "register_commands"):
        assert found.pop(f"raising_{hook}") == [f"it failed in {hook}: OSError: no disk"]
    assert set(found) == {"nameless"}


def test_what_a_plugin_prints_when_it_is_loaded_is_no_part_of_an_answer(install, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    install("talking_plugin", "print('a plugin speaks')\n" + COMMAND.format(name="greet"))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), plugins.BLOCKED: ""}
    command = [sys.executable, "-m", "speech_mlflow", "greet", "--help"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: speech-mlflow greet")
    assert "a plugin speaks" in done.stderr


ROOT = Path(__file__).parents[1]
HOOKS = {name: hook for name, hook in inspect.getmembers(hookspecs, inspect.isfunction) if hasattr(hook, "speech_mlflow_spec")}

EVERYTHING = """
import click
import speech_mlflow
from speech_mlflow.promotion.decisions import Decision

class Reader:
    name = "everything"

class Engine:
    name = "everything"

heard = []

@speech_mlflow.hookimpl
def register_evaluators(register): register(speech_mlflow.Evaluator("everything", lambda given: {}))

@speech_mlflow.hookimpl
def register_normalizers(register): register(speech_mlflow.Normalizer("everything", str.upper))

@speech_mlflow.hookimpl
def register_corpus_readers(register): register(Reader())

@speech_mlflow.hookimpl
def register_recognizers(register): register(Engine())

@speech_mlflow.hookimpl
def run_tags(kind): return {"everything": kind}

@speech_mlflow.hookimpl
def promotion_gate(candidate): return Decision("everything", False, candidate.reason)

@speech_mlflow.hookimpl
def promotion_event(event): heard.append(event)

@speech_mlflow.hookimpl
def register_commands(register): register(click.Command("everything"))
"""


def test_there_are_eight_hooks_each_with_a_sentence_types_and_an_example() -> None:
    assert len(HOOKS) == 8
    for name, hook in HOOKS.items():
        text = inspect.getdoc(hook) or ""
        assert re.match(r"[A-Z].*\.\n", text), name
        assert f"def {name}(" in text.partition("Example::")[2], name
        assert set(hook.__annotations__) == {*inspect.signature(hook).parameters, "return"}, name


def example(name: str) -> str:
    """The example of a hook as a module."""
    return "import speech_mlflow\n" + textwrap.dedent((inspect.getdoc(HOOKS[name]) or "").partition("Example::")[2])


@pytest.mark.parametrize("name", HOOKS)
def test_the_example_of_a_hook_is_a_plugin(install, name: str) -> None:  # type: ignore[no-untyped-def]
    install("example_plugin", example(name))
    (listed,) = [plugin for plugin in list_plugins(create_manager({})) if plugin.name == "example_plugin"]
    assert (listed.hooks, listed.error) == ((name,), None)


def test_the_example_of_a_reader_reads_the_layout_that_it_is_for(install, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from speech_mlflow.corpus import read_corpus

    install("example_plugin", example("register_corpus_readers"))
    (tmp_path / "data" / "wavs").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "clinic" / "testing" / "t01.wav", tmp_path / "data" / "wavs" / "LJ001.wav")
    (tmp_path / "data" / "metadata.csv").write_text("LJ001|in 1901|in nineteen oh one\n", "utf-8")
    readers = registered("register_corpus_readers", lambda reader: reader.name, manager=create_manager({}))
    (utterance,) = read_corpus(tmp_path / "data", locale="en-US", readers=readers).utterances
    assert (utterance.id, utterance.text) == ("LJ001.wav", "in nineteen oh one")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_used_by_a_built_in_and_by_a_real_package(name: str) -> None:
    used = {hook for plugin in list_plugins(create_manager({plugins.BLOCKED: "*"})) for hook in plugin.hooks}
    assert name in used
    sources = [path.read_text("utf-8") for path in (ROOT / "plugins").glob("speech-mlflow-*/*.py")]
    assert [1 for source in sources if re.search(rf"@speech_mlflow.hookimpl\ndef {name}\(", source)]


@pytest.mark.parametrize("name", HOOKS)
def test_the_readme_has_every_hook_with_its_signature(name: str) -> None:
    signature = f"{name}({', '.join(inspect.signature(HOOKS[name]).parameters)})"
    assert f"| `{signature}` |" in (ROOT / "README.md").read_text("utf-8")


def test_every_hook_of_an_installed_plugin_is_called(install) -> None:  # type: ignore[no-untyped-def]
    from speech_mlflow.promotion.events import notify
    from speech_mlflow.promotion.gates import evaluate

    install("everything_plugin", EVERYTHING)
    manager = create_manager({})
    (listed,) = [plugin for plugin in list_plugins(manager) if plugin.name == "everything_plugin"]
    assert set(listed.hooks) == set(HOOKS)  # a hook that is not in EVERYTHING has no test
    for hook in sorted(name for name in HOOKS if name.startswith("register_") and name != "register_commands"):
        assert "everything" in registered(hook, lambda thing: thing.name, manager=manager), hook
    assert "everything" in registered_commands(manager).commands
    (tags,) = [found for found in manager.hook.run_tags(kind="train") if "everything" in found]
    assert tags == {"everything": "train"}
    target = SimpleNamespace(test_dataset=None, max_wer=None, compare=False, contamination=False, approval=False)
    target.expires_within_days, target.required_gates = 0, ()
    version = SimpleNamespace(number="1", tags={})
    candidate = SimpleNamespace(
        reason="seen", target=target, version=version, model_status="Succeeded", expires=None, evidence=(), champion=None
    )
    assert [one.reason for one in evaluate(candidate, manager=manager) if one.gate == "everything"] == ["seen"]
    event = SimpleNamespace(kind="idle", registered_model="", target="", reason="")
    notify(event, manager=manager)
    assert sys.modules["everything_plugin"].heard == [event]


def test_a_line_of_the_log_says_who_was_called_and_for_how_long(install, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    install("good_plugin", GOOD)
    install("raising_plugin", "import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_evaluators(register): raise OSError")
    with caplog.at_level(logging.DEBUG, logger="speech_mlflow.plugins"):
        registered("register_evaluators", lambda evaluator: evaluator.name, manager=create_manager({}))
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [line for line in lines if re.fullmatch(r"register_evaluators: plugin good_plugin returned after \d+\.\d ms", line)]
    assert [line for line in lines if re.match(r"register_evaluators: plugin raising_plugin raised OSError after ", line)]


COMMAND = """
import click, speech_mlflow

@speech_mlflow.hookimpl
def register_commands(register):
    register(click.Command({name!r}, short_help="Greet."))
"""


def test_a_plugins_command_takes_no_name_that_is_taken(install) -> None:  # type: ignore[no-untyped-def]
    install("first_plugin", COMMAND.format(name="hello"))
    install("second_plugin", COMMAND.format(name="hello"))
    install("third_plugin", COMMAND.format(name="train"))
    install("wrong_plugin", COMMAND.format(name=None))
    install(
        "raising_plugin", "import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_commands(register): raise OSError('no')"
    )
    found = registered_commands(create_manager({}))
    assert set(found.commands) == {*COMMANDS, "hello"}
    assert found.owners["train"] == "speech_mlflow.cli.builtin"
    assert isinstance(found.commands["train"], click.Command)
    owner = found.owners["hello"]
    (loser,) = {"first_plugin", "second_plugin"} - {owner}
    assert found.problems[loser] == [f"its command 'hello' is left out: {owner} has one of that name"]
    assert found.problems["third_plugin"] == ["its command 'train' is left out: speech_mlflow.cli.builtin has one of that name"]
    assert "registers no click command with a name" in found.problems["wrong_plugin"][0]
    assert found.problems["raising_plugin"] == ["it failed in register_commands: OSError: no"]


def test_whether_anybody_plugged_in_is_seen_without_the_plugin_manager(install, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths = [str(tmp_path), str(tmp_path / "not there")]
    assert not any_installed(paths, {})
    install("good_plugin", GOOD)
    assert any_installed(paths, {})
    assert not any_installed(paths, {plugins.BLOCKED: "*"})
    (tmp_path / "some.zip").write_bytes(b"PK")
    assert any_installed([str(tmp_path / "some.zip")], {})  # what cannot be looked into is asked


def test_the_built_in_evaluator_counts_utterances_in_which_nothing_was_heard() -> None:
    from speech_mlflow.scoring.alignment import align
    from speech_mlflow.scoring.evaluators import EvaluatedUtterance, EvaluatorInput, evaluators, run_evaluators

    def measured(*pairs: tuple[str, str]) -> dict[str, float]:
        spoken = [EvaluatedUtterance(a, a, b, align(a.split(), b.split())) for a, b in pairs]
        outputs, failures = run_evaluators(EvaluatorInput("m", "en-US", spoken, lambda name: None), evaluators())
        assert failures == []
        return dict(outputs["silence"].metrics)

    assert measured(("good morning", ""), ("hello", "hollow"), ("", ""), ("a", "")) == {"silent_rate": 2 / 3}
    assert measured(("", "noise")) == {}
