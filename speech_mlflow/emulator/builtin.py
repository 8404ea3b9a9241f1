"""The engine that comes with the offline service, registered like anybody's plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from speech_mlflow.hookspecs import hookimpl

if TYPE_CHECKING:
    from speech_mlflow.emulator.engine import Engine


@hookimpl
def register_recognizers(register: Callable[[Engine], None]) -> None:
    """Register PocketSphinx."""
    from speech_mlflow.emulator.sphinx.engine import SphinxEngine

    register(SphinxEngine())
