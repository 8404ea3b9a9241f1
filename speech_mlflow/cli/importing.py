"""``speech-mlflow import``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speech_mlflow.workflow.importing import Item


@click.command("import")
@click.argument("models", metavar="[MODEL_ID]...", nargs=-1)
@click.option("--registered-model", help="Register all models as versions of this one; default: each under its own name.")
@click.option("--dry-run", is_flag=True, help="Only list what would be imported.")
@command
@click.pass_context
def import_(context: click.Context, app: App, models: tuple[str, ...], registered_model: str | None, dry_run: bool) -> None:
    """Bring models, evaluations and data sets that the speech resource has already into MLflow.

    Each model becomes a run, a logged model and a registered version, each evaluation a run, with the dates of the service.
    Nothing is written to the service. What MLflow has already is left alone: a second import makes nothing. Choose by
    --project, or by the ids of models. Exits with 1 where something could not be imported; the rest is.

    \b
    speech-mlflow import --dry-run
    speech-mlflow import --project "Clinic dictation" --registered-model clinic-en-us
    speech-mlflow import 1aae1070-7972-47e9-a977-87e3b05c457d
    """
    from speech_mlflow.workflow.importing import import_existing

    speech = app.speech()
    with app.progress() as progress:
        items = import_existing(
            speech,
            models=models,
            project=app.settings.project,
            registered_model=registered_model,
            dry_run=dry_run,
            progress=progress,
            **app.mlflow_options(),
        )
    app.emit([asdict(item) for item in items], lambda: _show(items))
    if any(item.outcome == "failed" for item in items):
        context.exit(1)


def _show(items: Sequence[Item]) -> None:
    if not items:
        click.echo("there is nothing to import: the resource has no custom models and no evaluations")
        return
    table(
        ["made", "kind", "name", "outcome", "version", "note"],
        [
            (
                f"{item.created:%Y-%m-%d %H:%M}" if item.created else "",
                item.kind,
                item.name,
                item.outcome,
                item.version,
                item.reason,
            )
            for item in items
        ],
    )
    counts = Counter(item.outcome for item in items)
    click.echo(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


def __getattr__(name: str) -> click.Command:
    if name == "import":  # the command's name is no name that Python takes
        return import_
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
