"""Is a version worse than what is served? Like is compared with like: the same utterances, heard by both.

A version counts as worse where the one-sided lower bound of the difference (paired bootstrap) is above the margin. Groups
(speakers, devices, ...) are judged the same way, each alone; with many groups one would look worse by chance, so that the
confidence is raised for each as Bonferroni has it: 1 - (1 - confidence) / groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from speech_mlflow.promotion.decisions import Candidate, Decision
from speech_mlflow.promotion.evidence import TestEvidence

if TYPE_CHECKING:
    from speech_mlflow.scoring import Comparison, Score

FEW = 10
"""Utterances of a group below which nothing is said of it: too few to tell a difference from chance."""
SHOWN = 5


def champion_decisions(candidate: Candidate, test: TestEvidence, other: TestEvidence) -> list[Decision]:
    """What two tests on the same data say: overall, and of all groups that are large enough."""
    overall = _overall(candidate, test, other)
    return [overall, *_by_group(candidate, test, other)] if candidate.target.groups else [overall]


def _overall(candidate: Candidate, test: TestEvidence, other: TestEvidence) -> Decision:
    rules, champion = candidate.target, candidate.champion
    assert champion is not None
    assert test.score is not None
    assert other.score is not None
    from speech_mlflow.scoring.comparison import points

    found = _compare(other.score, test.score, rules.confidence)
    worse = found.interval.low > rules.margin
    numbers = {
        "wer": test.score.wer,
        "champion_wer": other.score.wer,
        "difference": found.difference,
        "difference_low": found.interval.low,
        "difference_high": found.interval.high,
        "margin": rules.margin,
        "confidence": rules.confidence,
    }
    verdict = "worse" if worse else "not worse"
    reason = (
        f"version {candidate.version.number} is {verdict} than version {champion.number} on {test.dataset}: "
        f"WER {test.score.wer:.2%} against {other.score.wer:.2%}, difference at least {points(found.interval.low)} points "
        f"at {rules.confidence:.0%} confidence, margin {points(rules.margin)}"
    )
    return Decision("champion", not worse, reason, numbers)


def _by_group(candidate: Candidate, test: TestEvidence, other: TestEvidence) -> list[Decision]:
    rules, champion = candidate.target, candidate.champion
    assert champion is not None
    assert test.score is not None
    assert other.score is not None
    groups = list(_groups(other.score, test.score))
    large = [(name, rows) for name, rows in groups if len(rows) >= FEW]
    if not large:
        return []
    confidence = 1 - (1 - rules.confidence) / len(large)
    worse = []
    for name, rows in large:
        found = _compare(_part(other.score, rows), _part(test.score, rows), confidence)
        if found.interval.low > rules.margin:
            worse.append(f"{name} (WER {found.second.wer:.2%} against {found.first.wer:.2%})")
    numbers = {"groups": float(len(large)), "worse": float(len(worse)), "too_small": float(len(groups) - len(large))}
    if worse:
        more = f" and {len(worse) - SHOWN} more" if len(worse) > SHOWN else ""
        said = f"worse than version {champion.number} in {len(worse)} of {len(large)} groups: {', '.join(worse[:SHOWN])}{more}"
    else:
        said = f"not worse than version {champion.number} in any of {len(large)} groups of {FEW} utterances or more"
    reason = f"version {candidate.version.number} is {said}, each at {confidence:.1%} confidence, margin {rules.margin:.2%}"
    return [Decision("champion_groups", not worse, reason, numbers)]


def _compare(first: Score, second: Score, confidence: float) -> Comparison:
    """One-sided: worse at confidence c where the lower end of the interval of level 2c - 1 is above the margin.

    Of so few speakers that all of them doing worse is no proof at that confidence (a sign test: of four at 95 %), utterances are
    drawn instead: resamples of two speakers that both point one way would seem to prove anything.
    """
    from speech_mlflow.scoring import compare
    from speech_mlflow.scoring.statistics import least_p_value

    level = max(2 * confidence - 1, 0.01)
    found = compare(first, second, level=level)
    enough = least_p_value(found.interval.units) / 2 <= 1 - confidence
    return found if enough else compare(first, second, level=level, groups=False)


def _groups(first: Score, second: Score) -> Iterator[tuple[str, list[int]]]:
    """Every label of every column that both tests have alike, with its rows; a column of one label is the whole."""
    for column, labels in second.groups.items():
        rows: dict[str, list[int]] = {}
        for row, label in enumerate(labels):
            rows.setdefault(label, []).append(row)
        if tuple(first.groups.get(column, ())) == tuple(labels) and 1 < len(rows) < len(labels):
            yield from ((f"{column}={label}", where) for label, where in rows.items())


def _part(whole: Score, rows: list[int]) -> Score:
    """The score of some of the utterances, drawn by utterance: of one speaker there is nothing else to draw."""
    from speech_mlflow.scoring import score

    references, hypotheses = whole.texts()
    chosen = [[texts[row] for row in rows] for texts in (references, hypotheses)]
    return score(chosen[0], chosen[1], normalizer=whole.normalizer)
