"""The plugin manager: built-ins, installed plugins, and broken ones that break nothing else."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from speech_mlflow import hookspecs, plugins
from speech_mlflow.errors import PluginError
from speech_mlflow.plugins import create_manager, list_plugins, registered, require

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

    def put(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[speech_mlflow]\n{name} = {name}\n", "utf-8")

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
    ],
    ids=["import error", "misspelt hook", "wrong signature"],
)
def test_a_broken_plugin_is_named_and_breaks_nothing_else(install, source: str, said: str) -> None:  # type: ignore[no-untyped-def]
    install("broken_plugin", source)
    install("healthy_plugin", GOOD)
    manager = create_manager({})
    listed = {plugin.name: plugin for plugin in list_plugins(manager)}
    assert said in (listed["broken_plugin"].error or "")
    assert listed["healthy_plugin"].error is None
    assert "good" in registered("register_evaluators", lambda evaluator: evaluator.name, manager=manager)


def test_a_plugin_that_raises_in_a_hook_stops_nobody_else(install) -> None:  # type: ignore[no-untyped-def]
    install("raising_plugin", "import speech_mlflow\n@speech_mlflow.hookimpl\ndef register_evaluators(register): raise OSError")
    install("second_plugin", GOOD)
    found = registered("register_evaluators", lambda evaluator: evaluator.name, manager=create_manager({}))
    assert "good" in found


def test_a_missing_thing_is_named_with_what_there_is() -> None:
    with pytest.raises(PluginError, match="no engine named 'x'") as caught:
        require({"a": 1, "b": 2}, "x", "engine")
    assert caught.value.hint == "known: a, b"


def test_every_hook_has_a_docstring_with_an_example() -> None:
    hooks = {
        name: hook for name, hook in inspect.getmembers(hookspecs, inspect.isfunction) if hasattr(hook, "speech_mlflow_spec")
    }
    assert hooks
    for name, hook in hooks.items():
        assert "Example::" in (hook.__doc__ or ""), name
