"""The commands of this package, registered through the hook that anybody's commands come by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from speech_mlflow.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(register: Callable[[click.Command], None]) -> None:
    """Register them without importing their modules. They come first, so that no plugin takes one of their names."""
    from speech_mlflow.cli.lazy import LazyCommand
    from speech_mlflow.cli.main import COMMANDS

    for name, (module, text) in COMMANDS.items():
        register(LazyCommand(name, f"speech_mlflow.cli.{module}:{name}", text))
