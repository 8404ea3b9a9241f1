"""``speech-mlflow plugins``."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, table

if TYPE_CHECKING:
    from speech_mlflow.plugins import Plugin


@click.command()
@command
def plugins(app: App) -> None:
    """List plugins, their versions and the hooks they use, and what is wrong with them.

    \b
    speech-mlflow plugins
    SPEECH_MLFLOW_DISABLED_PLUGINS=my_plugin speech-mlflow plugins --json
    """
    from speech_mlflow.cli.plugin_commands import problems
    from speech_mlflow.plugins import list_plugins, plugin_manager

    found = problems(plugin_manager())
    listed = [replace(one, error=one.error or "; ".join(found.get(one.name, ())) or None) for one in list_plugins()]
    app.emit(
        [asdict(plugin) for plugin in listed],
        lambda: table(
            ["plugin", "version", "hooks", ""],
            [
                (
                    plugin.name,
                    "built in" if plugin.builtin else plugin.version,
                    ", ".join(plugin.hooks),
                    _problem(plugin),
                )
                for plugin in listed
            ],
        ),
    )


def _problem(plugin: Plugin) -> str:
    """What is wrong: a plugin without hooks was left out as a whole."""
    return "" if not plugin.error else plugin.error if plugin.hooks else f"left out: {plugin.error}"
