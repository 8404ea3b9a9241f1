"""``speech-mlflow config show`` and ``config schema``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from speech_mlflow.cli.app import App, command, table
from speech_mlflow.cli.redact import redact
from speech_mlflow.settings import FILE


@click.group()
def config() -> None:
    """Show the settings and where each came from.

    \b
    speech-mlflow config show
    """


@config.command(short_help="Print each setting and its origin.")
@command
def show(app: App) -> None:
    """Print each setting, its value and its origin; secrets are masked.

    Settings come from flags, then SPEECH_MLFLOW_* variables (then MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI,
    MLFLOW_EXPERIMENT_NAME and AZURE_TENANT_ID), then speech-mlflow.toml, then defaults. The whole file is checked, its targets
    and its pipeline too: everything that is wrong is told at once, with its line.

    \b
    speech-mlflow config show
    speech-mlflow config show --json
    """
    from speech_mlflow.pipeline.declared import SettingsFile, read

    SettingsFile.load(file=Path(FILE))
    if app.settings.pipeline:
        read()
    document = {name: _entry(app, name, value) for name, value in app.settings.model_dump(mode="json").items()}
    app.emit(
        document,
        lambda: table(
            ["setting", "value", "from"],
            [(name, _text(one["value"]), _place(one.get("source", one["origin"]))) for name, one in document.items()],
        ),
    )


@config.command(short_help="Print the JSON schema of the file.")
@command
def schema(app: App) -> None:
    """Print the JSON schema of speech-mlflow.toml, by which editors complete and check it.

    The line `#:schema ./speech-mlflow.schema.json` at the top of the file names it to editors that use Taplo (Even Better TOML).

    \b
    speech-mlflow config schema > speech-mlflow.schema.json
    """
    from speech_mlflow.pipeline.schema import text

    click.echo(text(), nl=False, file=app.out)


def _entry(app: App, name: str, value: Any) -> dict[str, Any]:
    """Value and origin; the ``source`` is the variable or the file, where there is one."""
    source = app.settings.source(name)
    entry = {"value": _masked(value), "origin": app.settings.origin(name)}
    return {**entry, "source": source} if source else entry


def _masked(value: Any) -> Any:
    """Secrets are dumped as stars; what is left are passwords in the URL of a server."""
    return redact(value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    """A value in a cell; of a table its keys, of which --json has the whole."""
    return ", ".join(value) if isinstance(value, dict) else value


def _place(source: str) -> str:
    """A file by its shortest path."""
    return os.path.relpath(source) if os.path.isabs(source) else source
