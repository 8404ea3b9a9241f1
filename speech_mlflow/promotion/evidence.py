"""What MLflow holds on how well a version does: the tests that gates decide on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TestEvidence:
    """One test of a version."""

    __test__ = False  # no test case of pytest's

    run_id: str
