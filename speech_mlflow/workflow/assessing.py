"""From what the service heard to numbers: score, evaluators, comparison."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence

from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import ServiceError
from speech_mlflow.progress import Progress
from speech_mlflow.scoring import Score, score
from speech_mlflow.scoring.comparison import Comparison, ComparisonTable, compare, compare_all
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import Evaluation
from speech_mlflow.workflow import evaluating
from speech_mlflow.workflow.choosing import Chosen
from speech_mlflow.workflow.contamination import Contamination
from speech_mlflow.workflow.data import Uploaded, portable
from speech_mlflow.workflow.evaluating import Outcome
from speech_mlflow.workflow.measuring import Audio, measure
from speech_mlflow.workflow.recording import Result, Tested

log = logging.getLogger(__name__)


def assess(
    speech: SpeechClient,
    uploaded: Uploaded,
    models: Sequence[Chosen],
    evaluations: Sequence[Evaluation],
    *,
    normalizer: str,
    contaminated: Mapping[str, Contamination] | None = None,
    progress: Progress | None = None,
) -> Tested:
    """Read what the service heard, score it ourselves, run the evaluators, compare. ``contaminated`` is, by label, what of the
    corpus is in the training data of a model."""
    corpus = uploaded.corpus
    outcomes: list[Outcome] = []
    files: dict[str, str | bytes] = {}
    for number, evaluation in enumerate(evaluations, 1):
        sides, archive = evaluating.read(speech, evaluation, progress=progress)
        outcomes += [sides[1], sides[2]]
        files[f"service/evaluation-{number}.json"] = json.dumps(portable(evaluation), indent=1)
        files[f"service/results-{number}.zip"] = archive
    references, untested = _references(corpus, outcomes)
    scored = [
        _scored(corpus, chosen, outcome, references, normalizer)
        for chosen, outcome in zip(models, outcomes, strict=False)  # a lone model stands on both sides
    ]
    return Tested(
        dataset=uploaded.record,
        locale=corpus.locale,
        results=scored,
        comparison=compare_scores({result.label: result.score for result in scored}),
        evaluation_ids=[evaluation.id for evaluation in evaluations],
        untested=untested,
        service_files=files,
        contamination={label: found.among(list(references)) for label, found in (contaminated or {}).items()},
    )


def _references(corpus: Corpus, outcomes: Sequence[Outcome]) -> tuple[dict[str, str], list[str]]:
    """The references of what every model was tested on, and the ids of the rest: an import may refuse lines."""
    references = {utterance.id: utterance.text for utterance in corpus.utterances}
    untested = [id_ for id_ in references if any(id_ not in outcome.hypotheses for outcome in outcomes)]
    if untested:
        log.warning("%d of %d utterances have no result from the service", len(untested), len(references))
    tested = {id_: text for id_, text in references.items() if id_ not in set(untested)}
    if not tested:
        raise ServiceError("the service returned no result for any utterance of the test data")
    return tested, untested


def _scored(corpus: Corpus, chosen: Chosen, outcome: Outcome, references: Mapping[str, str], normalizer: str) -> Result:
    ids = list(references)
    scored = score(
        list(references.values()),
        [outcome.hypotheses[id_] for id_ in ids],
        ids=ids,
        groups=groups_of(corpus, ids),
        normalizer=normalizer,
    )
    outputs, failures = measure(scored, model=chosen.label, locale=corpus.locale, audio=audio_of(corpus))
    return Result(chosen, outcome, scored, outputs, failures)


def groups_of(corpus: Corpus, ids: Sequence[str]) -> dict[str, list[str | None]] | None:
    """The group columns of a corpus (speaker, device, ...), in the order of ``ids``."""
    by_id = {utterance.id: utterance.groups for utterance in corpus.utterances}
    names = dict.fromkeys(name for groups in by_id.values() for name in groups)
    return {name: [by_id[id_].get(name) for id_ in ids] for name in names} or None


def audio_of(corpus: Corpus) -> Audio:
    """The recordings of a corpus by utterance id; None for one that is not there."""
    known = {utterance.id for utterance in corpus.utterances}

    def audio(utterance_id: str) -> bytes | None:
        return corpus.audio(utterance_id) if utterance_id in known else None

    return audio


def compare_scores(scores: Mapping[str, Score]) -> Comparison | ComparisonTable | None:
    """Two scores compared, more in a table; None for one."""
    if len(scores) < 2:
        return None
    if len(scores) == 2:
        (first, second), names = scores.values(), tuple(scores)
        return compare(first, second, names=(names[0], names[1]))
    return compare_all(scores)
