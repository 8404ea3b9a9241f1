"""The plugin manager: who has plugged in, and what they may not break."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import pluggy

from speech_mlflow import hookspecs

GROUP = "speech_mlflow"
BLOCKED = "SPEECH_MLFLOW_DISABLED_PLUGINS"
"""Environment variable: names of plugins that are not loaded, separated by commas; ``*`` blocks all installed ones."""

BUILTIN = (
    "speech_mlflow.corpus.builtin",
    "speech_mlflow.scoring.builtin",
    "speech_mlflow.emulator.builtin",
    "speech_mlflow.tracking.builtin",
    "speech_mlflow.promotion.builtin",
    "speech_mlflow.cli.builtin",
)
"""Modules of our own that implement hooks, loaded by name like anybody's plugin."""

REGISTER = ("register_evaluators", "register_normalizers", "register_corpus_readers", "register_recognizers")
"""The hooks that take things with a name; commands, which have rules of their own, are in ``cli.plugin_commands``."""

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """One plugin as listed: its name, distribution version, hooks, and what is wrong with it (None: nothing).

    A plugin that was left out has no hooks.
    """

    name: str
    version: str | None
    hooks: tuple[str, ...]
    builtin: bool
    error: str | None = None


def create_manager(environ: Mapping[str, str] | None = None) -> pluggy.PluginManager:
    """Make a manager with the built-in plugins and every installed one that is not blocked.

    An installed plugin that cannot be imported, that implements a hook we do not have, or whose name is taken, is left out and
    kept in ``manager.broken`` with the reason; it breaks nothing else.
    """
    manager = pluggy.PluginManager("speech_mlflow")
    manager.add_hookspecs(hookspecs)
    for module in BUILTIN:
        manager.register(importlib.import_module(module), name=module)
    blocked = _blocked(os.environ if environ is None else environ)
    loaded: dict[str, importlib.metadata.EntryPoint] = {}
    broken: list[tuple[importlib.metadata.EntryPoint, str]] = []
    for entry in importlib.metadata.entry_points(group=GROUP):
        if "*" in blocked or entry.name in blocked:
            continue
        reason = _load(manager, entry)
        if reason is None:
            loaded[entry.name] = entry
        else:
            broken.append((entry, reason))
            log.warning("plugin %s is left out: %s", entry.name, reason)
    manager.loaded, manager.broken = loaded, broken  # type: ignore[attr-defined]
    return manager


@lru_cache(maxsize=1)
def plugin_manager() -> pluggy.PluginManager:
    """The manager of this process, made on first use."""
    return create_manager()


def registered(
    hook: str,
    key: Callable[[T], str],
    *,
    manager: pluggy.PluginManager | None = None,
    failed: dict[str, list[str]] | None = None,
) -> dict[str, T]:
    """Collect what plugins hand to a ``register_*`` hook, by ``key``; a later plugin replaces an earlier one's.

    Plugins are asked one at a time, so that one that raises is named, in the log and in ``failed``, and stops nobody else.
    """
    manager = plugin_manager() if manager is None else manager
    found: dict[str, T] = {}

    def register(thing: T) -> None:
        found[key(thing)] = thing

    # pluggy calls the last registered first; reversed, the order is: built-ins, then the installed plugins.
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        try:
            call(implementation, register)
        except Exception as error:  # a plugin may raise anything
            reason = f"it failed in {hook}: {type(error).__name__}: {error}"
            log.warning("plugin %s: %s", implementation.plugin_name, reason)
            if failed is not None:
                failed.setdefault(implementation.plugin_name, []).append(reason)
    return found


def call(implementation: pluggy.HookImpl, value: object) -> Any:
    """Call one plugin's function with the one value that our hooks offer, and note in the log (DEBUG) for how long it ran.

    What the function raises goes on to the caller, who knows what it means for a hook of this kind.
    """
    began, end = time.perf_counter(), "returned"
    try:
        return implementation.function(**dict.fromkeys(implementation.argnames, value))
    except Exception as error:
        end = f"raised {type(error).__name__}"
        raise
    finally:
        hook, seconds = implementation.opts.get("specname") or implementation.function.__name__, time.perf_counter() - began
        log.debug("%s: plugin %s %s after %.1f ms", hook, implementation.plugin_name, end, 1000 * seconds)


def list_plugins(manager: pluggy.PluginManager | None = None) -> list[Plugin]:
    """Every plugin with its version and hooks, built-in ones first, then those installed, then those left out."""
    manager = plugin_manager() if manager is None else manager
    loaded: Mapping[str, importlib.metadata.EntryPoint] = getattr(manager, "loaded", {})
    broken: Sequence[tuple[importlib.metadata.EntryPoint, str]] = getattr(manager, "broken", ())
    listed = []
    for name, plugin in manager.list_name_plugin():
        hooks = sorted(caller.name for caller in manager.get_hookcallers(plugin) or [])
        listed.append(Plugin(name, _version(loaded.get(name)), tuple(hooks), name in BUILTIN))
    left_out = sorted(broken, key=lambda one: one[0].name)
    return listed + [Plugin(entry.name, _version(entry), (), False, reason) for entry, reason in left_out]


def _load(manager: pluggy.PluginManager, entry: importlib.metadata.EntryPoint) -> str | None:
    """Load one entry point; None, or why it was left out."""
    if manager.has_plugin(entry.name):
        return f"another package has a plugin named {entry.name}, which was found first"
    try:
        plugin = entry.load()
        if manager.is_registered(plugin):
            return f"it is the same as the plugin {manager.get_name(plugin)}"
        manager.register(plugin, name=entry.name)
        manager.check_pending()
        return None
    except pluggy.PluginValidationError as error:
        reason = f"it does not fit the hooks: {error}"
    except (Exception, SystemExit) as error:  # a plugin may raise anything at import, and one that ends is only left out
        reason = f"{type(error).__name__}: {error}"
    if manager.has_plugin(entry.name):  # with those of its hooks that came before the wrong one
        manager.unregister(name=entry.name)
    return reason


def _version(entry: importlib.metadata.EntryPoint | None) -> str | None:
    """The version of the distribution that an entry point is of."""
    return entry.dist.version if entry is not None and entry.dist is not None else None


def _blocked(environ: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in environ.get(BLOCKED, "").split(",") if name.strip()}
