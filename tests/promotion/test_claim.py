"""The claim: of many processes that want a target at once, one has it; the dead and the late have it no more."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import Any

import pytest
from mlflow import MlflowClient

from speech_mlflow.errors import ClaimHeldError
from speech_mlflow.promotion import claim as claims
from speech_mlflow.promotion.claim import acquire, claimed
from tests.fixtures.mlflow import MlflowStore
from tests.waiting import until

KEY = 'it\'s a "model"/default'


@pytest.fixture
def store(mlflow_store: MlflowStore) -> tuple[MlflowClient, str]:
    client = mlflow_store.client
    return client, client.create_experiment("claims")


def test_a_claim_excludes_until_it_is_released(store: tuple[MlflowClient, str]) -> None:
    client, experiment = store
    with claimed(client, experiment, KEY) as claim:
        claim.check()
        with pytest.raises(ClaimHeldError, match=str(os.getpid())):
            acquire(client, experiment, KEY)
        acquire(client, experiment, "another/default").release()
    acquire(client, experiment, KEY).release()


def test_a_claim_that_ended_is_taken_over_and_its_holder_may_not_write(store: tuple[MlflowClient, str]) -> None:
    client, experiment = store
    late = acquire(client, experiment, KEY, ttl=0.2)
    time.sleep(0.3)
    with pytest.raises(ClaimHeldError, match="ran out"):
        late.check()
    # even where its own clock stood still meanwhile
    late.ends = time.monotonic() + 100
    taken = acquire(client, experiment, KEY)
    with pytest.raises(ClaimHeldError, match="took over"):
        late.check()
    late.release()
    taken.check()


def test_a_renewed_claim_goes_on(store: tuple[MlflowClient, str]) -> None:
    client, experiment = store
    paused = 0.0
    claim = acquire(client, experiment, KEY, ttl=30, clock=lambda: time.monotonic() + paused)
    run_id, number = claim.places[0]
    claim.check()
    assert f"claim.{number}.until" not in client.get_run(run_id).data.tags  # not due yet
    paused = 20.0
    claim.check()
    assert float(client.get_run(run_id).data.tags[f"claim.{number}.until"]) > time.time() + 20
    paused = 45.0
    claim.check()
    paused = 90.0
    with pytest.raises(ClaimHeldError, match="ran out"):
        claim.check()


def test_a_claim_never_lasts_longer_for_its_holder_than_for_others(store: tuple[MlflowClient, str]) -> None:
    """To write the new end takes a while: here, twenty seconds."""
    client, experiment = store
    paused = 0.0

    def clock() -> float:
        runs = client.search_runs([experiment])
        written = any(name.endswith(".until") for run in runs for name in run.data.tags)
        return paused + 20.0 * written

    claim = acquire(client, experiment, KEY, ttl=30, clock=clock)
    paused = 15.0
    claim.check()
    assert clock() == 35.0
    assert claim.ends == 45.0


def test_two_runs_for_one_target_must_both_be_won(store: tuple[MlflowClient, str]) -> None:
    """What two processes leave that found no run and each made one."""
    client, experiment = store
    claims._create(client, experiment, KEY)
    claims._create(client, experiment, KEY)
    first = acquire(client, experiment, KEY)
    assert len(first.places) == 2
    with pytest.raises(ClaimHeldError):
        acquire(client, experiment, KEY)
    first.release()
    acquire(client, experiment, KEY)


def test_the_run_is_replaced_when_it_is_full(store: tuple[MlflowClient, str]) -> None:
    client, experiment = store
    seen = []
    for _ in range(7):
        with claimed(client, experiment, KEY, rotate_at=3) as claim:
            claim.check()
            seen.append(claim.places)
            with pytest.raises(ClaimHeldError):
                acquire(client, experiment, KEY)
    assert len({places[0][0] for places in seen}) > 1
    assert all(len(places) == 1 for places in seen)
    assert max(number for places in seen for _, number in places) < 4


# --- processes -----------------------------------------------------------------------------------------------------------


def contend(uri: str, experiment: str, barrier: Any, results: Any, rounds: int) -> None:
    client = MlflowClient(uri, uri)
    client.search_experiments()
    for number in range(rounds):
        barrier.wait(120)
        try:
            claim = acquire(client, experiment, f"{KEY}{number}")
        except ClaimHeldError:
            results.put((number, None))
            continue
        results.put((number, claim.holder.id))
    barrier.wait(120)  # a holder that has ended holds nothing: stay until the slowest has asked


def hold_for_ever(uri: str, experiment: str, ready: Any) -> None:
    acquire(MlflowClient(uri, uri), experiment, KEY)
    ready.set()
    time.sleep(600)


@pytest.fixture
def context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.promotion.preload"])
    return context


def test_of_many_processes_at_once_at_most_one_holds(context: Any, store: tuple[MlflowClient, str]) -> None:
    """The first claim on a target is the hardest case: there is no run yet, and each process may make one."""
    client, experiment = store
    processes, rounds = 4, 3
    barrier, results = context.Barrier(processes), context.Queue()
    uri = client.tracking_uri
    children = [context.Process(target=contend, args=(uri, experiment, barrier, results, rounds)) for _ in range(processes)]
    for child in children:
        child.start()
    said = [results.get(timeout=120) for _ in range(processes * rounds)]
    for child in children:
        child.join(30)
    for number in range(rounds):
        holders = [holder for which, holder in said if which == number and holder]
        assert len(holders) <= 1, f"round {number}: {holders}"
    assert any(holder for _, holder in said)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="tells dead processes by /proc")
def test_a_killed_holder_is_known_at_once_and_a_paused_one_is_not(context: Any, store: tuple[MlflowClient, str]) -> None:
    client, experiment = store
    ready = context.Event()
    child = context.Process(target=hold_for_ever, args=(client.tracking_uri, experiment, ready))
    child.start()
    assert ready.wait(120)
    os.kill(child.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ClaimHeldError, match=str(child.pid)):
            acquire(client, experiment, KEY)
    finally:
        os.kill(child.pid, signal.SIGKILL)
    until(lambda: not claims._started(child.pid))
    acquire(client, experiment, KEY).release()
    child.join(30)
