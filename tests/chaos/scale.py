"""How much chaos: what continuous integration runs, and as many times that as `make chaos` is asked for."""

from __future__ import annotations

import os
from typing import Any

import pytest

FACTOR = int(os.environ.get("SPEECH_MLFLOW_CHAOS", "10"))


def seeds(in_ci: int) -> list[Any]:
    """Seeds to parametrize a test with: the first ones are slow tests, the others are for `make chaos` alone."""
    return [pytest.param(seed, marks=pytest.mark.slow if seed < in_ci else pytest.mark.chaos) for seed in range(in_ci * FACTOR)]
