"""A thousand steps in any order: moves, approvals, crashes, lost answers, changes by hand. See machine.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.machine import PromotionMachine
from tests.chaos.scale import seeds
from tests.promotion.world import World

EXAMPLES, STEPS = 5, 50
"""Of each seed. The first example is the simplest one there is, so that four of them count: two hundred steps."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", seeds(5))
def test_in_whatever_order_things_happen_what_must_hold_holds(world: World, processes: Any, number: int) -> None:
    class Machine(PromotionMachine):
        pass

    Machine.world, Machine.processes = world, processes
    bounds = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # to shrink is to do it all again, many times: take that seed and shrink by hand
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.normal,
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(Machine), settings=bounds)
