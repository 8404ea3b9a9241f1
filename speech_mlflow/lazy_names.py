"""The names that a package offers, loaded when they are first used: importing the package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562) whose names are in the modules below it that ``homes`` says.

    Type checkers are to read plain imports instead, so that they know the types and a name that is not there.
    """
    home_of = {name: f"{package}.{module}" for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        try:
            home = home_of[name]
        except KeyError:
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
        return getattr(import_module(home), name)

    def listed() -> list[str]:
        return [*home_of, *(name for name in vars(sys.modules[package]) if name.startswith("__"))]

    return load, listed
