"""The claim on PostgreSQL behind several workers: of eight that want a target at the same moment, one has it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from speech_mlflow.promotion import claim as claims
from tests.fixtures.mlflow_server import MlflowServer
from tests.promotion.test_claim import KEY, contend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WRITERS, ROUNDS = 8, 4


def write_once(uri: str, run_id: str, barrier: Any, results: Any, rounds: int) -> None:
    """What a claim rests on: a parameter takes one value."""
    client = MlflowClient(uri, uri)
    client.get_run(run_id)
    name = multiprocessing.current_process().name
    for number in range(rounds):
        barrier.wait(120)
        try:
            client.log_param(run_id, f"claim.{number}", name)
        except MlflowException as error:
            results.put((number, name, error.error_code))
        else:
            results.put((number, name, "won"))


def at_once(target: Callable[..., None], *arguments: Any) -> list[tuple[Any, ...]]:
    """What each of the writers said in each round."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.promotion.preload"])
    barrier, results = context.Barrier(WRITERS), context.Queue()
    children = [context.Process(target=target, args=(*arguments, barrier, results, ROUNDS)) for _ in range(WRITERS)]
    for child in children:
        child.start()
    said = [results.get(timeout=300) for _ in range(WRITERS * ROUNDS)]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * WRITERS
    return said


def test_of_eight_writers_at_once_one_wins(postgres_server: MlflowServer) -> None:
    client = MlflowClient(postgres_server.uri, postgres_server.uri)
    run_id = client.create_run(client.create_experiment("writers")).info.run_id
    said = at_once(write_once, postgres_server.uri, run_id)
    kept = client.get_run(run_id).data.params
    for number in range(ROUNDS):
        answers = {name: answer for which, name, answer in said if which == number}
        assert sorted(answers.values()) == ["INVALID_PARAMETER_VALUE"] * (WRITERS - 1) + ["won"]
        assert answers[kept[f"claim.{number}"]] == "won"


@pytest.mark.parametrize("before", [0, 1], ids=["no run yet", "a run is there"])
def test_of_eight_claims_at_once_one_holds(postgres_server: MlflowServer, before: int) -> None:
    """Without a run each process may make one, and then it may be that nobody holds; with one, exactly one does."""
    client = MlflowClient(postgres_server.uri, postgres_server.uri)
    experiment = client.create_experiment(f"claims {before}")
    for number in range(ROUNDS * before):
        claims.acquire(client, experiment, f"{KEY}{number}").release()
    said = at_once(contend, postgres_server.uri, experiment)
    for number in range(ROUNDS):
        holders = [holder for which, holder in said if which == number and holder]
        assert before <= len(holders) <= 1, f"round {number}: {holders}"
