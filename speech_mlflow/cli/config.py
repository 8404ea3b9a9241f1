"""``speech-mlflow config show``."""

from __future__ import annotations

import click

from speech_mlflow.cli.app import App, command, table


@click.group()
def config() -> None:
    """Show the settings and where each came from."""


@config.command()
@command
def show(app: App) -> None:
    """Print each setting, its value and its origin; secrets are masked.

    \b
    speech-mlflow config show
    """
    values = app.settings.model_dump(mode="json")  # secrets are dumped as stars
    origins = {name: app.settings.origin(name) for name in values}
    app.emit(
        {name: {"value": value, "origin": origins[name]} for name, value in values.items()},
        lambda: table(["setting", "value", "from"], [(name, value, origins[name]) for name, value in values.items()]),
    )
