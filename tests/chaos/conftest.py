"""The world of the promotion tests, and processes that start with everything loaded."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

from tests.promotion.conftest import service, world

__all__ = ["service", "world"]


@pytest.fixture(scope="session")
def processes() -> Any:
    """A fork server: each process that it makes has MLflow and this package loaded, and nothing else of the tests."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.promotion.preload"])
    return context
