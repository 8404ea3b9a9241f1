"""``speech-mlflow models diff``."""

from __future__ import annotations

from dataclasses import asdict

import click

from speech_mlflow.cli.app import App, command


@click.command(short_help="Show what changed between two versions.")
@click.argument("first", metavar="MODEL/VERSION")
@click.argument("second", metavar="MODEL/VERSION")
@command
def diff(app: App, first: str, second: str) -> None:
    """Show what changed from one version to another: data by content, base model, options, and WER on each test both had.

    \b
    speech-mlflow models diff clinic-en-us/1 clinic-en-us/2
    speech-mlflow models diff clinic-en-us@production clinic-en-us --json
    """
    from speech_mlflow.tracking.answers import difference

    found = difference(app.mlflow(), first, second)
    app.emit(asdict(found), lambda: click.echo(str(found)))
