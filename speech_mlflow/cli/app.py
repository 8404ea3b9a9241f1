"""What every command shares: options, settings, connections and output."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, TypeVar
from urllib.parse import urlsplit

import click

from speech_mlflow.cli.main import of_run
from speech_mlflow.cli.redact import hide, secrets_in
from speech_mlflow.errors import SettingsError, TrackingError
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow import MlflowClient

    from speech_mlflow.progress import Progress
    from speech_mlflow.service import SpeechClient
    from speech_mlflow.service.records import Entity

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS_OPTIONS = {
    "--endpoint": ("URL", "URL of the speech resource (default: the offline service)."),
    "--tracking-uri": ("URI", "MLflow tracking server or store."),
    "--experiment": ("NAME", "MLflow experiment."),
    "--project": ("NAME", "Project that entities are put in."),
    "--locale": ("LOCALE", "Locale of data and models."),
    "--state-dir": ("DIR", "State of the offline service."),
}
"""What each takes, and what it is for."""


UNBOUNDED = 100_000
"""More columns than a line has."""
FEW = 4
"""So many columns are folded where they must be: as a table they are easier to read than as blocks."""
SERVER = re.compile(r"https?://|\w+(\+\w+)?://[^/]*:\d+/")
"""With which the URI of an MLflow server begins, or that of a database which names its server's port."""
PATIENCE_SECONDS = 5.0
"""How long an MLflow server may take to start."""


@dataclass
class App:
    """The settings, connections and output of one command."""

    settings: Settings
    json: bool
    out: TextIO = field(default_factory=lambda: sys.stdout)
    _stack: ExitStack = field(default_factory=ExitStack)

    def speech(self) -> SpeechClient:
        """A connection to the speech service, closed when the command ends."""
        from speech_mlflow.connection import connect

        return self._stack.enter_context(connect(self.settings))

    def mlflow(self, *, patient: bool = False) -> MlflowClient:
        """A client of the MLflow store and registry. ``patient`` is who goes on by itself once a server is there."""
        from speech_mlflow.connection import mlflow_client

        if not patient:
            self.reach_mlflow()
        return mlflow_client(self.settings)

    def mlflow_options(self) -> dict[str, Any]:
        """Where MLflow is, as the use cases take it."""
        from speech_mlflow.connection import mlflow_options

        self.reach_mlflow()
        return mlflow_options(self.settings)

    def reach_mlflow(self) -> None:
        """TrackingError where no MLflow server takes connections, or its database cannot be opened: MLflow itself tries for
        minutes before it says so."""
        from speech_mlflow.cli.checks import cannot_open

        for uri in dict.fromkeys((self.settings.tracking_uri, self.settings.registry_uri or self.settings.tracking_uri)):
            if SERVER.match(uri) and (reason := _not_connected(uri)):
                from speech_mlflow.tracking.store import public

                raise TrackingError(
                    f"the MLflow server {public(uri)} cannot be reached: {reason}",
                    hint="start the server, or correct --tracking-uri",
                )
            if reason := cannot_open(uri):
                hint = "name a store that you may write to with --tracking-uri"
                raise TrackingError(f"the MLflow store {uri} cannot be opened: {reason}", hint=hint)

    def project(self, speech: SpeechClient) -> str | None:
        """The id of the project named in the settings, made where it is missing; None where none is named."""
        from speech_mlflow.connection import ensure_project

        return ensure_project(speech, self.settings)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress on stderr: bars on a terminal, lines in a log, nothing under ``--json``."""
        from speech_mlflow.cli.progress import show

        with show(quiet=self.json) as progress:
            yield progress

    def emit(self, document: Any, human: Callable[[], None]) -> None:
        """Print the result: one JSON document under ``--json``, otherwise what ``human`` prints."""
        if self.json:
            click.echo(_json(document, indent=2), file=self.out)
        else:
            human()

    def emit_line(self, document: Any, human: Callable[[], None]) -> None:
        """Print one of many results: a JSON document on a line of its own under ``--json``."""
        if self.json:
            click.echo(_json(document), file=self.out)
        else:
            human()

    def say(self, text: str) -> None:
        """A line for a person on stdout; nothing under ``--json``."""
        if not self.json:
            click.echo(text)

    def confirm_cost(self, what: str, *, yes: bool) -> None:
        """Ask before something that a real resource charges for; the offline service charges nothing."""
        host = urlsplit(self.settings.endpoint or "").hostname
        if yes or host is None or host in {"127.0.0.1", "localhost", "::1"}:
            return
        if not sys.stdin.isatty():
            raise SettingsError(f"{what} on {host} costs money", hint="add --yes to say that this is meant")
        click.confirm(f"{what} on {host} costs money. Go on?", abort=True, err=True)

    def close(self) -> None:
        """Close what was opened."""
        self._stack.close()


def _not_connected(url: str) -> str | None:
    """Why there is no connection to a server, which may be about to start."""
    from speech_mlflow.cli.checks import cannot_connect

    end = time.monotonic() + PATIENCE_SECONDS
    while reason := cannot_connect(url):
        if time.monotonic() > end:
            return reason
        time.sleep(0.5)
    return None


def _load(flags: Mapping[str, Any], file: Path | None) -> Settings:
    """The settings. Where any is wrong, what is wrong in the file's targets and pipeline is told with it."""
    try:
        return Settings.load(flags, file=file)
    except SettingsError:
        from speech_mlflow.pipeline.declared import SettingsFile

        SettingsFile.load(flags, file=file)
        raise


