"""A service with three trained models for the session, and a registry for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fixtures.mlflow import MlflowStore
from tests.promotion.world import Service, World


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service process with three models that differ in one word each."""
    service = Service(tmp_path_factory.mktemp("service"))
    try:
        service.train()
        yield service
    finally:
        service.close()


@pytest.fixture
def world(service: Service, mlflow_store: MlflowStore) -> Iterator[World]:
    """An empty registry and the service, without faults."""
    service.tell(faults=[], clock=0)
    with service.connect() as speech:
        yield World(service, speech, mlflow_store.client)
        service.tell(faults=[], clock=0)
        for endpoint in list(speech.endpoints.list()):  # a resource has room for fifty
            while not speech.endpoints.get(endpoint.id).done:
                time.sleep(0.05)
            speech.endpoints.delete(endpoint.id)
