"""``speech-mlflow plugins``."""

from __future__ import annotations

from dataclasses import asdict

import click

from speech_mlflow.cli.app import App, command, table


@click.command()
@command
def plugins(app: App) -> None:
    """List plugins, their versions and the hooks they use.

    \b
    speech-mlflow plugins
    SPEECH_MLFLOW_DISABLED_PLUGINS=my_plugin speech-mlflow plugins --json
    """
    from speech_mlflow.plugins import list_plugins

    listed = list_plugins()
    app.emit(
        [asdict(plugin) for plugin in listed],
        lambda: table(
            ["plugin", "version", "hooks", ""],
            [
                (
                    plugin.name,
                    "built in" if plugin.builtin else plugin.version,
                    ", ".join(plugin.hooks),
                    f"left out: {plugin.error}" if plugin.error else "",
                )
                for plugin in listed
            ],
        ),
    )
