"""Small SVG plots of scores, for the report and as images of their own.

Each function returns one `<svg>` element with its explanation inside. Colours are CSS variables with fallbacks, so that
the report can set them for light and dark and a file of its own still looks right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from speech_mlflow.scoring.comparison import ComparisonTable, points
from speech_mlflow.scoring.scores import Score
from speech_mlflow.scoring.statistics import Interval

WIDTH = 560
_LEFT, _RIGHT = 150, 80  # room for the names and the numbers beside the plot
_ROW = 30
_PAIR = 44  # a row with a name of two lines
_LABEL = 20  # characters of a name that fit on the left
MOST_ERRORS = 5  # of an utterance, that are told apart

INK = "var(--ink, #1f2933)"
MUTED = "var(--muted, #5f6b7a)"
LINE = "var(--line, #d9dee5)"
MODEL_COLOURS = (
    "var(--model-0, #3b6fb6)",
    "var(--model-1, #c2571a)",
    "var(--model-2, #2f855a)",
    "var(--model-3, #8a4fb0)",
    "var(--model-4, #b0892a)",
    "var(--model-5, #4a5568)",
)
KINDS = (
    ("substitutions", "var(--sub-bar, #d99a2b)"),
    ("deletions", "var(--del-bar, #cc5a5a)"),
    ("insertions", "var(--ins-bar, #3a8fa8)"),
)


def model_colour(index: int) -> str:
    """The colour of the model at a position."""
    return MODEL_COLOURS[index % len(MODEL_COLOURS)]


@dataclass(frozen=True)
class Axis:
    """A horizontal axis of rates between `low` and `high`; of differences the unit is percentage points."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str = " %"

    @staticmethod
    def over(values: Iterable[float], unit: str = " %") -> Axis:
        """An axis that covers all values that are finite, and zero."""
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(0.0, *finite), max(0.0, *finite)
        if high - low < 1e-9:
            high = low + 0.01
        step = _nice_step((high - low) / 5)
        first, last = math.floor(low / step), math.ceil(high / step)
        return Axis(first * step, last * step, tuple(k * step for k in range(first, last + 1)), unit)

    def x(self, value: float) -> float:
        """The place of a value, within the plot's borders."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def wer_plot(scores: Mapping[str, Score], intervals: Mapping[str, Interval]) -> Markup:
    """The WER of each model with its confidence interval."""
    axis = Axis.over([value for one in intervals.values() for value in (one.low, one.high)])
    rows = []
    for row, (name, score) in enumerate(scores.items()):
        y, text = _middle(row), f"{score.wer:.2%}"
        rows += [_label(y, name), _whisker(axis, y, score.wer, intervals[name], model_colour(row)), _number(y, text)]
    level = next(iter(intervals.values())).level
    return _svg(axis, rows, len(scores) * _ROW, f"Word error rate with its {level:.0%} interval")


def difference_plot(table: ComparisonTable) -> Markup:
    """The difference of WER of each pair of models with its interval; left of zero the second one is better.

    In colour is what is more than chance after correction for the number of pairs.
    """
    pairs = list(table.pairs.values())
    axis = Axis.over([value for pair in pairs for value in (pair.interval.low, pair.interval.high)], " pp")
    height = len(pairs) * _PAIR
    zero = Markup('<line x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}" stroke="{2}"/>').format(axis.x(0.0), height, MUTED)
    rows = [zero]
    for row, pair in enumerate(pairs):
        y = _middle(row, _PAIR)
        colour = INK if not table.significant(pair.names) else KINDS[2][1] if pair.difference < 0 else KINDS[1][1]
        rows += [_label(y - 8, pair.names[1]), _label(y + 8, f"− {pair.names[0]}", MUTED)]
        rows += [_whisker(axis, y, pair.difference, pair.interval, colour), _number(y, f"{points(pair.difference)}{axis.unit}")]
    return _svg(axis, rows, height, "Difference of word error rate with its interval; left of zero is better")


def kinds_plot(scores: Mapping[str, Score]) -> Markup:
    """Substitutions, deletions and insertions per reference word, stacked."""
    axis = Axis.over(score.wer for score in scores.values())
    rows = []
    for row, (name, score) in enumerate(scores.items()):
        y, start = _middle(row), 0.0
        rows += [_label(y, name), _number(y, f"{score.errors} errors")]
        for kind, colour in KINDS:
            count = getattr(score, kind)
            end = start + (count / score.words if score.words else 0.0)
            title = f"{name}: {count} {kind}, {end - start:.2%}"
            rows.append(_bar((axis.x(start), axis.x(end)), y, _ROW - 12, colour, title))
            start = end
    return _svg(axis, rows, len(scores) * _ROW, "Kinds of errors per reference word", _legend(KINDS))


def group_plot(
    names: Sequence[str],
    groups: Mapping[str, Sequence[float]],
    column: str,
    intervals: Mapping[str, Sequence[Interval]] | None = None,
) -> Markup:
    """The WER of each model in each group, with its interval: `groups` maps a label to one WER per model, `intervals` to one
    interval per model."""
    known = intervals or {}
    ends = (end for row in known.values() for one in row for end in (one.low, one.high))
    axis = Axis.over([*(value for values in groups.values() for value in values), *ends])
    height = max(_ROW, 12 * len(names) + 14)
    rows = []
    for row, (label, values) in enumerate(groups.items()):
        y = _middle(row, height)
        rows.append(_label(y, label))
        for index, value in enumerate(values):
            if not math.isfinite(value):
                continue
            at, colour = y + (index - (len(values) - 1) / 2) * 12, model_colour(index)
            if label in known:
                interval = known[label][index]
                rows.append(_line(axis.x(interval.low), axis.x(interval.high), at, colour))
                text = f"{label}, {names[index]}: {value:.2%}, between {interval.low:.2%} and {interval.high:.2%}"
            else:
                text = f"{label}, {names[index]}: {value:.2%}"
            rows.append(_dot(axis.x(value), at, colour, text))
    title = f"Word error rate by {column}" + (" with its interval" if known else "")
    return _svg(axis, rows, len(groups) * height, title, _model_legend(names))


def standalone(plot: Markup) -> Markup:
    """A plot as a file of its own, with a size: what shows it may know no style sheet."""
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', plot)
    assert size is not None
    width, height = (1.5 * int(number) for number in size.groups())
    return Markup(str(plot).replace("<svg ", f'<svg width="{width:.0f}" height="{height:.0f}" ', 1))  # noqa: S704 - our own plot


def distribution_plot(scores: Mapping[str, Score]) -> Markup:
    """How many utterances have no error, one, two, ...: the share of all utterances, per model."""
    names = list(scores)
    shares = {
        name: np.bincount(np.minimum(score.arrays.errors, MOST_ERRORS), minlength=MOST_ERRORS + 1) / max(1, len(score))
        for name, score in scores.items()
    }
    axis = Axis.over(float(share) for values in shares.values() for share in values)
    thickness = max(6, 24 // len(names))
    height = max(_ROW, len(names) * thickness + 8)
    rows = []
    for count in range(MOST_ERRORS + 1):
        y = _middle(count, height)
        rows.append(
            _label(y, f"{MOST_ERRORS} or more" if count == MOST_ERRORS else f"{count} error{'s' if count != 1 else ''}")
        )
        for index, name in enumerate(names):
            share = float(shares[name][count])
            bar = y + (index - (len(names) - 1) / 2) * thickness
            ends = axis.x(0), axis.x(share)
            rows.append(_bar(ends, bar, thickness - 2, model_colour(index), f"{name}: {share:.1%}"))
    return _svg(axis, rows, (MOST_ERRORS + 1) * height, "Utterances by number of errors", _model_legend(names))


# --- pieces -----------------------------------------------------------------------------------------------------


def _middle(row: int, height: float = _ROW) -> float:
    return row * height + height / 2


def _svg(axis: Axis, rows: Sequence[Markup], body: float, title: str, legend: Markup | None = None) -> Markup:
    """Rows of `body` height over an axis, with the legend below."""
    height = body + 26 + (26 if legend else 0)
    grid = Markup("").join(
        Markup(
            '<line x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1:.0f}" stroke="{2}"/>'
            '<text x="{0:.1f}" y="{3:.0f}" text-anchor="middle" fill="{4}">{5}</text>'
        ).format(axis.x(tick), body, LINE, body + 18, MUTED, _tick(tick, axis))
        for tick in axis.ticks
    )
    foot = Markup('<g transform="translate(0 {:.0f})">{}</g>').format(body + 40, legend) if legend else Markup("")
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}" '
        'font-family="system-ui, sans-serif" font-size="13"><title>{}</title>{}{}{}</svg>'
    ).format(WIDTH, height, title, title, grid, Markup("").join(rows), foot)


def _label(y: float, name: str, colour: str = INK) -> Markup:
    return Markup('<text x="{}" y="{:.1f}" text-anchor="end" dominant-baseline="central" fill="{}">{}{}</text>').format(
        _LEFT - 12, y, colour, _short(name), Markup("<title>{}</title>").format(name)
    )


def _short(name: str) -> str:
    return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"


def _number(y: float, text: str) -> Markup:
    return Markup('<text x="{}" y="{:.1f}" dominant-baseline="central" fill="{}">{}</text>').format(
        WIDTH - _RIGHT + 12, y, INK, text
    )


def _whisker(axis: Axis, y: float, value: float, interval: Interval, colour: str) -> Markup:
    text = f"{value:.2%}, between {interval.low:.2%} and {interval.high:.2%}"
    return _line(axis.x(interval.low), axis.x(interval.high), y, colour) + _dot(axis.x(value), y, colour, text)


def _line(x1: float, x2: float, y: float, colour: str) -> Markup:
    return Markup(
        '<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="3" stroke-linecap="round"/>'
    ).format(x1, x2, y, y, colour)


def _dot(x: float, y: float, colour: str, title: str) -> Markup:
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="5.5" fill="{}"><title>{}</title></circle>').format(x, y, colour, title)


def _bar(ends: tuple[float, float], y: float, thickness: float, colour: str, title: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"><title>{}</title></rect>').format(
        ends[0], y - thickness / 2, max(0.0, ends[1] - ends[0]), thickness, colour, title
    )


def _model_legend(names: Sequence[str]) -> Markup:
    return _legend([(name, model_colour(index)) for index, name in enumerate(names)])


def _legend(entries: Sequence[tuple[str, str]]) -> Markup:
    parts, x = [], 8.0
    for name, colour in entries:
        short = _short(name)
        parts.append(Markup('<circle cx="{:.0f}" cy="0" r="5" fill="{}"/>').format(x + 5, colour))
        parts.append(
            Markup('<text x="{:.0f}" y="0" dominant-baseline="central" fill="{}">{}</text>').format(x + 16, MUTED, short)
        )
        x += 34 + 7.4 * len(short)
    return Markup("").join(parts)


def _nice_step(rough: float) -> float:
    """The next of 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * 0.999)


def _tick(value: float, axis: Axis) -> str:
    step = (axis.high - axis.low) / max(1, len(axis.ticks) - 1) * 100
    places = 0 if step >= 0.999 and abs(step - round(step)) < 1e-6 else 1 if step >= 0.0999 else 2
    return f"{value * 100:.{places}f}{axis.unit}"
