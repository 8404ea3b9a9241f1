"""``speech-mlflow models``: custom models with their versions, and base models."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, entity, percent, table

if TYPE_CHECKING:
    from speech_mlflow.service.entities import BaseModel


@click.group()
def models() -> None:
    """List custom models and base models."""


@models.command("list")
@click.option("--name", help="Only this registered model.")
@command
def list_(app: App, name: str | None) -> None:
    """List registered versions: stage or aliases, WER, the service's model and the endpoint that serves it.

    \b
    speech-mlflow models list
    speech-mlflow models list --name clinic-en-us --json
    """
    from speech_mlflow.tracking.versions import list_versions

    rows = list_versions(app.mlflow(), name)
    app.emit(
        [asdict(row) for row in rows],
        lambda: (
            table(
                ["model", "version", "stage", "aliases", "WER", "locale", "speech model", "endpoint"],
                [
                    (
                        row.name,
                        row.version,
                        row.stage,
                        ", ".join(row.aliases),
                        percent(row.wer),
                        row.locale,
                        row.model_id,
                        row.endpoint_id if row.served else "",
                    )
                    for row in rows
                ],
                right=["version", "WER"],
            )
            if rows
            else click.echo("no registered versions yet: `speech-mlflow train` makes one")
        ),
    )


@models.command()
@command
def base(app: App) -> None:
    """List the base models of the locale, newest first, and until when they can be adapted and used.

    \b
    speech-mlflow models base --locale en-US
    """
    from speech_mlflow.service.filters import eq

    found = sorted(app.speech().models.list_base(filter=eq("locale", app.settings.locale)), key=_created, reverse=True)

    def row(model: BaseModel) -> tuple[object, ...]:
        properties = model.properties
        dates = properties.deprecation_dates if properties else None
        features = properties.features if properties else None
        return (
            model.display_name,
            model.id,
            _day(dates.adaptation_date_time if dates else None),
            _day(dates.transcription_date_time if dates else None),
            ", ".join((features.supports_adaptations_with if features else None) or []),
        )

    app.emit(
        [entity(model) for model in found],
        lambda: table(["base model", "id", "adapt until", "use until", "adapts with"], [row(model) for model in found]),
    )


def _created(model: object) -> str:
    return str(getattr(model, "created_date_time", ""))


def _day(moment: object) -> str:
    return str(moment)[:10] if moment else ""