def _unicode(out: TextIO) -> bool:
    """Whether all letters can be written there."""
    return (out.encoding or "utf-8").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


class DataArgument(click.Path):
    """A path of data, which the shell completes, or what begins with ``other``: data that are elsewhere."""

    name = "data"

    def __init__(self, *other: str) -> None:
        super().__init__(exists=True)
        self.other = other

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if str(value).startswith(self.other) else super().convert(value, param, ctx)


def command(function: F) -> F:
    """Give a command ``--json``, ``--debug`` and the settings' options, and pass it an :class:`App` first."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        names = [option[2:].replace("-", "_") for option in SETTINGS_OPTIONS]
        flags = {name: kwargs.pop(name) for name in names}
        as_json = kwargs.pop("json")
        settings = _load(flags, kwargs.get("settings_file"))
        hide(secrets_in(settings))
        app = App(settings, as_json)
        try:
            # under --json stdout is for the document alone, whatever a plugin or a library prints
            with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
                return function(app, *args, **kwargs)
        finally:
            app.close()

    for option, (takes, text) in reversed(SETTINGS_OPTIONS.items()):
        kind = click.Path(file_okay=False) if takes == "DIR" else None  # a shell completes it
        wrapper = click.option(option, help=text, metavar=takes, type=kind)(wrapper)
    wrapper = of_run(wrapper)
    return click.option("--json", is_flag=True, help="Print one JSON document and nothing else.")(wrapper)  # type: ignore[return-value]


def entity(record: Entity) -> dict[str, Any]:
    """A record of the service as a JSON document: its id first, and its ``contentUrl`` without the query, where a signature is."""
    document: dict[str, Any] = {"id": record.id, **record.to_json()}
    if document.get("contentUrl"):
        document["contentUrl"] = str(document["contentUrl"]).partition("?")[0]
    return document


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
    """Print rows under column heads; columns named in ``right`` are set to the right.

    In a log or a pipe a row is one line, however wide. On a terminal that is too narrow for ids and other words of many columns
    to stay whole, each row is a block with a line for each column.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, justify="right" if column in set(right) else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*row)
    console = Console(markup=False, emoji=False)  # names of data and models are no markup
    needed = Measurement.get(console, console.options.update(max_width=UNBOUNDED), drawn)
    if not console.is_terminal:
        console.width = max(console.width, needed.maximum)
    elif needed.minimum > console.width and len(columns) > FEW:
        for row in cells:
            click.echo()
            fields({column: cell or None for column, cell in zip(columns, row, strict=True)})
        return
    console.print(drawn)


def fields(document: Mapping[str, object]) -> None:
    """Print names and values below each other."""
    width = max((len(name) for name in document), default=0)
    for name, value in document.items():
        if value is not None:
            click.echo(f"{name:<{width}}  {value}")


def percent(rate: float | None) -> str:
    """A rate in percent with one decimal; empty where there is none, ∞ for errors without a reference word."""
    if rate is None or math.isnan(rate):
        return ""
    return "∞" if math.isinf(rate) else f"{100 * rate:.1f} %"


def _json(document: Any, indent: int | None = None) -> str:
    return json.dumps(_finite(document), indent=indent, default=str, ensure_ascii=not _unicode(sys.stdout), allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON knows no infinity, which is the rate of errors without a reference word: null in its place."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value
