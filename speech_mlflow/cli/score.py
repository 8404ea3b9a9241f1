"""``speech-mlflow score``: the output of any recogniser against references, from files alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, command, percent, table
from speech_mlflow.errors import SettingsError

if TYPE_CHECKING:
    from speech_mlflow.scoring import ComparisonTable, Score

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FORMATS = ("trn", "text", "tsv", "csv", "jsonl", "json", "stm", "ctm")
COUNTS = ("substitutions", "deletions", "insertions", "errors", "words")


@click.command()
@click.argument("reference", type=FILE)
@click.argument("hypotheses", type=FILE, nargs=-1, required=True)
@click.option("--name", "names", multiple=True, help="Name of each hypothesis file, in order; default: its file name.")
@click.option("--normalizer", help='Text normaliser, by locale or name, or "none"; default: that of the locale.')
@click.option("--reference-format", type=click.Choice(FORMATS), help="Format of the references, where the guess is wrong.")
@click.option("--format", "hypothesis_format", type=click.Choice(FORMATS), help="Format of the hypotheses.")
@click.option("--group", "group", metavar="NAME=REGEX", help="Group by what the regular expression's first group finds in ids.")
@click.option(
    "--missing-as-empty", is_flag=True, help="Take utterances without a hypothesis as ones in which nothing was heard."
)
@click.option("--ignore-extra", is_flag=True, help="Leave out hypotheses that have no reference.")
@click.option("--report", type=OUTPUT, help="Write an HTML report to this file.")
@click.option(
    "--audio", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of WAV files for the report."
)
@click.option(
    "--table", "table_file", type=click.Path(dir_okay=False, path_type=Path), help="Write utterances to a .csv or .jsonl."
)
@click.option("--stream", is_flag=True, help="Read both files in step, in bounded memory; they must be in the same order.")
@click.option(
    "--resamples", default=10_000, show_default=True, type=click.IntRange(100), help="Resamples behind intervals and p values."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the resampling.")
@command
def score(
    app: App,
    reference: Path,
    hypotheses: tuple[Path, ...],
    names: tuple[str, ...],
    group: str | None,
    report: Path | None,
    audio: Path | None,
    table_file: Path | None,
    stream: bool,
    resamples: int,
    seed: int,
    normalizer: str | None,
    **reading: Any,
) -> None:
    """Score one or more files of hypotheses against a file of references.

    Reads trn, Kaldi text, TSV, CSV, JSON lines, stm and ctm. Several hypotheses are compared with each other.

    \b
    speech-mlflow score ref.trn hyp.trn
    speech-mlflow score ref.jsonl base.jsonl custom.jsonl --report report.html --audio wav/
    speech-mlflow score ref.stm hyp.ctm --normalizer none --json
    """
    from speech_mlflow.scoring import compare_all

    files = _named(hypotheses, names)
    rule = normalizer or app.settings.locale
    if stream:
        for option, value in (("--report", report), ("--table", table_file), ("--group", group)):
            if value is not None:
                raise SettingsError(f"{option} needs the texts, which --stream does not keep")
        scores = _stream(app, reference, files, rule, reading)
    else:
        scores = _read(app, reference, files, rule, group, reading)
    comparison = compare_all(scores, resamples=resamples, seed=seed) if len(scores) > 1 else None
    if report is not None:
        _write_report(report, scores, comparison, audio, reference, (resamples, seed))
    if table_file is not None:
        _write_tables(table_file, scores)
    app.emit(_document(scores, comparison, (resamples, seed)), lambda: _show(scores, comparison, (resamples, seed)))


def _named(hypotheses: tuple[Path, ...], names: tuple[str, ...]) -> dict[str, Path]:
    if names and len(names) != len(hypotheses):
        raise SettingsError(f"there are {len(names)} names for {len(hypotheses)} files", hint="give --name once for each file")
    stems = [path.stem for path in hypotheses]
    chosen = names or (stems if len(set(stems)) == len(stems) else [str(path) for path in hypotheses])
    files = dict(zip(chosen, hypotheses, strict=True))
    if len(files) != len(hypotheses):
        raise SettingsError("the names of the hypotheses are not all different", hint="give each file its own --name")
    return files


def _read(
    app: App, reference: Path, files: Mapping[str, Path], rule: str, group: str | None, reading: Mapping[str, Any]
) -> dict[str, Score]:
    from speech_mlflow.scoring import score as score_texts
    from speech_mlflow.scoring.formats import read_pair

    references, matched = read_pair(reference, files, **reading)
    groups = dict(references.groups)
    if group is not None:
        name, labels = _labels(group, list(references.texts))
        groups = {name: labels, **groups}
    with app.progress() as progress:
        return {
            name: score_texts(references.texts, texts, groups=groups, normalizer=rule, progress=progress)
            for name, texts in matched.items()
        }


def _stream(app: App, reference: Path, files: Mapping[str, Path], rule: str, reading: Mapping[str, Any]) -> dict[str, Score]:
    from speech_mlflow.scoring import score_stream
    from speech_mlflow.scoring.formats import stream_pairs

    formats = {name: reading[name] for name in ("reference_format", "hypothesis_format")}
    with app.progress() as progress:
        return {
            name: score_stream(stream_pairs(reference, path, **formats), normalizer=rule, progress=progress)
            for name, path in files.items()
        }


def _labels(group: str, ids: list[str]) -> tuple[str, tuple[str, ...]]:
    name, separator, pattern = group.partition("=")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"--group {group!r} is not a regular expression: {error}") from error
    if not separator or not name or expression.groups < 1:
        raise SettingsError(f"--group takes NAME=REGEX with a group in parentheses, not {group!r}", hint="speaker=^([^-]+)-")
    found = [expression.search(key) for key in ids]
    return name, tuple("(none)" if match is None else match[1] or "(none)" for match in found)


def _write_report(
    path: Path,
    scores: Mapping[str, Score],
    comparison: ComparisonTable | None,
    audio: Path | None,
    reference: Path,
    bootstrap: tuple[int, int],
) -> None:
    from speech_mlflow.scoring.formats import short_id
    from speech_mlflow.scoring.report import render_report

    folder = audio

    def recording(name: str) -> bytes | None:
        assert folder is not None
        # the name comes from a file of others: only what lies in the folder itself
        for candidate in (folder / f"{short_id(name)}.wav", folder / f"{short_id(name)}.WAV"):
            if candidate.is_file() and candidate.resolve().parent == folder.resolve():
                return candidate.read_bytes()
        return None

    page = render_report(
        scores,
        title=f"{reference.name}: {' and '.join(scores)}",
        audio=None if folder is None else recording,
        metadata={"References": str(reference)},
        comparison=comparison,
        resamples=bootstrap[0],
        seed=bootstrap[1],
    )
    path.write_text(page, encoding="utf-8")
    click.echo(f"report: {path}", err=True)


def _write_tables(path: Path, scores: Mapping[str, Score]) -> None:
    from speech_mlflow.scoring.export import write_table

    for name, one in scores.items():
        target = path
        if len(scores) > 1:
            target = path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}{path.suffix}")
        write_table(one, target)
        click.echo(f"table: {target}", err=True)


def _document(scores: Mapping[str, Score], comparison: ComparisonTable | None, bootstrap: tuple[int, int]) -> dict[str, Any]:
    from speech_mlflow.scoring.comparison import wer_interval

    models = []
    for name, one in scores.items():
        interval = wer_interval(one, resamples=bootstrap[0], seed=bootstrap[1])
        models.append(
            {
                "model": name,
                **one.summary(),
                "interval": [interval.low, interval.high],
                "interval_method": interval.method,
                "groups": {
                    column: {label: _group(total) for label, total in one.by_group(column).items()} for column in one.groups
                },
            }
        )
    pairs = (
        []
        if comparison is None
        else [
            {
                "models": list(names),
                **pair.summary(),
                "p_value_corrected": comparison.p_values[names],
                "notes": list(pair.notes),
            }
            for names, pair in comparison.pairs.items()
        ]
    )
    return {"normalizer": next(iter(scores.values())).normalizer.label, "models": models, "comparisons": pairs}


def _group(total: Any) -> dict[str, Any]:
    return {"wer": total.wer, "utterances": total.utterances, **{name: getattr(total, name) for name in COUNTS}}


def _show(scores: Mapping[str, Score], comparison: ComparisonTable | None, bootstrap: tuple[int, int]) -> None:
    document = _document(scores, comparison, bootstrap)
    table(
        ["model", "WER", "interval", "sub", "del", "ins", "words", "sentence errors"],
        [
            (
                line["model"],
                percent(line["wer"]),
                " – ".join(map(percent, line["interval"])),
                line["substitutions"],
                line["deletions"],
                line["insertions"],
                line["words"],
                percent(line["ser"]),
            )
            for line in document["models"]
        ],
        right=["WER", "interval", "sub", "del", "ins", "words", "sentence errors"],
    )
    click.echo(f"normaliser {document['normalizer']}; {document['models'][0]['interval_method']}")
    for column in next(iter(scores.values())).groups:
        rows = [one.by_group(column) for one in scores.values()]
        table(
            [column, "utterances", *scores],
            [(label, rows[0][label].utterances, *(percent(row[label].wer) for row in rows)) for label in rows[0]],
            right=["utterances", *scores],
        )
    if comparison is not None:
        for (first, second), pair in comparison.pairs.items():
            click.echo(f"{second} against {first}: p {comparison.p_values[first, second]:.3g} after correction")
            click.echo("\n".join([comparison.verdict((first, second)), *pair.details()]))
