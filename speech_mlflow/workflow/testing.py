# ruff: noqa: PT028 - `test` is a verb here, no test function
"""Test models on a corpus: an evaluation in the service, a run in MLflow, however often it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import DataError
from speech_mlflow.progress import Progress
from speech_mlflow.scoring import Score, get_normalizer
from speech_mlflow.scoring.comparison import Comparison, ComparisonTable
from speech_mlflow.scoring.evaluators import (
    EvaluatorFailure,
    evaluators,
)
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import API_VERSION, BaseModel, Evaluation
from speech_mlflow.tracking import runs, tags, values
from speech_mlflow.tracking.refusal import explained
from speech_mlflow.tracking.runs import Begun, Measured, Work
from speech_mlflow.tracking.store import Store, open_store
from speech_mlflow.workflow import choosing, contamination, evaluating, recording, results
from speech_mlflow.workflow import data as data_
from speech_mlflow.workflow.assessing import assess
from speech_mlflow.workflow.choosing import Chosen, ModelName
from speech_mlflow.workflow.contamination import Contamination
from speech_mlflow.workflow.data import Uploaded
from speech_mlflow.workflow.failing import recorded
from speech_mlflow.workflow.reporting import render


@dataclass(frozen=True)
class TestResult:
    """A test that is over, or one at work where it was not waited for (``scores`` is empty then).

    ``scores`` are made from transcripts under our normalisation, by label ("base", "clinic-en-us v1"); ``wer`` is what the
    service counted. ``comparison`` is of the two models, a table where there are more, None where there is one. ``contamination``
    says which test utterances are in a model's training data, for models whose training data are known. ``evaluated`` is what
    evaluators measured: by label, metrics by name.
    """

    __test__: ClassVar[bool] = False  # nothing for pytest

    run_id: str
    scores: Mapping[str, Score]
    comparison: Comparison | ComparisonTable | None
    evaluation: Evaluation | None
    reused: bool
    wer: Mapping[str, float] = field(default_factory=dict)
    failures: Sequence[EvaluatorFailure] = ()
    contamination: Mapping[str, Contamination] = field(default_factory=dict)
    evaluated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the test is over."""
        return bool(self.scores)

    def _repr_html_(self) -> str:
        """For notebooks: the comparison, or the score of a lone model."""
        shown = next(iter(self.scores.values()), None) if self.comparison is None else self.comparison
        return f"<p>The test goes on in the service, MLflow run {self.run_id}</p>" if shown is None else shown._repr_html_()


@dataclass(frozen=True)
class _Testing:
    speech: SpeechClient
    store: Store
    corpus: Corpus
    models: Sequence[Chosen]
    normalizer: str
    project: str | None
    progress: Progress | None

    @property
    def key(self) -> str:
        return test_key(self.speech, self.corpus, self.models, normalizer=self.normalizer)


def test_key(speech: SpeechClient, corpus: Corpus, models: Sequence[Chosen], *, normalizer: str | None) -> str:
    """The content key of a test: equal for two that would measure the same."""
    return data_.content_key(
        kind=tags.KIND_TEST,
        resource=speech.resource,
        data=corpus.fingerprint,
        models=[model.entity.id for model in models],
        normalizer=get_normalizer(normalizer or corpus.locale).label,
        evaluators=sorted(evaluators()),
    )


test_key.__test__ = False  # type: ignore[attr-defined]  # nothing for pytest


