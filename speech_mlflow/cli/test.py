"""``speech-mlflow test``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, DataArgument, command, fields, percent, table

if TYPE_CHECKING:
    from speech_mlflow.workflow import TestResult


@click.command()
@click.argument("data", type=DataArgument("dataset:"))
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help='"base", NAME/VERSION, NAME@ALIAS, NAME/STAGE or an id. Several times: side by side, the candidate last.',
)
@click.option("--normalizer", help="Text normaliser, by locale or name; default: that of the locale.")
@click.option("--name", help="Name of the MLflow run.")
@click.option("--force", is_flag=True, help="Test again, even where the same was tested before.")
@click.option("--wait/--no-wait", default=True, help="Wait for the test to end.")
@command
def test(
    app: App,
    data: str,
    models: tuple[str, ...],
    normalizer: str | None,
    name: str | None,
    force: bool,
    wait: bool,
) -> None:
    """Test models on recordings with transcripts: WER, a per-utterance table and a report in an MLflow run.

    DATA is a path, or dataset:ID for data that the service has already.

    \b
    speech-mlflow test testing/ --model base --model clinic-en-us/2
    speech-mlflow test testing/ --model clinic-en-us/Production --model clinic-en-us/3 --json
    """
    from speech_mlflow.workflow import test as test_models

    speech = app.speech()
    with app.progress() as progress:
        result = test_models(
            speech,
            data=data,
            models=list(models),
            locale=app.settings.locale,
            normalizer=normalizer,
            name=name,
            project=app.project(speech),
            force=force,
            wait=wait,
            progress=progress,
            **app.mlflow_options(),
        )
    app.emit(_document(result), lambda: _show(result))


def _document(result: TestResult) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "evaluation_id": result.evaluation.id if result.evaluation else None,
        "done": result.done,
        "reused": result.reused,
        "models": [
            {
                "model": label,
                "wer": result.wer.get(label),
                "wer_recomputed": score.wer,
                "words": score.words,
                "substitutions": score.substitutions,
                "deletions": score.deletions,
                "insertions": score.insertions,
                "sentence_error_rate": score.ser,
            }
            for label, score in result.scores.items()
        ],
        "in_training_data": {
            label: {"count": len(found.ids), "audio": found.audio, "text": found.text}
            for label, found in result.contamination.items()
        },
        "evaluated": {label: dict(metrics) for label, metrics in result.evaluated.items()},
        "failed_evaluators": {failure.name: failure.reason for failure in result.failures},
    }


def _show(result: TestResult) -> None:
    from speech_mlflow.workflow.contamination import describe

    document = _document(result)
    if not result.done:
        click.echo("the test goes on in the service; run the same command again to pick it up")
        fields({"run_id": result.run_id, "evaluation_id": document["evaluation_id"]})
        return
    if result.reused:
        click.echo("the same was tested before; nothing was done (--force tests again)")
    table(
        ["model", "WER", "recomputed", "words", "sub", "del", "ins", "sentence errors"],
        [
            (
                line["model"],
                percent(line["wer"]),
                percent(line["wer_recomputed"]),
                line["words"],
                line["substitutions"],
                line["deletions"],
                line["insertions"],
                percent(line["sentence_error_rate"]),
            )
            for line in document["models"]
        ],
        right=["WER", "recomputed", "words", "sub", "del", "ins", "sentence errors"],
    )
    _show_evaluated(result)
    if result.comparison is not None:
        click.echo(str(result.comparison))
    for label, found in result.contamination.items():
        click.echo(f"in the training data of {label}: {describe(found, result.scores[label])}")
    for name, reason in document["failed_evaluators"].items():
        click.echo(f"evaluator {name} failed: {reason}", err=True)
    fields({"run_id": result.run_id, "evaluation_id": document["evaluation_id"]})


def _show_evaluated(result: TestResult) -> None:
    """A line for each metric of an evaluator, a column for each model."""
    labels = list(result.evaluated)
    names = list(dict.fromkeys(name for metrics in result.evaluated.values() for name in metrics))
    rows = [[name, *(_number(result.evaluated[label].get(name)) for label in labels)] for name in names]
    if rows:
        table(["evaluators", *labels], rows, right=labels)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
