"""Showing progress: bars on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from speech_mlflow.progress import Progress, ProgressEvent, silent

LOG_SECONDS = 10.0
"""In a log, a step that goes on prints a line at most this often."""


@contextmanager
def show(*, quiet: bool = False) -> Iterator[Progress]:
    """A receiver of progress events that writes to stderr; bars go away at the end, what was done is for the caller to say."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _lines()


def _amount(event: ProgressEvent) -> str:
    """The amounts of an event, "1.2/4.8 MB" or "3/7 files"; seconds alone are not worth a word: the clock shows them."""
    if event.unit == "s":
        return ""
    size = event.unit in {"B", "bytes"}

    def number(value: float) -> str:
        return f"{value / 1e6:.1f}" if size else f"{value:.0f}"

    total = "" if event.total is None else f"/{number(event.total)}"
    return f"{number(event.done)}{total} {'MB' if size else event.unit}".strip()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    texts = [TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[note]}")]  # names are no markup
    columns = (SpinnerColumn(), texts[0], BarColumn(bar_width=24), texts[1])
    with Bars(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def receive(event: ProgressEvent) -> None:
            if event.step not in tasks:
                tasks[event.step] = bars.add_task(event.step, total=event.total, note="")
            note = event.detail or (_amount(event) if event.unit else "")
            bars.update(tasks[event.step], completed=event.done, total=event.total, note=note)

        yield receive


def _lines() -> Progress:
    last: dict[str, tuple[float, str]] = {}

    def receive(event: ProgressEvent) -> None:
        now = time.monotonic()
        finished = event.total is not None and event.done >= event.total
        said = last.get(event.step)
        text = " ".join(part for part in (event.step, _amount(event) if event.unit else "", event.detail) if part)
        if said is None:  # what is over in a moment is not worth a line
            last[event.step] = (now, "")
        elif text != said[1] and ((finished and said[1]) or now - said[0] >= LOG_SECONDS):
            click.echo(text, err=True)
            last[event.step] = (now, text)

    return receive
