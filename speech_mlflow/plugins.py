"""The plugin manager: who has plugged in, and what they may not break."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import pluggy

from speech_mlflow import hookspecs
from speech_mlflow.errors import PluginError

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

    An installed plugin that cannot be imported, or that implements a hook we do not have, is left out and kept in
    ``manager.broken`` by name; it breaks nothing else.
    """
    manager = pluggy.PluginManager("speech_mlflow")
    manager.add_hookspecs(hookspecs)
    broken: dict[str, str] = {}
    for module in BUILTIN:
        manager.register(importlib.import_module(module), name=module)
    blocked = _blocked(os.environ if environ is None else environ)
    for entry in importlib.metadata.entry_points(group=GROUP):
        if "*" in blocked or entry.name in blocked:
            continue
        reason = _load(manager, entry)
        if reason is not None:
            broken[entry.name] = reason
            log.warning("plugin %s is left out: %s", entry.name, reason)
    manager.broken = broken  # type: ignore[attr-defined]
    return manager


@lru_cache(maxsize=1)
def plugin_manager() -> pluggy.PluginManager:
    """The manager of this process, made on first use."""
    return create_manager()


def registered(hook: str, key: Callable[[T], str], *, manager: pluggy.PluginManager | None = None) -> dict[str, T]:
    """Collect what plugins hand to a ``register_*`` hook, by ``key``; a later plugin replaces an earlier one's.

    Plugins are asked one at a time, so that one that raises is named and stops nobody else.
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
            log.warning("plugin %s failed in %s: %s: %s", implementation.plugin_name, hook, type(error).__name__, error)
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
    broken: dict[str, str] = getattr(manager, "broken", {})
    others = len(manager.get_plugins()) > len(BUILTIN)
    versions = _installed() if broken or others else {}
    listed = []
    for name, plugin in manager.list_name_plugin():
        hooks = sorted(caller.name for caller in manager.get_hookcallers(plugin) or [])
        listed.append(Plugin(name, versions.get(name), tuple(hooks), name in BUILTIN))
    listed += [Plugin(name, versions.get(name), (), False, reason) for name, reason in sorted(broken.items())]
    return listed


def _load(manager: pluggy.PluginManager, entry: importlib.metadata.EntryPoint) -> str | None:
    """Load one entry point; None, or why it was left out."""
    try:
        plugin = entry.load()
        manager.register(plugin, name=entry.name)
    except Exception as error:  # a plugin may raise anything at import
        return f"{type(error).__name__}: {error}"
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        manager.unregister(name=entry.name)
        return f"it implements a hook that does not exist: {error}"
    return None


def _blocked(environ: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in environ.get(BLOCKED, "").split(",") if name.strip()}


def _installed() -> dict[str, str]:
    """The versions of all that has an entry point for plugins, by its name."""
    entries = importlib.metadata.entry_points(group=GROUP)
    return {entry.name: entry.dist.version for entry in entries if entry.dist is not None}


def require(things: Mapping[str, Any], name: str, what: str) -> Any:
    """``things[name]``, or a PluginError that names what there is."""
    try:
        return things[name]
    except KeyError:
        known = ", ".join(sorted(things)) or "none"
        raise PluginError(f"there is no {what} named {name!r}", hint=f"known: {known}") from None
