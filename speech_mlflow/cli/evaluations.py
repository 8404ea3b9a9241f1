"""``speech-mlflow evaluations``: what the service measured, whoever asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from speech_mlflow.cli.app import App, command, entity, fields, percent, table

if TYPE_CHECKING:
    from speech_mlflow.service.entities import Evaluation


@click.group()
def evaluations() -> None:
    """List and show the evaluations of the service.

    \b
    speech-mlflow evaluations list
    """


@evaluations.command("list", short_help="List evaluations with their WER.")
@command
def list_(app: App) -> None:
    """List the evaluations of the resource with the word error rates that the service counted.

    \b
    speech-mlflow evaluations list --json
    """
    found = sorted(app.speech().evaluations.list(), key=lambda evaluation: str(evaluation.created_date_time))
    rows = [_row(evaluation) for evaluation in found]
    app.emit(
        [entity(evaluation) for evaluation in found],
        lambda: (
            table(list(rows[0]), [list(row.values()) for row in rows], right=["WER 1", "WER 2"])
            if rows
            else click.echo("no evaluations yet: `speech-mlflow test` makes one")
        ),
    )


@evaluations.command(short_help="Show one evaluation and its counts.")
@click.argument("evaluation_id")
@command
def show(app: App, evaluation_id: str) -> None:
    """Show one evaluation: both models, their word counts, and the MLflow run that it belongs to.

    \b
    speech-mlflow evaluations show 5c2b1a09-...
    """
    evaluation = app.speech().evaluations.get(evaluation_id)
    error = evaluation.properties.error if evaluation.properties else None

    def human() -> None:
        more = {"error": f"{error.code}: {error.message}" if error else None, **(evaluation.custom_properties or {})}
        fields(_row(evaluation) | more)
        columns = ["", "model", "words", "sub", "del", "ins", "WER", "sentence errors"]
        table(columns, [_side(evaluation, side) for side in (1, 2)], right=columns[2:])

    app.emit(entity(evaluation), human)


def _row(evaluation: Evaluation) -> dict[str, object]:
    created = evaluation.created_date_time
    return {
        "id": evaluation.id,
        "name": evaluation.display_name,
        "status": evaluation.status,
        "data set": evaluation.dataset.id if evaluation.dataset else None,
        "WER 1": percent(_wer(evaluation, 1)),
        "WER 2": percent(_wer(evaluation, 2)),
        "created": f"{created:%Y-%m-%d %H:%M}" if created else None,
    }


def _side(evaluation: Evaluation, side: Literal[1, 2]) -> list[object]:
    model = evaluation.model1 if side == 1 else evaluation.model2
    counts = evaluation.properties.counts(side) if evaluation.properties else None
    sentences = getattr(evaluation.properties, f"sentence_error_rate{side}", None)
    if counts is None:
        return [side, model.id if model else None, None, None, None, None, None, None]
    edits = (counts.substitutions, counts.deletions, counts.insertions)
    return [side, model.id if model else None, counts.words, *edits, percent(counts.wer), percent(sentences)]


def _wer(evaluation: Evaluation, side: Literal[1, 2]) -> float | None:
    """Made from the counts: the rates that the service shows are rounded."""
    counts = evaluation.properties.counts(side) if evaluation.properties else None
    return counts.wer if counts else None
