"""``speech-mlflow data``: check, upload and list data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, command, fields, table
from speech_mlflow.errors import CorpusError
from speech_mlflow.service.entities import DATASET_KINDS

if TYPE_CHECKING:
    from speech_mlflow.corpus import Corpus

PATH = click.Path(exists=True, path_type=Path)
kind_option = click.option(
    "--kind", type=click.Choice(DATASET_KINDS), help="Kind of data, where it cannot be told from the files."
)


@click.group()
def data() -> None:
    """Check, upload and list data sets."""


@data.command()
@click.argument("paths", type=PATH, nargs=-1, required=True)
@kind_option
@command
def check(app: App, paths: tuple[Path, ...], kind: str | None) -> None:
    """Check data as the service would, before anything is uploaded; all problems at once.

    Exits with 3 where there are errors; warnings alone pass.

    \b
    speech-mlflow data check recordings/ terms.txt
    speech-mlflow data check train.zip --kind Acoustic --json
    """
    from speech_mlflow.corpus import read_corpus

    corpora = [read_corpus(path, locale=app.settings.locale, kind=kind) for path in paths]

    def human() -> None:
        for corpus in corpora:
            click.echo(f"{corpus.source}: {corpus.kind}, {len(corpus.errors)} errors, {len(corpus.warnings)} warnings")
            fields({f"  {name}": _short(value) for name, value in corpus.profile().items()})
            for problem in corpus.problems:
                click.echo(f"  {problem}")

    app.emit([_document(corpus) for corpus in corpora], human)
    errors = [problem for corpus in corpora for problem in corpus.errors]
    if errors:
        raise CorpusError(f"{len(errors)} errors in the data", hint="each line above says what to change")


@data.command()
@click.argument("path", type=PATH)
@kind_option
@click.option("--name", help="Name of the data set; default: the file's name.")
@command
def upload(app: App, path: Path, kind: str | None, name: str | None) -> None:
    """Check data and upload it; the same content is never uploaded twice.

    \b
    speech-mlflow data upload recordings/ --name clinic-train
    """
    from speech_mlflow.corpus import read_corpus
    from speech_mlflow.workflow import upload as upload_corpus

    corpus = read_corpus(path, locale=app.settings.locale, kind=kind, name=name)
    speech = app.speech()
    with app.progress() as progress:
        dataset = upload_corpus(speech, corpus, project=app.project(speech), progress=progress)
    app.emit(dataset.to_json(), lambda: fields({"id": dataset.id, **_row(dataset)}))


@data.command("list")
@command
def list_(app: App) -> None:
    """List the data sets of the resource.

    \b
    speech-mlflow data list --json
    """
    datasets = sorted(app.speech().datasets.list(), key=lambda dataset: str(dataset.created_date_time))
    rows = [{"id": dataset.id, **_row(dataset)} for dataset in datasets]
    app.emit(
        [dataset.to_json() for dataset in datasets],
        lambda: table(list(rows[0]), [list(row.values()) for row in rows]) if rows else click.echo("no data sets yet"),
    )


def _row(dataset: Any) -> dict[str, object]:
    properties = dataset.properties
    return {
        "name": dataset.display_name,
        "kind": dataset.kind,
        "locale": dataset.locale,
        "status": dataset.status,
        "accepted": properties.accepted_line_count if properties else None,
        "rejected": properties.rejected_line_count if properties else None,
        "created": f"{dataset.created_date_time:%Y-%m-%d %H:%M}" if dataset.created_date_time else None,
    }


def _document(corpus: Corpus) -> dict[str, object]:
    return {
        "path": str(corpus.source),
        "kind": corpus.kind,
        "locale": corpus.locale,
        "fingerprint": corpus.fingerprint,
        "profile": corpus.profile(),
        "problems": [
            {
                "severity": problem.severity,
                "code": problem.code,
                "message": problem.message,
                "file": problem.file,
                "line": problem.line,
                "hint": problem.hint,
            }
            for problem in corpus.problems
        ],
    }


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
