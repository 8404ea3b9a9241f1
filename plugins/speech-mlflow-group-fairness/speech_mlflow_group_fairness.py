"""An evaluator that asks whether all groups of people are served alike: how far apart their word error rates are.

For each group column of the test data (accent, gender, device, ...) with two or more groups of at least ``MIN_WORDS`` reference
words:

* ``wer_gap.<column>`` = the highest WER of a group less the lowest
* ``wer_ratio.<column>`` = the highest over the lowest; left out where the lowest is 0
* ``.low`` and ``.high`` of both: the 95 % percentile interval of a bootstrap that draws within each group
* ``wer_gap.<column>.by_chance`` = the mean gap, and ``.p_value`` the share of gaps at least as large, when groups are dealt out at
  random. The largest of several differences is never 0, so that a gap means little beside the one that chance alone makes.
* ``wer_gap`` and ``wer_ratio`` = the largest over all columns

What is drawn and dealt out are speakers, where the data name them and no speaker is in two groups of the column; else utterances.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import speech_mlflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from speech_mlflow.scoring.evaluators import EvaluatedUtterance, Evaluator, EvaluatorInput, EvaluatorOutput

NAME = "group-fairness"
COLUMNS = "GROUP_FAIRNESS_COLUMNS"
"""Environment variable: names of the group columns to look at, separated by commas; by default all but speaker and file."""

MIN_WORDS = 30
MOST_LABELS = 50
RESAMPLES = 2000
LEVEL = 0.95
NO_LABEL = "(none)"
UNITS = ("speaker", "file")
"""Columns that name what a test set is a sample of, and no group of people."""


@speech_mlflow.hookimpl
def register_evaluators(register: Callable[[Evaluator], None]) -> None:
    from speech_mlflow.scoring.evaluators import Evaluator

    register(Evaluator(NAME, evaluate))


@dataclass(frozen=True)
class Groups:
    """The units of one column: ``errors`` and ``words`` of each, and which of ``labels`` it belongs to."""

    column: str
    labels: tuple[str, ...]
    member: np.ndarray[Any, Any]
    errors: np.ndarray[Any, Any]
    words: np.ndarray[Any, Any]
    unit: str

    def rates(self, member: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The WER of each label where the units belong to the labels that ``member`` says."""
        count = len(self.labels)
        return np.bincount(member, self.errors, count) / np.maximum(np.bincount(member, self.words, count), 1)


def evaluate(given: EvaluatorInput) -> EvaluatorOutput:
    """The gaps of all columns. Raises ValueError where no column has two groups that are large enough."""
    from speech_mlflow.scoring.evaluators import EvaluatorOutput

    found = [groups for column in chosen_columns(given) if (groups := group(given.utterances, column)) is not None]
    if not found:
        raise ValueError(f"no group column has two groups with {MIN_WORDS} words or more")
    metrics: dict[str, float] = {}
    rows: list[tuple[object, ...]] = []
    for groups in found:
        measured, intervals = measure(groups)
        metrics |= measured
        rows += table_rows(groups, intervals)
    for name in ("wer_gap", "wer_ratio"):
        values = [metrics[f"{name}.{groups.column}"] for groups in found if f"{name}.{groups.column}" in metrics]
        if values:
            metrics[name] = max(values)
    return EvaluatorOutput(
        metrics=metrics,
        greater_is_better={name: name.endswith(".p_value") for name in metrics},
        artifacts={"groups.csv": as_csv(rows)},
    )


def chosen_columns(given: EvaluatorInput) -> list[str]:
    """The columns to look at. Raises ValueError for one that the data do not have."""
    known = list(dict.fromkeys(name for utterance in given.utterances for name in utterance.groups))
    wanted = [name.strip() for name in os.environ.get(COLUMNS, "").split(",") if name.strip()]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ValueError(f"{COLUMNS} names {', '.join(missing)}; the data have: {', '.join(known) or 'no group columns'}")
    return wanted or [name for name in known if name not in UNITS]


