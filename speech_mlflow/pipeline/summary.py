"""The result of a pipeline as GitHub-flavoured Markdown: for a pull request's comment, a job's summary, a run's description.

Names and reasons come from files, people and the service: all of it is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from speech_mlflow import __version__
from speech_mlflow.pipeline.records import Measurement, Outcome, PipelineResult

if TYPE_CHECKING:
    from speech_mlflow.scoring import Comparison

_SPECIAL = re.compile(r"([\\`*_\[\]#|~>$])")
_SIGNS = {"done": "✅", "refused": "⛔", "failed": "❌", "skipped": "⚪", "kept": "↩️"}
LONG = 400
"""Characters of a reason that are shown; the run has the whole."""


def markdown(result: PipelineResult) -> str:
    """The summary. Rates are in percent, differences in percentage points; negative is better."""
    parts = [f"## {_head(result)} {escape(result.title)}: {escape(_verdict(result))}"]
    parts += _measured(result)
    parts += _gates(result)
    parts += _trouble(result)
    parts += _steps(result)
    about = [f"speech resource {code(result.resource)}"]
    if result.run_id:
        about.insert(0, f"MLflow run {link(result, result.run_id)}")
    parts.append(f"<sub>{', '.join(about)}, speech_mlflow {__version__}</sub>")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that means nothing to Markdown, to HTML, or (``@name``) to GitHub; on one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", plain).replace("@", "@\u200b")


def code(text: str) -> str:
    """Text as code, inside a table too."""
    plain = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", plain)), default=0))
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def link(result: PipelineResult, run_id: str) -> str:
    """A run's id, as a link where MLflow is a server."""
    url = run_url(result.tracking_uri, result.experiment_id, run_id)
    return code(run_id[:8]) if url is None else f"[{code(run_id[:8])}]({url})"


def run_url(tracking_uri: str, experiment_id: str | None, run_id: str) -> str | None:
    """The page of a run on a tracking server, without credentials; None where MLflow is no server."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"} or not experiment_id or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def _head(result: PipelineResult) -> str:
    return _SIGNS["failed"] if result.failed else _SIGNS["refused"] if result.refused else _SIGNS["done"]


def _verdict(result: PipelineResult) -> str:
    promoted = [one for one in result.outcomes if one.stage == "promote" and one.changed]
    if not result.failed and not result.refused and promoted:
        return "; ".join(one.reason for one in promoted)
    return result.verdict


def _measured(result: PipelineResult) -> Iterable[str]:
    if not result.measurements:
        return
    others = list(dict.fromkeys(name for one in result.measurements for name in one.against))
    served = any(one.against_champion for one in result.measurements)
    heads = ["model", "test set", "WER", "recomputed, 95 % interval", *(f"against {escape(name)}" for name in others)]
    if served:
        heads.append("against what is served")
    rows = []
    for one in result.measurements:
        cells = [f"**{escape(one.label)}**", escape(one.test), _percent(one.wer), _with_interval(one)]
        cells += [_change(one.against.get(name)) for name in others]
        if served:
            against = _change(one.against_champion)
            cells.append(f"{against} ({escape(str(one.champion))})" if one.against_champion else against)
        rows.append([*cells, link(result, one.run_id)])
    yield _table([*heads, "run"], rows)
    yield (
        "<sub>Changes are in percentage points of the recomputed WER, with their 95 % interval; "
        "▼ is better and ▲ worse beyond chance.</sub>"
    )


def _gates(result: PipelineResult) -> Iterable[str]:
    if not result.judged:
        return
    rows = []
    for judged in result.judged:
        name = escape(f"{judged.registered_model} v{judged.version}")
        rows += [
            [name, escape(one.gate), "✅ passed" if one.passed else "⛔ **no**", _short(one.reason)] for one in judged.decisions
        ]
        said = {f"gate {one.gate}: {one.reason}" for one in judged.decisions if not one.passed}
        if judged.refusal and judged.refusal not in said and not said:
            rows.append([name, "", "⛔ **no**", _short(judged.refusal)])
        elif not judged.decisions and not judged.refusal:
            rows.append([name, "", "✅ passed", "no gate is declared, or the version carries an override"])
    yield "### Gates"
    yield _table(["version", "gate", "answer", "why"], rows)


def _trouble(result: PipelineResult) -> Iterable[str]:
    for one in result.failed:
        yield f"### ❌ {escape(one.id)}"
        shown = one.problems[:10]
        lines = [_short(one.reason.splitlines()[0])]
        lines += [f"* {_short(problem)}" for problem in shown]
        if len(one.problems) > len(shown):
            lines.append(f"* and {len(one.problems) - len(shown)} more")
        if one.hint:
            lines.append(f"\n→ {_short(one.hint)}")
        yield "\n".join([lines[0], "", *lines[1:]]).strip()


def _steps(result: PipelineResult) -> Iterable[str]:
    shown = [one for one in result.outcomes if one.stage != "data" or one.state != "done"]
    if not shown:
        return
    changed = sum(one.changed for one in shown)
    found = sum(one.state in {"done", "kept"} and not one.changed and one.stage != "gates" for one in shown)
    rows = [
        [_sign(one), escape(one.stage), escape(one.name), _short(one.reason), _run_of(result, one), _time(one)] for one in shown
    ]
    heads = ["", "step", "of", "outcome", "run", "time"]
    title = f"Steps: {changed} done{f', {found} there already' if found else ''}"
    yield f"<details><summary>{title}</summary>\n\n{_table(heads, rows)}\n\n</details>"


def _sign(one: Outcome) -> str:
    return "✅" if one.changed and one.state == "done" else "=" if one.state == "done" else _SIGNS.get(one.state, "")


def _run_of(result: PipelineResult, one: Outcome) -> str:
    if one.run_id is None:
        return ""
    return (
        code(one.run_id[:8]) if one.stage == "promote" else link(result, one.run_id)
    )  # promotions have an experiment of their own


def _time(one: Outcome) -> str:
    return f"{one.seconds:.0f} s" if one.changed else ""


def _with_interval(one: Measurement) -> str:
    return f"{_percent(one.recomputed)} ({100 * one.interval.low:.1f} to {100 * one.interval.high:.1f})"


def _change(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    sign = ("▼ " if comparison.difference < 0 else "▲ ") if comparison.significant else ""
    low, high = comparison.interval.low, comparison.interval.high
    return f"{sign}{100 * comparison.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.1f} %"


def _short(text: str) -> str:
    return escape(text if len(text) <= LONG else text[: LONG - 1] + "…")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
