"""``speech-mlflow doctor``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command
from speech_mlflow.cli.redact import redact

if TYPE_CHECKING:
    from speech_mlflow.cli.checks import Finding

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@command
@click.pass_context
def doctor(context: click.Context, app: App) -> None:
    """Check Python, packages, settings, MLflow, the speech resource, plugins and audio tools.

    Each line is ok, warn or fail, with what to do about it. Exits with 1 where a line is fail. It writes nothing, starts
    nothing, and takes 25 seconds at most.

    \b
    speech-mlflow doctor
    speech-mlflow doctor --endpoint https://NAME.cognitiveservices.azure.com --json
    """
    from speech_mlflow.cli import checks
    from speech_mlflow.cli.checks_mlflow import mlflow
    from speech_mlflow.cli.checks_speech import speech

    found = checks.run_checks(
        [
            ("python", checks.python),
            ("packages", checks.packages),
            ("settings", checks.settings_file),
            ("mlflow", mlflow),
            ("speech", speech),
            ("plugins", checks.plugins),
            ("audio", checks.audio_tools),
        ],
        app.settings,
    )
    healthy = all(finding.state != "fail" for finding in found)
    lines = [{name: redact(value) if isinstance(value, str) else value for name, value in asdict(one).items()} for one in found]
    app.emit({"healthy": healthy, "checks": lines}, lambda: _show(found))
    context.exit(0 if healthy else 1)


def _show(found: list[Finding]) -> None:
    width = max(len(finding.check) for finding in found)
    for finding in found:
        state = f"{finding.state:<4}"
        if not os.environ.get("NO_COLOR"):
            state = click.style(state, fg=COLORS[finding.state])
        click.echo(f"{state}  {finding.check:<{width}}  {redact(finding.text)}")
        if finding.fix:
            click.echo(f"      {'':<{width}}  → {redact(finding.fix)}")
