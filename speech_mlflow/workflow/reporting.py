"""The HTML report of a test: models side by side under the reference, with the recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speech_mlflow.scoring.report import render_report

if TYPE_CHECKING:
    from speech_mlflow.corpus import Corpus
    from speech_mlflow.workflow.recording import Tested


def render(tested: Tested, corpus: Corpus | None) -> str:
    """One HTML file for a test; without ``corpus`` it has no audio."""
    from speech_mlflow.workflow.assessing import audio_of

    first = tested.results[0].score
    page: str = render_report(
        {result.label: result.score for result in tested.results},
        title=f"{tested.dataset.name}: {' and '.join(result.label for result in tested.results)}",
        audio=None if corpus is None else audio_of(corpus),
        groups=first.groups or None,
        metadata=_metadata(tested),
        extra_columns={
            f"{name}: {column} ({result.label})": [str(cell) for cell in cells]
            for result in tested.results
            for name, output in result.outputs.items()
            for column, cells in output.columns.items()
        },
    )
    return page


def _metadata(tested: Tested) -> dict[str, str]:
    facts = {
        "data": f"{tested.dataset.name}, digest {tested.dataset.digest}",
        "locale": tested.locale,
        "normaliser": tested.results[0].score.normalizer.label,
    }
    for result in tested.results:
        wer = result.metrics()["wer"]
        facts[f"WER by the service, {result.label}"] = "not counted" if wer is None else f"{wer:.2%}"
    if tested.untested:
        facts["utterances without a result"] = str(len(tested.untested))
    return facts
