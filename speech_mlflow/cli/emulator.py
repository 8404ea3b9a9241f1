"""``speech-mlflow emulator``: the offline speech service."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from speech_mlflow.cli.app import App, command, fields, table
from speech_mlflow.cli.main import of_run
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from speech_mlflow.emulator.address import Address


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Port to listen on.")
@click.option(
    "--dir",
    "--state-dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it keeps its state; default: state_dir of the settings.",
)
@click.option("--key", envvar="SPEECH_MLFLOW_EMULATOR_KEY", help="Key that clients must send; default: a random one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else, once it takes requests.")
@of_run
@click.pass_context
def emulator(context: click.Context, host: str, port: int, directory: Path | None, key: str | None, as_json: bool) -> None:
    """Run the offline speech service in the foreground; it prints what to put in the environment.

    Every other command starts one by itself where no endpoint is set, one for each state directory.

    \b
    speech-mlflow emulator --port 8080 --dir state/
    speech-mlflow emulator status
    speech-mlflow emulator stop
    """
    if context.invoked_subcommand is not None:
        given = {} if directory is None else {"state_dir": str(directory)}
        context.default_map = {context.invoked_subcommand: given}
        return
    from speech_mlflow.emulator.server import serve

    state = Settings.load({"state_dir": directory}).state_dir

    def started(address: Address) -> None:
        document = {"endpoint": address.url, "key": address.key.get_secret_value(), "state": os.fspath(state.resolve())}
        if as_json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
            return
        click.echo(f"export SPEECH_MLFLOW_ENDPOINT={document['endpoint']}")
        click.echo(f"export SPEECH_MLFLOW_KEY={document['key']}")
        click.echo(f"the offline speech service keeps its state in {state}; Ctrl-C stops it", err=True)

    serve(host, port, state, SecretStr(key) if key else None, on_ready=started)


@emulator.command(short_help="Say whether it runs and where.")
@command
def status(app: App) -> None:
    """Say whether the offline service of the state directory runs, and where.

    \b
    speech-mlflow emulator status --json
    """
    from speech_mlflow.emulator.process import find

    address = find(app.settings.state_dir)
    running = {"running": address is not None, "state": os.fspath(app.settings.state_dir.resolve())}
    if address is not None:
        running |= {"url": address.url, "pid": address.pid, "resource": address.resource}
    app.emit(running, lambda: fields(running))


@emulator.command(short_help="Stop it; its state stays.")
@command
def stop(app: App) -> None:
    """Stop the offline service of the state directory; its state stays.

    \b
    speech-mlflow emulator stop
    """
    from speech_mlflow.emulator.process import stop as stop_service

    stopped = stop_service(app.settings.state_dir)
    app.emit({"stopped": bool(stopped)}, lambda: click.echo("stopped" if stopped else "none was running"))


@emulator.command(short_help="Print what of the service is emulated.")
@command
def coverage(app: App) -> None:
    """Print which operations and rules of the service are emulated, and which are not.

    \b
    speech-mlflow emulator coverage
    """
    from speech_mlflow.emulator.coverage import coverage as read

    covered = read()
    app.emit(
        [asdict(one) for one in covered],
        lambda: table(["what", "name", "state", "note"], [(one.kind, one.name, one.state, one.note) for one in covered]),
    )