@explained
def test(
    speech: SpeechClient,
    *,
    data: Corpus | str | Path,
    models: Sequence[ModelName] = (choosing.BASE,),
    locale: str = "en-US",
    normalizer: str | None = None,
    name: str | None = None,
    project: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    artifact_location: str | None = None,
    parent_run_id: str | None = None,
    description: str | None = None,
    force: bool = False,
    wait: bool = True,
    progress: Progress | None = None,
) -> TestResult:
    """Test models on recordings with transcripts: a corpus, the path of one, or ``dataset:ID`` for one that the service has.

    ``models`` are named as "base", as records of the service, as ``name/version``, ``name@alias`` or ``name/stage``, or by id;
    put the candidate last. The same data, models, normaliser and evaluators are tested once: a finished run is found and
    returned, one that was interrupted goes on where the service is; ``force`` tests again. ``normalizer`` is a locale or a
    name, by default the locale of the data. With ``wait=False`` the evaluation is begun and left to the service.

    Raises CorpusError with everything that is wrong with the data, TrackingError for models that cannot be tested,
    OperationFailedError where the service cannot evaluate (the run is then marked failed).
    """
    store = open_store(tracking_uri, registry_uri, experiment, artifact_location=artifact_location)
    (corpus,) = data_.read_all([data], locale=locale, speech=speech, purpose="testing")
    if corpus.kind != "Acoustic":
        raise DataError(f"{corpus.name} is {corpus.kind} data", hint="a test needs recordings with their transcripts")
    chosen = choosing.choose(speech, store, models, locale=locale)
    choosing.check_trained(chosen)
    testing = _Testing(speech, store, corpus, chosen, normalizer or corpus.locale, project, progress)
    begun = runs.begin(store, _work(testing, name, description, parent_run_id), again=force)
    if begun.state == "finished":
        return results.load_test(begun.id, store=store, speech=speech, reused=True)
    with recorded(store, begun) as failing:
        (uploaded,) = data_.upload_all(speech, [corpus], project=project, progress=progress)
        begun = runs.settle(store, begun)
        failing.run_id = begun.id
        _note_inputs(testing, begun, uploaded)
        evaluations = _evaluate(testing, begun, uploaded)
        if not wait and any(evaluation.status != "Succeeded" for evaluation in evaluations):
            return TestResult(begun.id, {}, None, evaluations[0], False)
        evaluations = speech.wait_all(evaluations, progress=progress)
        tested = assess(
            speech,
            uploaded,
            chosen,
            evaluations,
            normalizer=testing.normalizer,
            contaminated=contamination.find(store, corpus, chosen),
            progress=progress,
        )
        recording.record(
            store,
            begun.id,
            tested,
            report=lambda over: render(over, corpus),
            resource=speech.resource,
            known=begun.run,
        )
    return TestResult(
        begun.id,
        {result.label: result.score for result in tested.results},
        tested.comparison,
        evaluations[0],
        False,
        {result.label: wer for result in tested.results if (wer := result.metrics()["wer"]) is not None},
        [failure for result in tested.results for failure in result.failures],
        tested.contamination,
        {result.label: {values.name(name): value for name, value in result.evaluated.items()} for result in tested.results},
    )


test.__test__ = False  # type: ignore[attr-defined]  # nothing for pytest


def _work(testing: _Testing, name: str | None, description: str | None, parent_run_id: str | None) -> Work:
    labels = [model.label for model in testing.models]
    base = [model.entity.id for model in testing.models if isinstance(model.entity, BaseModel)]
    return Work(
        tags.KIND_TEST,
        testing.key,
        name or f"{testing.corpus.name}: {' and '.join(labels)}",
        tags={
            tags.RESOURCE: testing.speech.resource,
            tags.API_VERSION: API_VERSION,
            tags.LOCALE: testing.corpus.locale,
            tags.MODEL_ID: values.ids(model.entity.id for model in testing.models),
            tags.BASE_MODEL_ID: base[0] if base else None,
            tags.PROJECT_ID: testing.project,
            tags.FINGERPRINT: testing.corpus.fingerprint,
        },
        description=description,
        parent_run_id=parent_run_id,
    )


def _note_inputs(testing: _Testing, begun: Begun, uploaded: Uploaded) -> None:
    """Log what is tested on what, before the service is asked to do it."""
    profile = testing.corpus.profile()
    runs.log(
        testing.store,
        begun.id,
        measured=[Measured({f"data.{name}": profile.get(name) for name in ("hours", "utterances", "words")})],
        params={
            "locale": testing.corpus.locale,
            "data": f"{uploaded.record.name} ({uploaded.record.digest})",
            "models": [model.label for model in testing.models],
            "normalizer": get_normalizer(testing.normalizer).label,
            "evaluators": sorted(evaluators()),
        },
        run_tags={tags.DATASET_IDS: uploaded.entity.id},
        known=begun.run,
    )


def _evaluate(testing: _Testing, begun: Begun, uploaded: Uploaded) -> list[Evaluation]:
    """The evaluations that test all models, begun or found; those of first attempts are shared by all runs of their content."""
    begun_ones = []
    for first, second in evaluating.pairs([model.entity for model in testing.models]):
        begun_ones.append(
            evaluating.begin(
                testing.speech,
                uploaded.entity,
                first,
                second,
                key=evaluating.key_of(testing.speech, testing.corpus.fingerprint, first, second),
                run_id=begun.id,
                attempt=begun.attempt,
                project=testing.project,
            )
        )
    ids = values.ids(evaluation.id for evaluation in begun_ones)
    runs.log(testing.store, begun.id, run_tags={tags.EVALUATION_ID: ids})
    return begun_ones
