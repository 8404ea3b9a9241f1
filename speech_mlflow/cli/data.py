"""``speech-mlflow data``: check, upload and list data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from speech_mlflow.cli.app import App, DataArgument, command, entity, fields, table
from speech_mlflow.errors import CorpusError, DataError
from speech_mlflow.service.entities import DATASET_KINDS

if TYPE_CHECKING:
    from speech_mlflow.corpus import Corpus
    from speech_mlflow.service.entities import Dataset

PATH = click.Path(exists=True, path_type=Path)
kind_option = click.option(
    "--kind", type=click.Choice(DATASET_KINDS), help="Kind of data, where it cannot be told from the files."
)


@click.group()
def data() -> None:
    """Check, upload and list data sets.

    \b
    speech-mlflow data check recordings/ terms.txt
    speech-mlflow data upload recordings/ --name clinic-train
    """


@data.command(short_help="Check data as the service would.")
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

    checked: list[Corpus | _Unread] = []
    for path in paths:
        try:
            checked.append(read_corpus(path, locale=app.settings.locale, kind=kind))
        except DataError as error:  # of this one: the others are looked at all the same
            if len(paths) == 1:
                raise
            checked.append(_Unread(path, error))
    app.emit([_document(one, app.settings.locale) for one in checked], lambda: _show_checked(checked))
    count = sum(1 if isinstance(one, _Unread) else len(one.errors) for one in checked)
    if count:
        raise CorpusError(f"{_many(count, 'error')} in the data", hint="each line above says what to change")


@dataclass(frozen=True)
class _Unread:
    """Data that cannot be read at all, and why."""

    source: Path
    error: DataError


def _show_checked(checked: Iterable[Corpus | _Unread]) -> None:
    for one in checked:
        if isinstance(one, _Unread):
            click.echo(f"{one.source}: cannot be read\n  {one.error}" + (f" ({one.error.hint})" if one.error.hint else ""))
            continue
        click.echo(f"{one.source}: {one.kind}, {_many(len(one.errors), 'error')}, {_many(len(one.warnings), 'warning')}")
        fields({f"  {name}": _short(value) for name, value in one.profile().items()})
        for problem in one.problems:
            click.echo(f"  {problem}")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@data.command(short_help="Check data and upload them once.")
@click.argument("source", metavar="PATH|URL", type=DataArgument("http://", "https://"))
@kind_option
@click.option("--name", help="Name of the data set; default: the file's name.")
@click.option("--force", is_flag=True, help="Import a URL again, which was imported before.")
@command
def upload(app: App, source: str, kind: str | None, name: str | None, force: bool) -> None:
    """Check data and upload it; the same content is never uploaded twice.

    A URL is read by the service itself: a blob with a shared access signature, a public file, or a blob that the resource's
    managed identity may read. It needs --kind, and is imported once.

    \b
    speech-mlflow data upload recordings/ --name clinic-train
    speech-mlflow data upload "https://account.blob.core.windows.net/speech/train.zip?sv=..." --kind Acoustic
    """
    at_url = re.match(r"https?://", source)
    dataset = _import(app, source, kind, name, force) if at_url else _upload(app, Path(source), kind, name)
    app.emit(entity(dataset), lambda: fields({"id": dataset.id, **_row(dataset)}))


def _import(app: App, url: str, kind: str | None, name: str | None, force: bool) -> Dataset:
    from speech_mlflow.workflow import import_url

    if kind is None:
        raise click.UsageError("a URL needs --kind: its content is not seen here", click.get_current_context())
    default = Path(urlsplit(url).path).stem or urlsplit(url).hostname or "data"
    speech = app.speech()
    with app.progress() as progress:
        return import_url(
            speech,
            url,
            kind=kind,
            locale=app.settings.locale,
            name=name or default,
            project=app.project(speech),
            force=force,
            progress=progress,
        )


def _upload(app: App, path: Path, kind: str | None, name: str | None) -> Dataset:
    from speech_mlflow.corpus import read_corpus
    from speech_mlflow.workflow import upload as upload_corpus

    corpus = read_corpus(path, locale=app.settings.locale, kind=kind, name=name)
    speech = app.speech()
    with app.progress() as progress:
        return upload_corpus(speech, corpus, project=app.project(speech), progress=progress)


@data.command(short_help="Show one data set and its files.")
@click.argument("dataset_id")
@command
def show(app: App, dataset_id: str) -> None:
    """Show a data set: what the service took and refused, and which files it keeps of it.

    \b
    speech-mlflow data show 6a1f0f5e-... --json
    """
    speech = app.speech()
    dataset = speech.datasets.get(dataset_id)
    files = list(speech.datasets.files(dataset.id)) if dataset.status in {"Succeeded", "Failed"} else []
    listed = [
        {"name": file.name, "kind": file.kind, "bytes": file.properties.size if file.properties else None} for file in files
    ]

    def human() -> None:
        properties = dataset.properties
        error = properties.error if properties else None
        about = {
            "description": dataset.description,
            "error": f"{error.code}: {error.message}" if error else None,
            **(dataset.custom_properties or {}),
        }
        fields({"id": dataset.id, **_row(dataset), **about})
        if listed:
            table(["file", "kind", "bytes"], [list(file.values()) for file in listed], right=["bytes"])

    app.emit({**entity(dataset), "files": listed}, human)


@data.command("list", short_help="List the data sets of the resource.")
@command
def list_(app: App) -> None:
    """List the data sets of the resource.

    \b
    speech-mlflow data list --json
    """
    datasets = sorted(app.speech().datasets.list(), key=lambda dataset: str(dataset.created_date_time))
    rows = [{"id": dataset.id, **_row(dataset)} for dataset in datasets]
    app.emit(
        [entity(dataset) for dataset in datasets],
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


def _document(corpus: Corpus | _Unread, locale: str) -> dict[str, object]:
    if isinstance(corpus, _Unread):
        error = corpus.error
        problem = {"severity": "error", "code": "unreadable", "message": str(error), "file": str(corpus.source), "line": None}
        unknown: dict[str, object] = {"kind": None, "locale": locale, "fingerprint": None, "profile": {}}
        return {"path": str(corpus.source), **unknown, "problems": [{**problem, "hint": error.hint}]}
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
