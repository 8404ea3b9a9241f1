"""``speech-mlflow status`` and ``speech-mlflow wait``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, command, table

if TYPE_CHECKING:
    from speech_mlflow.workflow.watching import Status, Waited


@click.command()
@command
def status(app: App) -> None:
    """Show what is at work: trainings, tests and promotions whose run is open, since when, and where the service is.

    What was interrupted is shown too, with the command that goes on with it: nothing is trained or made a second time.

    \b
    speech-mlflow status
    speech-mlflow status --json
    """
    from speech_mlflow.workflow.watching import status as read

    mlflow = app.mlflow_options()
    found = read(app.speech(), tracking_uri=mlflow["tracking_uri"], experiment=mlflow["experiment"])
    now = datetime.now(timezone.utc)
    app.emit([_document(one, now) for one in found], lambda: _show(found, now))


@click.command()
@click.argument("references", metavar="RUN|MODEL...", nargs=-1, required=True)
@command
def wait(app: App, references: tuple[str, ...]) -> None:
    """Wait for trainings and tests that were begun earlier, with --no-wait or by a process that was interrupted.

    A training is finished then: its run, its logged model, its version. A test is scored when the command that began it is
    repeated. MODEL is the name of a registered model, or the id of a model in the service. Exits with 1 where one failed.

    \b
    speech-mlflow train terms.txt --name clinic-en-us --no-wait
    speech-mlflow wait clinic-en-us
    speech-mlflow wait 56a60e9cc6bd4fafa30fff2f1a855d46 --json
    """
    from speech_mlflow.workflow.watching import wait_all

    mlflow = app.mlflow_options()
    with app.progress() as progress:
        done = wait_all(
            app.speech(),
            references,
            tracking_uri=mlflow["tracking_uri"],
            registry_uri=mlflow["registry_uri"],
            experiment=mlflow["experiment"],
            progress=progress,
        )
    app.emit([asdict(one) for one in done], lambda: _show_done(done))


def _document(one: Status, now: datetime) -> dict[str, Any]:
    model_id = one.entity_id if one.kind == "train" else None
    more = {"model_id": model_id, "age_seconds": _seconds(one, now), "resumable": one.resumable, "next": one.next_step}
    return {**asdict(one), **more}


def _seconds(one: Status, now: datetime) -> float | None:
    return round((now - one.started).total_seconds(), 1) if one.started else None


def _show(found: list[Status], now: datetime) -> None:
    if not found:
        click.echo("nothing is at work")
        return
    table(
        ["kind", "name", "age", "in the service", "run", "goes on with"],
        [(one.kind, one.name, _age(_seconds(one, now)), _at_service(one), one.run_id, one.next_step) for one in found],
        right=["age"],
    )


def _at_service(one: Status) -> str:
    """Where the service is with it; a pipeline is nothing that the service knows."""
    return one.service_status or ("" if one.kind == "pipeline" else "not there")


def _age(seconds: float | None) -> str:
    """A time span in its largest units, as in "2 h 5 min"."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _show_done(done: list[Waited]) -> None:
    for one in done:
        if one.version is not None:
            click.echo(f"trained: {one.registered_model}/{one.version}, MLflow run {one.run_id}")
        elif one.done:
            click.echo(f"finished: {one.name}, MLflow run {one.run_id}")
        else:
            click.echo(f"evaluated: {one.name}, MLflow run {one.run_id}; repeat the command that began it to score it")