def group(utterances: Sequence[EvaluatedUtterance], column: str) -> Groups | None:
    """The units of a column in groups that are large enough; None where these are not two, or so many that they name units."""
    labelled = [one for one in utterances if one.groups.get(column, NO_LABEL) not in ("", NO_LABEL)]
    counted = [(one.groups[column], *counts(one), one) for one in labelled]
    words: Counter[str] = Counter()
    for label, _, spoken, _ in counted:
        words[label] += spoken
    labels = tuple(sorted(label for label, total in words.items() if total >= MIN_WORDS))
    if not 2 <= len(labels) <= MOST_LABELS:
        return None
    kept = [row for row in counted if row[0] in labels]
    unit = (
        "speaker" if column != "speaker" and nested([(row[3].groups.get("speaker"), row[0]) for row in kept]) else "utterance"
    )
    sums: dict[tuple[str, str], list[int]] = {}
    for label, errors, spoken, one in kept:
        total = sums.setdefault((one.groups["speaker"] if unit == "speaker" else one.id, label), [0, 0])
        total[0] += errors
        total[1] += spoken
    member = np.array([labels.index(label) for _, label in sums])
    table = np.array(list(sums.values()), dtype=np.int64)
    return Groups(column, labels, member, table[:, 0], table[:, 1], unit)


def counts(utterance: EvaluatedUtterance) -> tuple[int, int]:
    """Errors, and words of the reference."""
    steps = utterance.alignment
    return sum(step.op != "hit" for step in steps), sum(step.reference is not None for step in steps)


def nested(pairs: Sequence[tuple[str | None, str]]) -> bool:
    """Whether all have a speaker, each speaker is in one group only, and every group has two speakers or more."""
    of: dict[str, str] = {}
    for speaker, label in pairs:
        if speaker in (None, "", NO_LABEL) or of.setdefault(str(speaker), label) != label:
            return False
    return all(count > 1 for count in Counter(of.values()).values())


def measure(groups: Groups) -> tuple[dict[str, float], np.ndarray[Any, Any]]:
    """The metrics of a column, and the interval of each group's WER as rows of low and high."""
    generator = np.random.default_rng(0)
    rates = groups.rates(groups.member)
    drawn = bootstrap(groups, generator)
    dealt = np.array([gap(groups.rates(generator.permutation(groups.member))) for _ in range(RESAMPLES)])
    observed = gap(rates)
    name = f"wer_gap.{groups.column}"
    gaps = drawn.max(axis=1) - drawn.min(axis=1)
    metrics = {name: observed, f"{name}.by_chance": float(dealt.mean())}
    # the observed deal is one of those possible: a p value of 0 cannot be had by drawing
    metrics[f"{name}.p_value"] = float((1 + np.count_nonzero(dealt >= observed - 1e-12)) / (1 + RESAMPLES))
    metrics |= dict(zip((f"{name}.low", f"{name}.high"), percentiles(gaps).tolist(), strict=True))
    if rates.min() > 0:
        name = f"wer_ratio.{groups.column}"
        metrics[name] = float(rates.max() / rates.min())
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = percentiles(drawn.max(axis=1) / drawn.min(axis=1)).tolist()
        if np.isfinite([low, high]).all():
            metrics |= {f"{name}.low": low, f"{name}.high": high}
    return metrics, percentiles(drawn)


def bootstrap(groups: Groups, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """The WER of each label (columns) in each resample (rows), units drawn with replacement within their label."""
    drawn = np.empty((RESAMPLES, len(groups.labels)))
    for index in range(len(groups.labels)):
        units = np.flatnonzero(groups.member == index)
        weights = generator.multinomial(len(units), np.full(len(units), 1 / len(units)), size=RESAMPLES)
        drawn[:, index] = weights @ groups.errors[units] / np.maximum(weights @ groups.words[units], 1)
    return drawn


def gap(rates: np.ndarray[Any, Any]) -> float:
    """The highest rate less the lowest."""
    return float(rates.max() - rates.min())


def percentiles(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The ends of the interval: the last axis of the result is low, high."""
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        return np.moveaxis(np.quantile(samples, [tail, 1 - tail], axis=0), 0, -1)


def table_rows(groups: Groups, intervals: np.ndarray[Any, Any]) -> list[tuple[object, ...]]:
    """One row a group, the highest WER first."""
    rates = groups.rates(groups.member)
    rows: list[tuple[object, ...]] = []
    for index in np.argsort(-rates, kind="stable").tolist():
        inside = groups.member == index
        words, errors = int(groups.words[inside].sum()), int(groups.errors[inside].sum())
        low, high = intervals[index].tolist()
        units = int(inside.sum())
        rows.append((groups.column, groups.labels[index], groups.unit, units, words, errors, rates[index], low, high))
    return rows


def as_csv(rows: Sequence[tuple[object, ...]]) -> str:
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("column", "group", "drawn by", "units", "words", "errors", "wer", "low", "high"))
    for row in rows:
        table.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row])
    return file.getvalue()
