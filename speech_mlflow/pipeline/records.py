"""What a pipeline is about to do, what came of it, and what was measured: plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from speech_mlflow.promotion.decisions import Decision
    from speech_mlflow.scoring import Comparison
    from speech_mlflow.scoring.statistics import Interval

Stage = Literal["data", "train", "test", "gates", "promote"]
STAGES: tuple[Stage, ...] = ("data", "train", "test", "gates", "promote")

State = Literal["done", "new", "open", "later", "refused", "failed", "skipped", "kept"]
"""*done*: nothing is to be done; *new*: is to be done; *open*: was begun and is gone on with; *later*: depends on what comes of
an earlier step; *refused*: a gate says no; *failed*; *skipped*: needs a step that failed; *kept*: left as people have put it."""


@dataclass(frozen=True)
class Outlook:
    """What is to be done for one step, and why."""

    stage: Stage
    name: str
    state: State
    why: str
    run_id: str | None = None

    @property
    def work(self) -> bool:
        """Whether something is to be done."""
        return self.state in {"new", "open", "later"}

    @property
    def id(self) -> str:
        """What the step is called."""
        return f"{self.stage} {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Outcome:
    """What came of one step. ``state`` is *done* or one of those in which it ended otherwise; ``changed`` says whether this call
    did it. ``problems`` are all that is wrong with data; ``exit_code`` is that of the error, 0 where there was none."""

    stage: Stage
    name: str
    state: State
    reason: str
    changed: bool = False
    run_id: str | None = None
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    hint: str | None = None
    exit_code: int = 0

    @property
    def id(self) -> str:
        """What the step is called."""
        return f"{self.stage} {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return {**vars(self), "problems": list(self.problems), "seconds": round(self.seconds, 1)}


@dataclass(frozen=True)
class Measurement:
    """A model's result on a test set. ``wer`` is of the service's counts, ``recomputed`` and ``interval`` (95 %) of the
    transcripts under our normalisation, all fractions; ``against`` compares it with each model tested beside it, and
    ``against_champion`` with what is served, where both were tested on these data."""

    test: str
    model: str
    label: str
    wer: float | None
    recomputed: float
    interval: Interval
    words: int
    run_id: str
    against: Mapping[str, Comparison] = field(default_factory=dict)
    champion: str | None = None
    against_champion: Comparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "test": self.test,
            "model": self.model,
            "label": self.label,
            "wer": self.wer,
            "wer_recomputed": self.recomputed,
            "low": self.interval.low,
            "high": self.interval.high,
            "words": self.words,
            "run_id": self.run_id,
            "against": {name: _change(one) for name, one in self.against.items()},
            "champion": self.champion,
            "against_champion": _change(self.against_champion),
        }


@dataclass(frozen=True)
class Judged:
    """What the gates say of a model's version; ``refusal`` is why it must not be served, None where it may."""

    model: str
    registered_model: str
    version: str
    decisions: tuple[Decision, ...]
    refusal: str | None

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON."""
        return {**vars(self), "decisions": [one.to_dict() for one in self.decisions]}


@dataclass(frozen=True)
class PipelineResult:
    """What came of a pipeline. ``run_id`` is the parent run of this call, None where there was nothing to do."""

    title: str
    resource: str
    outcomes: tuple[Outcome, ...]
    measurements: tuple[Measurement, ...] = ()
    judged: tuple[Judged, ...] = ()
    run_id: str | None = None
    experiment_id: str | None = None
    tracking_uri: str = ""

    @property
    def changed(self) -> bool:
        """Whether this call did anything."""
        return any(one.changed for one in self.outcomes)

    @property
    def failed(self) -> list[Outcome]:
        """Steps that failed."""
        return [one for one in self.outcomes if one.state == "failed"]

    @property
    def refused(self) -> list[Outcome]:
        """Models that a gate refused."""
        return [one for one in self.outcomes if one.state == "refused"]

    @property
    def exit_code(self) -> int:
        """0 ok, 3 where data are bad, else that of the first error, 4 where nothing failed and a gate said no."""
        codes = [one.exit_code or 1 for one in self.failed]
        if codes:
            return 3 if 3 in codes else codes[0]
        return 4 if self.refused else 0

    @property
    def verdict(self) -> str:
        """The outcome in a few words."""
        if self.failed:
            return f"failed: {_names(self.failed)}"
        if self.refused:
            return f"a gate said no: {_names(self.refused)}"
        return "done" if self.changed else "nothing changed, nothing was done"

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "pipeline": self.title,
            "resource": self.resource,
            "run_id": self.run_id,
            "changed": self.changed,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "steps": [one.to_dict() for one in self.outcomes],
            "measurements": [one.to_dict() for one in self.measurements],
            "gates": [one.to_dict() for one in self.judged],
        }


def _names(outcomes: Iterable[Outcome]) -> str:
    return ", ".join(dict.fromkeys(one.id if one.stage != "gates" else one.name for one in outcomes))


def _change(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    return {
        "difference": comparison.difference,
        "low": comparison.interval.low,
        "high": comparison.interval.high,
        "significant": comparison.significant,
        "p_value": comparison.p_value,
    }
