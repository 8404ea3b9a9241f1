"""``speech-mlflow compare``: models against each other, from test runs in MLflow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, command, percent, table

if TYPE_CHECKING:
    from speech_mlflow.scoring import Comparison
    from speech_mlflow.scoring.comparison import ChangedUtterance
    from speech_mlflow.scoring.statistics import Interval
    from speech_mlflow.workflow import ComparedModel, RunComparison

GROUPS = 50
"""Groups of a column that are printed, and for which an interval is drawn."""


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--data", metavar="NAME", help="Name or digest of the test data, where a version was tested on several.")
@click.option("--normalizer", help="Score the stored transcripts under another normaliser, by locale or name.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write an HTML report to this file.")
@click.option("--show", default=5, show_default=True, type=click.IntRange(0), help="How many changed utterances to print.")
@click.option(
    "--resamples", default=10_000, show_default=True, type=click.IntRange(100), help="Resamples behind intervals and p values."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the resampling.")
@command
def compare(
    app: App,
    runs: tuple[str, ...],
    data: str | None,
    normalizer: str | None,
    report: Path | None,
    show: int,
    resamples: int,
    seed: int,
) -> None:
    """Compare models that were tested: is one better beyond chance, where, and on which utterances?

    RUNS are ids of test runs (all models in them) or versions: MODEL/VERSION, MODEL@ALIAS, MODEL/Production. A version stands
    for its newest test on the data that all share. Different test data are refused.

    \b
    speech-mlflow compare clinic-en-us/1 clinic-en-us/2
    speech-mlflow compare clinic-en-us/Production clinic-en-us@candidate --data testing --report report.html
    speech-mlflow compare 9e3c55f10a2e453db89dcf15e7fdc959 --normalizer none --json
    """
    from speech_mlflow.workflow import compare_runs

    compared = compare_runs(*runs, data=data, normalizer=normalizer, resamples=resamples, seed=seed, client=app.mlflow())
    if report is not None:
        report.write_text(compared.report(), encoding="utf-8")
        click.echo(f"report: {report}", err=True)
    app.emit(_document(compared, show), lambda: _show(compared, show))


def _document(compared: RunComparison, show: int) -> dict[str, Any]:
    first = compared.models[0].score
    return {
        "dataset": compared.dataset,
        "digest": compared.digest,
        "locale": compared.locale,
        "normalizer": first.normalizer.label,
        "utterances": len(first),
        "left_out": compared.left_out,
        "best": compared.table.best(),
        "models": [_model(compared, one) for one in compared.models],
        "comparisons": [_pair(compared, pair, show) for pair in compared.table.pairs.values()],
        "groups": {column: _groups(compared, column) for column in first.groups},
    }


def _groups(compared: RunComparison, column: str) -> dict[str, Any]:
    """WER of every model in every group, with its interval."""
    from speech_mlflow.scoring.comparison import wer_intervals_by

    first = compared.models[0].score
    totals = {name: score.by_group(column) for name, score in compared.scores.items()}
    # an interval takes a bootstrap of its own: of very many groups the largest have one
    largest = sorted(totals[next(iter(totals))].items(), key=lambda item: -item[1].words)[:GROUPS]
    drawn = [label for label, total in largest if total.utterances]
    intervals = {name: wer_intervals_by(score, first.groups[column], drawn) for name, score in compared.scores.items()}
    return {
        label: {
            "utterances": total.utterances,
            "words": total.words,
            "wer": {name: by_label[label].wer for name, by_label in totals.items()},
            "interval": {name: _ends(found.get(label)) for name, found in intervals.items()},
        }
        for label, total in first.by_group(column).items()
    }


def _model(compared: RunComparison, one: ComparedModel) -> dict[str, Any]:
    from speech_mlflow.scoring.comparison import wer_interval

    found = one.contamination
    pair = next(iter(compared.table.pairs.values()))
    interval = wer_interval(one.score, resamples=pair.resamples, seed=pair.seed)
    return {
        "model": one.label,
        "model_id": one.model_id,
        "run_id": one.run_id,
        "wer": one.wer,
        "wer_recomputed": one.score.wer,
        "interval": [interval.low, interval.high],
        "interval_method": interval.method,
        "words": one.score.words,
        "substitutions": one.score.substitutions,
        "deletions": one.score.deletions,
        "insertions": one.score.insertions,
        "sentence_error_rate": one.score.ser,
        "in_training_data": None if found is None else {"count": len(found.ids), "audio": found.audio, "text": found.text},
        "evaluators": {name: dict(output.metrics) for name, output in one.outputs.items()},
        "failed_evaluators": {failure.name: failure.reason for failure in one.failures},
    }


def _pair(compared: RunComparison, pair: Comparison, show: int) -> dict[str, Any]:
    return {
        "models": list(pair.names),
        "verdict": compared.table.verdict(pair.names),
        **pair.summary(),
        "p_value_corrected": compared.table.p_values[pair.names],
        "mapsswe_segments": pair.mapsswe.segments,
        "mapsswe_p_value_corrected": compared.table.mapsswe_p_values[pair.names],
        "resampled_by": pair.resampled_by,
        "got_better": [_changed(pair, one) for one in pair.better(show)],
        "got_worse": [_changed(pair, one) for one in pair.worse(show)],
        "notes": list(pair.notes),
    }


def _changed(pair: Comparison, one: ChangedUtterance) -> dict[str, Any]:
    first, second = pair.first.utterance(one.index), pair.second.utterance(one.index)
    return {
        "id": one.id,
        "words": one.words,
        "errors": [one.first_errors, one.second_errors],
        "reference": first.reference,
        "hypotheses": [first.hypothesis, second.hypothesis],
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _show(compared: RunComparison, show: int) -> None:
    document = _document(compared, show)
    left_out = f", {compared.left_out} left out that not every run has" if compared.left_out else ""
    click.echo(f"{compared.dataset} (digest {compared.digest}): {document['utterances']} utterances{left_out}")
    numbers = ["WER", "recomputed", "interval", "sub", "del", "ins", "words"]
    table(
        ["model", *numbers, "run"],
        [
            (
                line["model"],
                percent(line["wer"]),
                percent(line["wer_recomputed"]),
                " – ".join(map(percent, line["interval"])),
                line["substitutions"],
                line["deletions"],
                line["insertions"],
                line["words"],
                line["run_id"],
            )
            for line in document["models"]
        ],
        right=numbers,
    )
    click.echo(
        f"WER: as the service counted; recomputed, with its interval: from the transcripts, normaliser "
        f"{document['normalizer']}, {document['models'][0]['interval_method']}"
    )
    _show_pairs(document)
    _show_groups(document, list(compared.scores))
    _show_evaluators(document)
    for pair in document["comparisons"]:
        _show_changed(pair, "better", pair["got_better"])
        _show_changed(pair, "worse", pair["got_worse"])
    for found in _contaminated(compared):
        click.echo(found)


def _show_pairs(document: dict[str, Any]) -> None:
    right = ["points", "interval", "p", "MAPSSWE z", "MAPSSWE p", "better", "worse"]
    table(
        ["compared", *right],
        [
            (
                f"{pair['models'][1]} − {pair['models'][0]}",
                points(pair["wer_difference"]),
                f"{points(pair['wer_difference_low'])} to {points(pair['wer_difference_high'])}",
                f"{pair['p_value_corrected']:.3g}",
                f"{pair['mapsswe_z']:.2f}",
                f"{pair['mapsswe_p_value_corrected']:.3g}",
                pair["better"],
                pair["worse"],
            )
            for pair in document["comparisons"]
        ],
        right=right,
    )
    if len(document["comparisons"]) > 1:
        click.echo(f"p values are corrected (Holm) for {len(document['comparisons'])} comparisons")
    for pair in document["comparisons"]:
        click.echo(pair["verdict"])
    for note in document["comparisons"][0]["notes"]:  # the same for all
        click.echo(f"  note: {note}")


def _show_groups(document: dict[str, Any], names: list[str]) -> None:
    for column, labels in document["groups"].items():
        differences = [f"{name} − {names[0]}" for name in names[1:]]
        right = ["utterances", "words", *names, *differences]
        largest = sorted(labels, key=lambda label: -labels[label]["words"])[:GROUPS]
        table(
            [column, *right],
            [
                (
                    label,
                    line["utterances"],
                    line["words"],
                    *(percent(line["wer"][name]) for name in names),
                    *(points(line["wer"][name] - line["wer"][names[0]]) for name in names[1:]),
                )
                for label, line in labels.items()
                if label in largest
            ],
            right=right,
        )
        if len(labels) > GROUPS:
            click.echo(f"the {GROUPS} largest of {len(labels)} groups; --json has all")


def _show_evaluators(document: dict[str, Any]) -> None:
    models = document["models"]
    metrics = {(name, metric): None for line in models for name, measured in line["evaluators"].items() for metric in measured}
    if metrics:
        table(
            ["evaluator", "metric", *(line["model"] for line in models)],
            [
                (name, metric, *(_number(line["evaluators"].get(name, {}).get(metric)) for line in models))
                for name, metric in metrics
            ],
            right=[line["model"] for line in models],
        )
    failed = {(name, reason) for line in models for name, reason in line["failed_evaluators"].items()}
    for name, reason in sorted(failed):
        click.echo(f"evaluator {name} failed: {reason}", err=True)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _show_changed(pair: dict[str, Any], how: str, changed: list[dict[str, Any]]) -> None:
    if not changed:
        return
    first, second = pair["models"]
    count = f"{pair[how]} utterance{'' if pair[how] == 1 else 's'}"
    click.echo(f"\n{count} got {how} from {first} to {second}" + _first_of(len(changed), int(pair[how])))
    for one in changed:
        click.echo(f"  {one['id']}: {one['errors'][0]} → {one['errors'][1]} errors in {one['words']} words")
        click.echo(f"      said:  {one['reference']}")
        for name, heard in zip(pair["models"], one["hypotheses"], strict=True):
            click.echo(f"      {name}:  {heard}")


def _first_of(shown: int, all_: int) -> str:
    return f", the largest changes first ({shown} of {all_}; --show {all_} for all):" if shown < all_ else ":"


def _contaminated(compared: RunComparison) -> list[str]:
    from speech_mlflow.workflow.contamination import describe

    found = compared.contamination
    return [f"in the training data of {label}: {describe(one, compared.scores[label])}" for label, one in found.items()]


def points(value: float) -> str:
    """A difference of rates in percentage points; empty where both are infinite."""
    return "" if math.isnan(value) else f"{100 * value:+.1f}".replace("-", "−").replace("inf", "∞")
