"""``speech-mlflow train``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, DataArgument, command, fields

if TYPE_CHECKING:
    from speech_mlflow.workflow import TrainResult


@click.command()
@click.argument("data", type=DataArgument("dataset:"), nargs=-1, required=True)
@click.option("--name", required=True, help="Name of the model; also of the registered model.")
@click.option("--registered-model", help="Registered model, where it is to have another name.")
@click.option("--base-model", help="Id of the base model; default: the newest that takes these kinds of data.")
@click.option("--weight", type=click.IntRange(1, 100), help="Weight of the new data in percent; default: the service chooses.")
@click.option("--force", is_flag=True, help="Train again, even where the same was trained before.")
@click.option("--wait/--no-wait", default=True, help="Wait for the training to end.")
@click.option("--yes", is_flag=True, help="Do not ask before something that costs money.")
@command
def train(
    app: App,
    data: tuple[str, ...],
    name: str,
    registered_model: str | None,
    base_model: str | None,
    weight: int | None,
    force: bool,
    wait: bool,
    yes: bool,
) -> None:
    """Train a custom model: upload the data, train, and register the result as a version in MLflow.

    DATA are paths, or dataset:ID for data that the service has already. The same data, base model and options are trained
    once: a second call finds the run and the model.

    \b
    speech-mlflow train recordings/ terms.txt --name clinic-en-us
    speech-mlflow train train.zip --name clinic-en-us --weight 60 --no-wait
    speech-mlflow train dataset:6a1f0f5e-... --name clinic-en-us
    """
    from speech_mlflow.workflow import train as train_model

    app.confirm_cost("Training", yes=yes)
    speech = app.speech()
    with app.progress() as progress:
        result = train_model(
            speech,
            name=name,
            data=list(data),
            registered_model=registered_model or name,
            base_model=base_model,
            locale=app.settings.locale,
            weight_percent=weight,
            project=app.project(speech),
            force=force,
            wait=wait,
            progress=progress,
            **app.mlflow_options(),
        )
    app.emit(_document(result), lambda: _show(result))


def _document(result: TrainResult) -> dict[str, object]:
    return {
        "run_id": result.run_id,
        "model_id": result.model.id,
        "status": result.model.status,
        "registered_model": result.registered_model,
        "version": result.version,
        "logged_model_id": result.logged_model_id,
        "reused": result.reused,
    }


def _show(result: TrainResult) -> None:
    if not result.done:
        click.echo("training goes on in the service; run the same command again to pick it up")
    elif result.reused:
        click.echo("the same was trained before; nothing was trained (--force trains again)")
    fields({name: value for name, value in _document(result).items() if name != "reused"})
