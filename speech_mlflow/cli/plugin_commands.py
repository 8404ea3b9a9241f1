"""The commands that plugins add."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pluggy

log = logging.getLogger(__name__)


@dataclass
class Registered:
    """Every registered command by name, built-in ones first, and by plugin what it may not have."""

    commands: dict[str, click.Command] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def add(self, owner: str, command: object) -> None:
        """Take a command, or note why it is left out: whoever had the name first keeps it."""
        name = command.name if isinstance(command, click.Command) else None
        if not isinstance(command, click.Command) or not name:
            self.problem(owner, f"it registers no click command with a name, but {command!r}")
        elif name in self.owners:
            self.problem(owner, f"its command {name!r} is left out: {self.owners[name]} has one of that name")
        else:
            self.commands[name], self.owners[name] = command, owner

    def problem(self, owner: str, text: str) -> None:
        """Note what is wrong with a plugin's commands."""
        self.problems.setdefault(owner, []).append(text)
        log.warning("plugin %s: %s", owner, text)


def registered_commands(manager: pluggy.PluginManager) -> Registered:
    """What all plugins hand to ``register_commands``; each is asked alone, so that one that raises stops nobody else."""
    from speech_mlflow.plugins import call

    found = Registered()
    for implementation in manager.hook.register_commands.get_hookimpls():
        owner = implementation.plugin_name
        try:
            call(implementation, lambda command, owner=owner: found.add(owner, command))
        except Exception as error:  # a plugin may raise anything
            found.problem(owner, f"it failed in register_commands: {type(error).__name__}: {error}")
    return found


def problems(manager: pluggy.PluginManager) -> dict[str, list[str]]:
    """What is wrong with loaded plugins, by plugin: each is asked for all that it registers."""
    from speech_mlflow.plugins import REGISTER, registered

    found = registered_commands(manager).problems
    for hook in REGISTER:
        registered(hook, lambda thing: thing.name, manager=manager, failed=found)
    return found


@lru_cache(maxsize=1)
def plugin_commands() -> Mapping[str, click.Command]:
    """The commands of installed plugins by name."""
    from speech_mlflow.cli.main import COMMANDS
    from speech_mlflow.plugins import plugin_manager

    found = registered_commands(plugin_manager())
    return {name: command for name, command in found.commands.items() if name not in COMMANDS}
