"""``speech-mlflow init``: a commented settings file to start a project from."""

from __future__ import annotations

import shlex
import shutil
from importlib.resources import files
from pathlib import Path

import click

from speech_mlflow.cli.app import App, command
from speech_mlflow.errors import SettingsError
from speech_mlflow.settings import FILE

SCHEMA = "speech-mlflow.schema.json"


@click.command()
@click.argument("directory", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--example", is_flag=True, help="Copy the example corpus to DIR/data too, so that `speech-mlflow run` has data.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@command
def init(app: App, directory: Path, example: bool, force: bool) -> None:
    """Write DIR/speech-mlflow.toml, every part of it explained, and the JSON schema by which editors complete and check it.

    A file that is there is never overwritten without --force.

    \b
    speech-mlflow init
    speech-mlflow init clinic --example && cd clinic && speech-mlflow run
    """
    file, schema, data = directory / FILE, directory / SCHEMA, directory / "data"
    there = [path for path in (file, schema, *([data] if example else [])) if path.exists()]
    if there and not force:
        raise SettingsError(
            f"{', '.join(map(str, there))} {'exist' if len(there) > 1 else 'exists'} already; nothing was written",
            hint="name another directory, or overwrite with --force",
        )
    directory.mkdir(parents=True, exist_ok=True)
    package = files("speech_mlflow")
    file.write_text((package / "pipeline" / "template.toml").read_text("utf-8"), "utf-8")
    schema.write_text((package / SCHEMA).read_text("utf-8"), "utf-8")
    if example:
        _copy_example(data)
    written = [str(path) for path in (file, schema, *([data] if example else []))]

    def human() -> None:
        for path in written:
            click.echo(f"wrote {path}")
        there = "" if directory == Path() else f"cd {shlex.quote(str(directory))} && "
        click.echo(
            f"next: {there}speech-mlflow run --dry-run" if example else "next: put your data where the file says, or change it"
        )

    app.emit({"written": written}, human)


def _copy_example(target: Path) -> None:
    from speech_mlflow.cli.demo import example_corpus

    source = example_corpus()
    for part in ("training", "testing"):
        shutil.copytree(source / part, target / part, dirs_exist_ok=True)
    for name in ("LICENSE", "metadata.csv", "testing.metadata.csv"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
