"""The HTML report of a test: models side by side under the reference, with the recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from speech_mlflow.scoring.report import render_report
from speech_mlflow.workflow.contamination import COLUMN, Contamination, describe

if TYPE_CHECKING:
    from speech_mlflow.corpus import Corpus
    from speech_mlflow.scoring import Score
    from speech_mlflow.workflow.recording import Tested


def render(tested: Tested, corpus: Corpus | None) -> str:
    """One HTML file for a test; without ``corpus`` it has no audio."""
    from speech_mlflow.workflow.assessing import audio_of
    from speech_mlflow.workflow.recording import as_table

    first = tested.results[0].score
    scores = {result.label: result.score for result in tested.results}
    columns = {
        f"{name}: {column} ({result.label})": cells
        for result in tested.results
        for name, output in result.outputs.items()
        for column, cells in output.columns.items()
    }
    page: str = render_report(
        scores,
        title=f"{tested.dataset.name}: {' and '.join(result.label for result in tested.results)}",
        audio=None if corpus is None else audio_of(corpus),
        groups=first.groups or None,
        metadata=_metadata(tested),
        extra_columns=columns | contamination_columns(tested.contamination, first.ids),
        comparison=as_table(scores, tested.comparison),
    )
    return page


def contamination_columns(found: Mapping[str, Contamination], ids: Sequence[str]) -> dict[str, list[str]]:
    """A column of each model that was trained on test utterances: what of them is in its training data."""
    return {f"{COLUMN} ({label})": one.column(ids) for label, one in found.items() if one.ids}


def contamination_facts(found: Mapping[str, Contamination], scores: Mapping[str, Score]) -> dict[str, str]:
    """A line for the head of a report on each model whose training data are known."""
    return {f"in the training data of {label}": describe(one, scores[label]) for label, one in found.items()}


def _metadata(tested: Tested) -> dict[str, str]:
    facts = {
        "data": f"{tested.dataset.name}, digest {tested.dataset.digest}",
        "locale": tested.locale,
    }
    for result in tested.results:
        wer = result.metrics()["wer"]
        facts[f"WER by the service, {result.label}"] = "not counted" if wer is None else f"{100 * wer:.2f} %"
    facts |= contamination_facts(tested.contamination, {result.label: result.score for result in tested.results})
    if tested.untested:
        facts["utterances without a result"] = str(len(tested.untested))
    return facts
