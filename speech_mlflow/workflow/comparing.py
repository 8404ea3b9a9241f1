"""Compare models across test runs: the stored transcripts are scored again side by side, nothing is recognised anew."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import mlflow.data
from mlflow.exceptions import MlflowException

from speech_mlflow.errors import ScoringError, SpeechMlflowError
from speech_mlflow.scoring import Score, score
from speech_mlflow.scoring.comparison import ComparisonTable, compare_all
from speech_mlflow.scoring.evaluators import EvaluatorFailure, EvaluatorOutput
from speech_mlflow.scoring.report import render_report
from speech_mlflow.tracking import runs, values
from speech_mlflow.tracking.dataset import same_content
from speech_mlflow.tracking.sources import SpeechCorpusSource
from speech_mlflow.tracking.store import Store, open_client
from speech_mlflow.workflow.contamination import Contamination
from speech_mlflow.workflow.finding import Found, data_of_run, find_tests
from speech_mlflow.workflow.measuring import measure
from speech_mlflow.workflow.reporting import contamination_columns, contamination_facts
from speech_mlflow.workflow.results import StoredTest, read_test

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from speech_mlflow.corpus import Corpus

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recordings:
    """The recordings of a test run by utterance id, where its corpus lies on disk as it was; None for others."""

    run: Run

    @cached_property
    def corpus(self) -> Corpus | None:
        """The corpus; None where it is not there any more, or is another by now."""
        for given in self.run.inputs.dataset_inputs if self.run.inputs else []:
            try:
                source = mlflow.data.get_source(given)
                found = source.load() if isinstance(source, SpeechCorpusSource) else None
            except (SpeechMlflowError, MlflowException, OSError) as error:
                log.info("no recordings of %s: %s", given.dataset.name, error)
                continue
            if found is not None and same_content(given.dataset.digest, found.fingerprint):
                return found
        return None

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(utterance.id for utterance in self.corpus.utterances) if self.corpus is not None else frozenset()

    def __call__(self, utterance_id: str) -> bytes | None:
        return self.corpus.audio(utterance_id) if self.corpus is not None and utterance_id in self._ids else None


@dataclass(frozen=True)
class ComparedModel:
    """One model in a comparison: where its transcripts come from, and what they score.

    ``wer`` is what the service counted in that run, None where it counted nothing; ``score`` is made from the transcripts.
    """

    label: str
    model_id: str
    run_id: str
    wer: float | None
    score: Score
    outputs: Mapping[str, EvaluatorOutput] = field(default_factory=dict)
    failures: Sequence[EvaluatorFailure] = ()
    contamination: Contamination | None = None


@dataclass(frozen=True)
class RunComparison:
    """Models compared on one test set: every pair, corrected for their number. ``left_out`` counts utterances that not every
    run has a result for."""

    dataset: str
    digest: str
    locale: str
    models: Sequence[ComparedModel]
    table: ComparisonTable
    left_out: int
    audio: Recordings = field(repr=False)

    @property
    def scores(self) -> Mapping[str, Score]:
        """The scores by label."""
        return self.table.scores

    @property
    def contamination(self) -> dict[str, Contamination]:
        """By label what of the test data is in the training data, for models of which that is known."""
        return {one.label: one.contamination for one in self.models if one.contamination is not None}

    def report(self) -> str:
        """The HTML report, with the recordings where these lie where they lay when they were tested."""
        first = self.models[0].score
        facts = {"data": f"{self.dataset}, digest {self.digest}", "locale": self.locale}
        for one in self.models:
            counted = "" if one.wer is None else f", WER by the service {one.wer:.2%}"
            facts[one.label] = f"MLflow run {one.run_id}{counted}"
        if self.left_out:
            facts["utterances left out, not in every run"] = str(self.left_out)
        columns = {
            f"{name}: {column} ({one.label})": cells
            for one in self.models
            for name, output in one.outputs.items()
            for column, cells in output.columns.items()
        }
        return render_report(
            self.scores,
            title=f"{self.dataset}: {' and '.join(self.scores)}",
            audio=self.audio if self.audio.corpus is not None else None,
            metadata=facts | contamination_facts(self.contamination, self.scores),
            extra_columns=columns | contamination_columns(self.contamination, first.ids),
            comparison=self.table,
        )

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    def __str__(self) -> str:
        return str(self.table)


@dataclass(frozen=True)
class _Heard:
    """The transcripts of one model in one run."""

    label: str
    model_id: str
    run: Run
    stored: StoredTest
    stored_label: str

    @cached_property
    def texts(self) -> dict[str, str]:
        return dict(zip(self.stored.ids, self.stored.hypotheses[self.stored_label], strict=True))


def compare_runs(
    *references: str,
    data: str | None = None,
    normalizer: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    client: MlflowClient | None = None,
) -> RunComparison:
    """Compare models that were tested, from their runs in MLflow.

    ``references`` are ids of test runs (all their models), or versions as ``name/3``, ``name@alias``, ``name/Production`` (that
    model, in its newest test on the data that all share). A model that several runs tested counts once where it was heard the
    same. ``data`` is the name, digest or fingerprint of the test data, needed where versions were tested on several.
    ``normalizer`` scores the stored transcripts under another one than that of the first run. ``resamples`` and ``seed`` are
    those of the bootstrap.

    Raises ScoringError where the test data differ, saying which, or there are fewer than two models; TrackingError for what is
    not there or no finished test.
    """
    client = open_client(tracking_uri, registry_uri) if client is None else client
    found = find_tests(client, references, data)
    heard = _distinct([one for each in found for one in _heard(client, each)])
    if len(heard) < 2:
        raise ScoringError(
            f"there is only one model to compare: {', '.join(one.label for one in heard) or 'none'}",
            hint="name two runs, two versions, or a run that tested several models",
        )
    first = heard[0].stored
    ids = [id_ for id_ in first.ids if all(id_ in one.texts for one in heard)]
    rule = normalizer or first.normalizer
    scores = {one.label: _scored(first, one, ids, rule) for one in heard}
    recordings = Recordings(heard[0].run)
    models = [_model(one, scores[one.label], first.locale, recordings) for one in heard]
    name, digest = data_of_run(heard[0].run)
    return RunComparison(
        name,
        digest,
        first.locale,
        models,
        compare_all(scores, resamples=resamples, seed=seed),
        len({id_ for one in heard for id_ in one.texts}) - len(ids),
        recordings,
    )


def _heard(client: MlflowClient, found: Found) -> list[_Heard]:
    run_id = str(found.run.info.run_id)
    run = client.get_run(run_id)
    stored = read_test(Store(client, run.info.experiment_id), run_id, run=run)
    models = [(label, id_) for label, id_ in runs.models_of(run) if found.model_id in (None, id_)]
    return [_Heard(found.title or label, model_id, run, stored, label) for label, model_id in models]


def _distinct(heard: Sequence[_Heard]) -> list[_Heard]:
    """Each model once where all runs heard the same of it; labels that are not alone get the run's id."""
    kept: list[_Heard] = []
    for one in heard:
        if all(one.model_id != other.model_id or one.texts != other.texts for other in kept):
            kept.append(one)
    labels = [one.label for one in kept]
    return [
        replace(one, label=f"{one.label} ({one.run.info.run_id[:8]})") if labels.count(one.label) > 1 else one for one in kept
    ]


def _scored(first: StoredTest, one: _Heard, ids: Sequence[str], normalizer: str) -> Score:
    references = dict(zip(first.ids, first.references, strict=True))
    groups = {name: dict(zip(first.ids, labels, strict=True)) for name, labels in first.groups.items()}
    return score(
        [references[id_] for id_ in ids],
        [one.texts[id_] for id_ in ids],
        ids=ids,
        groups={name: [labels[id_] for id_ in ids] for name, labels in groups.items()} or None,
        normalizer=normalizer,
    )


def _model(one: _Heard, scored: Score, locale: str, audio: Recordings) -> ComparedModel:
    outputs, failures = measure(scored, model=one.label, locale=locale, audio=audio)
    wer = one.run.data.metrics.get(values.name(f"wer/{one.stored_label}"))
    contamination = one.stored.contamination.get(one.stored_label)
    return ComparedModel(
        one.label,
        one.model_id,
        str(one.run.info.run_id),
        wer,
        scored,
        outputs,
        failures,
        None if contamination is None else contamination.among(scored.ids),
    )
