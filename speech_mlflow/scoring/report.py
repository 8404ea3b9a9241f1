"""The report: one HTML file on any number of models, that needs no network and no other file.

It may be opened from disk, sent by mail or shown in a sandboxed frame: everything is inside, nothing is stored, and a
content security policy allows the one script of ours by its digest and no connection at all. Texts, names and ids come
from anywhere and are escaped everywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import plots
from speech_mlflow.scoring.comparable import check_comparable
from speech_mlflow.scoring.comparison import Comparison, ComparisonTable, compare_all, points, wer_interval, wer_intervals_by
from speech_mlflow.scoring.inputs import Groups, read_groups
from speech_mlflow.scoring.records import Totals
from speech_mlflow.scoring.report_data import AudioSource, chosen_rows, embed_audio, report_data, script_json
from speech_mlflow.scoring.scores import Score
from speech_mlflow.scoring.statistics import Interval

AUDIO_LIMIT = 20_000_000
"""Bytes of WAV embedded unless told otherwise; base64 makes the file a third larger than that."""

MAX_UTTERANCES = 20_000
"""Utterances listed; totals and plots are always of all."""

IN_NOTEBOOKS = 5
"""Utterances of a kind that a notebook shows."""

MAX_LABELS = 200
"""Rows of a table by group: those with the most words."""

MAX_WORDS = 50
"""Rows of the tables of words."""

_PLOTTED_GROUPS = 20
_GROUP_RESAMPLES = 1_000
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class GroupTable:
    """One group column: totals of each model by label, and how many labels are left out."""

    name: str
    rows: Mapping[str, Sequence[Totals]]
    left_out: int
    plot: Markup


@dataclass(frozen=True)
class WordRow:
    """A confusion, a missed or an inserted word, with its count under each model."""

    words: tuple[str, ...]
    counts: tuple[int, ...]
    occurrences: int = 0


def render_report(
    scores: Mapping[str, Score],
    *,
    title: str = "Speech recognition report",
    references: Sequence[str] | None = None,
    audio: AudioSource | None = None,
    groups: Mapping[str, Iterable[str | None]] | Iterable[str | None] | None = None,
    metadata: Mapping[str, str] | None = None,
    extra_columns: Mapping[str, Sequence[object]] | None = None,
    comparison: ComparisonTable | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    audio_limit: int = AUDIO_LIMIT,
    max_utterances: int = MAX_UTTERANCES,
) -> str:
    """Render scores of the same utterances as one HTML document.

    scores: by the name to show; the first is the one that others are compared with.
    references: texts to show as written, where the scores hold others.
    audio: from an utterance id to the bytes of its WAV file, or None; embedded up to `audio_limit` bytes in all.
    groups: as for `speech_mlflow.score`; by default those of the first score.
    metadata: lines for the head of the report.
    extra_columns: further values per utterance by name, in the order of the scores.
    comparison: by default made here, with `resamples` and `seed`.

    Raises ScoringError where there is no score, or scores are not of the same utterances.
    """
    if not scores:
        raise ScoringError("a report needs at least one score")
    first_name, first = next(iter(scores.items()))
    for name, score in scores.items():
        check_comparable(first, score, (first_name, name))
    columns = _checked_columns(extra_columns or {}, len(first))
    if references is not None and len(references) != len(first):
        raise ScoringError(f"there are {len(references)} references for {len(first)} scored utterances")
    labels = first.groups if groups is None else read_groups(groups, len(first))
    rows = chosen_rows(scores, max_utterances)
    sounds = embed_audio(scores, rows, audio, audio_limit)
    data = report_data(scores, rows, labels, references, columns)
    data["audio"] = sorted(sounds.recordings)
    script = _asset("report.js")
    return _render(
        "report.html.j2",
        title=title,
        metadata=metadata or {},
        scores=scores,
        first=first,
        rows=len(rows),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=_asset("report.css"),
        data=script_json(data),
        recordings=script_json(sounds.recordings),
        audio_message=sounds.message,
        groups=labels,
        extra_columns=list(columns),
        group_tables=_group_tables(scores, labels, resamples, seed),
        **_summary(scores, comparison, labels, resamples, seed),
        **_word_tables(scores),
    )


def figures(
    scores: Mapping[str, Score], *, comparison: ComparisonTable | None = None, resamples: int = 10_000, seed: int = 0
) -> dict[str, str]:
    """The plots of the report as SVG files, by name without ending."""
    groups = next(iter(scores.values())).groups
    summary = _summary(scores, comparison, groups, resamples, seed)
    found = {name: summary[f"{name}_plot"] for name in ("wer", "difference", "kinds", "distribution")}
    for table in _group_tables(scores, groups, resamples, seed):
        found[f"by_{re.sub(r'[^A-Za-z0-9_-]+', '_', table.name)}"] = table.plot
    return {name: _writable(plots.standalone(plot)) for name, plot in found.items() if plot is not None}


def score_html(score: Score) -> str:
    """A score as a fragment of HTML, for notebooks."""
    worst = score.worst(IN_NOTEBOOKS) if score.references is not None else []
    return _render("score.html.j2", score=score, interval=wer_interval(score) if len(score) else None, worst=worst)


def comparison_html(comparison: Comparison) -> str:
    """A comparison as a fragment of HTML, for notebooks."""
    scores = dict(zip(comparison.names, (comparison.first, comparison.second), strict=True))
    return _render(
        "comparison.html.j2",
        pair=comparison,
        scores=scores,
        plot=plots.difference_plot(ComparisonTable(scores, {comparison.names: comparison})),
        better=comparison.better(IN_NOTEBOOKS),
        worse=comparison.worse(IN_NOTEBOOKS),
    )


def table_html(table: ComparisonTable) -> str:
    """A comparison of many models as a fragment of HTML, for notebooks."""
    return _render("comparison_table.html.j2", table=table, plot=plots.difference_plot(table))


def _render(template: str, **values: Any) -> str:
    return _writable(_environment().get_template(template).render(**values))


def _writable(page: str) -> str:
    """Without lone surrogates, which a text may hold and no file can."""
    return page.encode("utf-8", "replace").decode()


def _checked_columns(columns: Mapping[str, Sequence[object]], count: int) -> dict[str, list[object]]:
    read = {str(name): list(values) for name, values in columns.items()}
    wrong = [f"{name!r} has {len(values)} values" for name, values in read.items() if len(values) != count]
    if wrong:
        raise ScoringError(f"columns that do not have one value for each of {count} utterances: {'; '.join(wrong)}")
    return read


def _summary(
    scores: Mapping[str, Score], comparison: ComparisonTable | None, labels: Groups, resamples: int, seed: int
) -> dict[str, Any]:
    groups = labels or False
    if comparison is None and len(scores) > 1 and len(next(iter(scores.values()))):
        comparison = compare_all(scores, groups=groups, resamples=resamples, seed=seed)
    intervals = {
        name: wer_interval(score, groups=groups, resamples=resamples, seed=seed) if len(score) else Interval(0, 0, 0.95, "", 0)
        for name, score in scores.items()
    }
    return {
        "comparison": comparison,
        "intervals": intervals,
        "wer_plot": plots.wer_plot(scores, intervals),
        "kinds_plot": plots.kinds_plot(scores),
        "distribution_plot": plots.distribution_plot(scores),
        "difference_plot": plots.difference_plot(comparison) if comparison else None,
    }


def _group_tables(scores: Mapping[str, Score], labels: Groups, resamples: int, seed: int) -> list[GroupTable]:
    return [_group_table(scores, name, labels, min(resamples, _GROUP_RESAMPLES), seed) for name in labels]


def _word_tables(scores: Mapping[str, Score]) -> dict[str, Any]:
    errors = [score.word_errors for score in scores.values()]
    confusions = _together([found.substitutions for found in errors])
    missed = [{word.word: word.missed for word in found.missed(None)} for found in errors]
    occurrences = errors[0].occurrences
    return {
        "confusions": [WordRow(words, counts) for words, counts in confusions],
        "missed": [WordRow((word,), counts, occurrences[word]) for word, counts in _together(missed)],
        "inserted": [WordRow((word,), counts) for word, counts in _together([found.insertions for found in errors])],
    }


def _together(counters: Sequence[Mapping[Any, int]]) -> list[tuple[Any, tuple[int, ...]]]:
    """Counts of several models side by side, the most frequent under any model first."""
    keys = dict.fromkeys(key for counter in counters for key in counter)
    rows = [(key, tuple(counter.get(key, 0) for counter in counters)) for key in keys]
    return sorted(rows, key=lambda row: (-max(row[1]), row[0]))[:MAX_WORDS]


def _group_table(scores: Mapping[str, Score], name: str, groups: Groups, resamples: int, seed: int) -> GroupTable:
    column = groups[name]
    totals = [score.totals_by(column) for score in scores.values()]
    rows = {label: [by_label[label] for by_label in totals] for label in totals[0]}
    largest = sorted(rows, key=lambda label: -rows[label][0].words)
    listed, few = set(largest[:MAX_LABELS]), set(largest[:_PLOTTED_GROUPS])
    shown = {label: rows[label] for label in rows if label in listed}
    plotted = {label: [total.wer for total in shown[label]] for label in shown if label in few and shown[label][0].words}
    by_model = [
        wer_intervals_by(score, column, plotted, groups=groups, resamples=resamples, seed=seed) for score in scores.values()
    ]
    intervals = {label: [found[label] for found in by_model] for label in plotted}
    return GroupTable(name, shown, len(rows) - len(shown), plots.group_plot(list(scores), plotted, name, intervals))


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["points"] = _points
    environment.filters["p"] = _p_value
    environment.filters["thousands"] = _thousands
    environment.globals["model_colour"] = plots.model_colour
    return environment


def _percent(value: float) -> str:
    return "∞" if value == float("inf") else f"{value * 100:.2f} %"


def _points(value: float) -> str:
    """A difference of rates in percentage points."""
    return points(value).replace("-", "−").replace("inf", "∞")


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _thousands(value: int) -> str:
    return f"{value:,}"


@lru_cache(maxsize=4)
def _asset(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file
