"""``speech-mlflow models``: custom models with their versions, and base models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, entity, percent, table
from speech_mlflow.cli.difference import diff
from speech_mlflow.cli.expiring import expiring

if TYPE_CHECKING:
    from speech_mlflow.service.entities import BaseModel


@click.group()
def models() -> None:
    """List custom models and base models.

    \b
    speech-mlflow models list
    speech-mlflow models base --locale en-US
    """


models.add_command(expiring)
models.add_command(diff)


@models.command("list", short_help="List registered versions with WER and endpoint.")
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


@models.command(short_help="Rank the models tested on a data set.")
@click.argument("dataset")
@click.option("--metric", default="wer", show_default=True, help="What decides: wer, wer.recomputed, or an evaluator's metric.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="How many models to list.")
@command
def best(app: App, dataset: str, metric: str, limit: int) -> None:
    """Rank the models tested on DATASET, best first, by their newest test in any experiment.

    DATASET is the data set's name, digest or fingerprint, or the path of a corpus. The same content counts as the same data set
    under any name. Of an evaluator's metric that grows with quality the highest is best.

    \b
    speech-mlflow models best testing
    speech-mlflow models best testing/ --metric term_recall --json
    """
    from speech_mlflow.tracking import answers

    ranked = answers.best(app.mlflow(), dataset, metric=metric, limit=limit)
    if not ranked and Path(dataset).exists():
        from speech_mlflow.corpus import read_corpus

        ranked = answers.best(app.mlflow(), read_corpus(dataset, locale=app.settings.locale), metric=metric, limit=limit)
    app.emit(
        [asdict(one) for one in ranked],
        lambda: (
            table(
                ["model", "versions", metric, "tested at", "run"],
                [
                    (one.label, ", ".join(one.versions), _measured(metric, one.value), one.tested_at, one.run_id)
                    for one in ranked
                ],
                right=[metric],
            )
            if ranked
            else click.echo(f"no finished test on {dataset} measured {metric}")
        ),
    )


def _measured(metric: str, value: float) -> str:
    return percent(value) if metric.partition(".")[0] in {"wer", "ser", "ter"} else f"{value:.4g}"


@models.command(short_help="List base models and when they expire.")
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
        lambda: (
            table(["base model", "id", "adapt until", "use until", "adapts with"], [row(model) for model in found])
            if found
            else click.echo(f"there is no base model for {app.settings.locale}: `speech-mlflow doctor` names the locales")
        ),
    )


def _created(model: object) -> str:
    return str(getattr(model, "created_date_time", ""))


def _day(moment: object) -> str:
    return str(moment)[:10] if moment else ""
