"""What a gate sees and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.promotion.evidence import TestEvidence
    from speech_mlflow.promotion.records import Registered, Version
    from speech_mlflow.promotion.target import Target


@dataclass(frozen=True)
class Decision:
    """What one gate said of one version. ``numbers`` are the measurements it rests on."""

    gate: str
    passed: bool
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON."""
        return {"gate": self.gate, "passed": self.passed, "reason": self.reason, "numbers": dict(self.numbers)}


@dataclass(frozen=True)
class Candidate:
    """The version that is to be served, with what is known of it: what a gate decides on.

    ``champion`` is the version that is served (None before the first deployment), ``evidence`` and ``champion_evidence`` the
    tests of the two that MLflow holds, newest first. ``rollback`` is true where the version was served before. ``expires``
    is when the service stops serving its model (seconds since 1970, UTC), and ``model_status`` the service's word for it.
    ``author`` is who made the version: the user of the version or of the run that trained it, None where nobody knows.
    """

    model: Registered
    version: Version
    target: Target
    champion: Version | None = None
    evidence: tuple[TestEvidence, ...] = ()
    champion_evidence: tuple[TestEvidence, ...] = ()
    rollback: bool = False
    expires: float | None = None
    model_status: str | None = None
    author: str | None = None
    now: float = 0.0
