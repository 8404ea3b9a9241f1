"""What lets a command line with many commands start quickly: they are imported when used, and plugins only where there are any."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

GROUP, BLOCKED = "speech_mlflow", "SPEECH_MLFLOW_DISABLED_PLUGINS"  # as in plugins.py, which takes longer to import than click


class LazyCommand(click.Command):
    """Stands for a command until it is used: ``where`` is ``module:attribute``, ``text`` its line in the list of commands."""

    def __init__(self, name: str, where: str, text: str) -> None:
        super().__init__(name, short_help=text)
        self._where = where

    def load(self) -> click.Command:
        """The command itself."""
        module, _, attribute = self._where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command itself, which then runs in the place of this one."""
        return self.load().make_context(info_name, args, parent, **extra)


def any_installed(paths: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a package on ``paths`` may have plugged in: a look into the entry points as pip writes them.

    It answers in about a millisecond what ``importlib.metadata`` takes thirty for; a path that is no directory (a zip file)
    is answered with yes.
    """
    if "*" in environ.get(BLOCKED, "").split(","):
        return False
    return any(_declares(path) for path in paths)


def _declares(path: str) -> bool:
    try:
        with os.scandir(path or ".") as entries:
            infos = [entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return any(_in_group(os.path.join(info, "entry_points.txt")) for info in infos)


def _in_group(entry_points: str) -> bool:
    try:
        with open(entry_points, "rb") as file:
            return f"[{GROUP}]".encode() in file.read()
    except OSError:
        return False
