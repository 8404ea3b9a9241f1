"""The built-in normalisers, registered through the same hook as anybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from speech_mlflow.hookspecs import hookimpl

if TYPE_CHECKING:
    from speech_mlflow.scoring.normalize import Normalizer


@hookimpl
def register_normalizers(register: Callable[[Normalizer], None]) -> None:
    from speech_mlflow.scoring import normalize, rules

    for normalizer in (normalize.NOTHING, *rules.BUILTIN):
        register(normalizer)
