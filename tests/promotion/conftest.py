"""A service with three trained models for the session, and a registry for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.mlflow import MlflowStore
from tests.promotion.world import Service, World


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service process with three models that differ in one word each."""
    service = Service(tmp_path_factory.mktemp("service"))
    yield service
    service.close()


@pytest.fixture
def world(service: Service, mlflow_store: MlflowStore) -> Iterator[World]:
    """An empty registry and the service, without faults."""
    service.tell(faults=[], clock=0)
    with service.connect() as speech:
        yield World(service, speech, mlflow_store.client)
    service.tell(faults=[], clock=0)
