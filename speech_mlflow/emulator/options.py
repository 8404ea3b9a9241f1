"""How an offline service is run: what whoever starts it may choose, and nobody else."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from speech_mlflow.emulator.faults import FaultPlan

Clock = Callable[[], datetime.datetime]
Tier = Literal["S0", "F0"]


def utc_now() -> datetime.datetime:
    """The time of day, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


@dataclass(frozen=True)
class StateProgress:
    """When an entity moves on to its next state.

    ``immediate``: as soon as the work is done. ``reads``: each state is shown at least ``amount`` times. ``seconds``: each
    state lasts at least ``amount`` seconds of the clock. The work itself is always real.
    """

    mode: Literal["immediate", "reads", "seconds"] = "immediate"
    amount: float = 0


@dataclass(frozen=True)
class Options:
    """The choices of whoever starts the service.

    ``key`` is accepted in ``Ocp-Apim-Subscription-Key``, ``tokens`` and ``read_only_tokens`` as ``Authorization: Bearer``.
    ``engine`` names the only recogniser to offer (None: all that are registered). ``rate_limit`` is a number of requests
    per 10 seconds (None: unlimited). ``renew_base_models``: the newest base model of a locale never expires; without it the
    dates are those of the engine's model, as in the service. ``clock`` gives the time that expiry and state progress go by.
    """

    state_dir: Path
    key: SecretStr
    tier: Tier = "S0"
    region: str = "offline"
    tokens: tuple[SecretStr, ...] = ()
    read_only_tokens: tuple[SecretStr, ...] = ()
    engine: str | None = None
    workers: int | None = None
    rate_limit: int | None = None
    renew_base_models: bool = True
    progress: StateProgress = field(default_factory=StateProgress)
    faults: FaultPlan = field(default_factory=FaultPlan)
    clock: Clock = utc_now
