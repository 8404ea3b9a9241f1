"""What is known of how well a version does: its tests in MLflow, and what the service says of its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import PromotionError

if TYPE_CHECKING:
    from speech_mlflow.scoring import Score


class EvidenceUnreadable(PromotionError):
    """What a test measured is in MLflow and cannot be read just now: no gate can judge, and it is tried again."""


@dataclass(frozen=True)
class TestEvidence:
    """One test of one version.

    ``dataset`` is the data set's name and ``digest`` MLflow's digest of it; two tests are alike where their ``content`` (the
    part of the digest that names the content alone) is equal. ``wer`` is a fraction, from the service's counts over ``words``
    reference words. ``load`` reads the utterances. ``contaminated`` counts test utterances that were
    in the training data, None where nobody counted.
    """

    __test__ = False  # no test case of pytest's

    run_id: str
    dataset: str
    digest: str
    content: str
    fingerprint: str | None = None
    wer: float | None = None
    words: int | None = None
    contaminated: int | None = None
    load: Callable[[], Score | None] = field(default=lambda: None, repr=False, compare=False)

    @cached_property
    def score(self) -> Score | None:
        """The utterances, scored; None where the run does not have them (any more). Raises EvidenceUnreadable."""
        return self.load()

    def is_of(self, wanted: str) -> bool:
        """Whether the data set has this name, digest or fingerprint."""
        return wanted in {self.dataset, self.digest, self.fingerprint}

    def to_dict(self) -> dict[str, Any]:
        """The evidence as it is recorded, without the utterances."""
        kept = ("run_id", "dataset", "digest", "wer", "words", "contaminated")
        return {name: getattr(self, name) for name in kept}


def alike(first: tuple[TestEvidence, ...], second: tuple[TestEvidence, ...]) -> tuple[TestEvidence, TestEvidence] | None:
    """The newest test of each on the same content; None where there is no such pair."""
    by_content: Mapping[str, TestEvidence] = {one.content: one for one in reversed(second)}
    return next(((one, by_content[one.content]) for one in first if one.content in by_content), None)
