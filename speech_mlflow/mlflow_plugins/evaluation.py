"""What the evaluator ``speech`` does: the texts out of MLflow's data, scored, measured by all evaluators, and logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationArtifact, EvaluationResult
from mlflow.models.evaluation.artifacts import JsonEvaluationArtifact, TextEvaluationArtifact
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from pydantic import BaseModel, ConfigDict, ValidationError

from speech_mlflow.errors import SpeechMlflowError
from speech_mlflow.scoring import Score, score
from speech_mlflow.scoring.comparison import wer_interval
from speech_mlflow.scoring.evaluators import EvaluatorFailure, EvaluatorOutput
from speech_mlflow.scoring.inputs import is_missing
from speech_mlflow.scoring.report import figures, render_report
from speech_mlflow.settings import Settings
from speech_mlflow.tracking import mlmodel, runs, tables, tags, values
from speech_mlflow.tracking.runs import Measured
from speech_mlflow.tracking.store import Store
from speech_mlflow.workflow.measuring import Audio, measure, no_audio, rising

FOLDER = "speech"
TABLE = f"{FOLDER}/utterances.json"
REPORT = f"{FOLDER}/report.html"

log = logging.getLogger(__name__)


class Options(BaseModel):
    """What ``evaluator_config`` may say.

    ``locale`` is by default that of a model of ours, else that of the settings; ``normalizer`` (a locale or a name) by default
    the locale. ``id``, ``audio`` and ``groups`` name columns of the data; audio are paths, URLs or ``data:audio/wav;base64,``
    texts, and where they are named the model is given them alone.
    """

    model_config = ConfigDict(extra="forbid")

    locale: str | None = None
    normalizer: str | None = None
    id: str | None = None
    audio: str | None = None
    groups: list[str] = []


@dataclass(frozen=True)
class Evaluated:
    """What there is to log: a score, what the evaluators made of it, and the recordings."""

    name: str
    locale: str
    score: Score
    audio: Audio
    outputs: Mapping[str, EvaluatorOutput]
    failures: Sequence[EvaluatorFailure]


def evaluate(
    dataset: Any,
    run_id: str,
    config: Mapping[str, Any],
    *,
    model: Any = None,
    predictions: str | None = None,
    logged_model_id: str | None = None,
    ignored: Sequence[str] = (),
) -> EvaluationResult:
    """Score the predictions of ``dataset``, or those that ``model`` makes, against its targets.

    An evaluator that raises fails by name, in the run's tag ``speech.failed_evaluators``. ``ignored`` names arguments of MLflow's
    that have no meaning here. Raises MlflowException for a wrong configuration, and for data that are no texts.
    """
    options = _options(config)
    if ignored:
        log.warning("the evaluator 'speech' leaves out %s: register an evaluator instead", " and ".join(ignored))
    references = _texts(dataset.labels_data, "targets", empty=False)
    hypotheses = _hypotheses(dataset, model, predictions, options)
    name = _name(model)
    locale = options.locale or _locale_of(model) or Settings.load().locale
    try:
        scored = score(
            references,
            hypotheses,
            ids=_column(dataset, options.id) if options.id else None,
            groups={group: _column(dataset, group) for group in options.groups} or None,
            normalizer=options.normalizer or locale,
        )
    except SpeechMlflowError as error:
        raise MlflowException(f"{error} {error.hint or ''}".strip(), INVALID_PARAMETER_VALUE) from error
    audio = _audio(scored.ids, _column(dataset, options.audio)) if options.audio else no_audio
    outputs, failures = measure(scored, model=name, locale=locale, audio=audio)
    metrics = _metrics(scored, outputs)
    # where MLflow knows the logged model, it logs the metrics itself; of models:/name/1 it knows none
    measured = [] if logged_model_id else [Measured(metrics, getattr(model, "model_id", None), dataset)]
    return _log(run_id, Evaluated(name, locale, scored, audio, outputs, failures), metrics, measured)


def _options(config: Mapping[str, Any]) -> Options:
    try:
        return Options(**config)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        known = ", ".join(Options.model_fields)
        raise MlflowException(f"evaluator_config of 'speech': {wrong}. Known: {known}", INVALID_PARAMETER_VALUE) from None


def _hypotheses(dataset: Any, model: Any, predictions: str | None, options: Options) -> list[str]:
    if model is None:
        return _texts(dataset.predictions_data, "predictions", empty=True)
    features = dataset.features_data
    if options.audio is not None:
        _column(dataset, options.audio)
        features = features[[options.audio]]
    said = model.predict(features)
    if hasattr(said, "columns"):  # a data frame
        said = said[predictions if predictions is not None else said.columns[0]]
    elif isinstance(said, Mapping) and predictions is not None:
        said = said[predictions]
    return _texts(said, "predictions of the model", empty=True)


def _texts(given: Any, what: str, *, empty: bool) -> list[str]:
    """A column as texts; with ``empty`` a missing value is a text without words."""
    if given is None:
        raise MlflowException(f"the data have no {what}: name the column of texts", INVALID_PARAMETER_VALUE)
    cells = given.tolist() if hasattr(given, "tolist") else list(given)
    if empty:
        cells = ["" if is_missing(cell) else cell for cell in cells]
    wrong = [index for index, cell in enumerate(cells) if not isinstance(cell, str)]
    if wrong:
        first = f"{type(cells[wrong[0]]).__name__} in row {wrong[0]}"
        raise MlflowException(f"the {what} are not all texts: {len(wrong)} are not, {first}", INVALID_PARAMETER_VALUE)
    return cells


def _column(dataset: Any, name: str) -> list[Any]:
    features = dataset.features_data
    known = [str(column) for column in getattr(features, "columns", ())]
    if name not in known:
        raise MlflowException(
            f"evaluator_config of 'speech' names the column {name!r}; there are: {', '.join(known) or 'none'}",
            INVALID_PARAMETER_VALUE,
        )
    return [None if is_missing(cell) else str(cell) for cell in features[name].tolist()]


def _audio(ids: Sequence[str], recordings: Sequence[str | None]) -> Audio:
    """The WAV file of an utterance; None where it cannot be read."""
    where = dict(zip(ids, recordings, strict=True))

    def audio(utterance_id: str) -> bytes | None:
        from speech_mlflow.flavor import load_recording

        recording = where.get(utterance_id)
        if not recording:
            return None
        try:
            loaded = load_recording(recording)
            return Path(loaded).read_bytes() if isinstance(loaded, (str, Path)) else loaded
        except (SpeechMlflowError, MlflowException, OSError) as error:
            log.info("no recording of %s: %s", utterance_id, error)
            return None

    return audio


def _name(model: Any) -> str:
    described = _flavor(model)
    return str(described.get("model_id") or "model") if model is not None else "predictions"


def _locale_of(model: Any) -> str | None:
    return _flavor(model).get("locale")


def _flavor(model: Any) -> Mapping[str, Any]:
    """What the MLmodel file of a model of ours says; nothing for others."""
    flavors = getattr(getattr(model, "metadata", None), "flavors", None) or {}
    described: Mapping[str, Any] = flavors.get(mlmodel.FLAVOR, {})
    return described


def _metrics(scored: Score, outputs: Mapping[str, EvaluatorOutput]) -> dict[str, float]:
    interval = wer_interval(scored)
    measured: dict[str, float | int | None] = {
        "wer.recomputed": scored.wer,
        "wer.recomputed.low": interval.low,
        "wer.recomputed.high": interval.high,
        "ser.recomputed": scored.ser,
        "cer": scored.cer,
        "mer": scored.mer,
        "wil": scored.wil,
        "wip": scored.wip,
        "utterances": len(scored),
        **{name: value for output in outputs.values() for name, value in output.metrics.items()},
    }
    return values.finite(measured)


def _log(run_id: str, done: Evaluated, metrics: dict[str, float], measured: Sequence[Measured]) -> EvaluationResult:
    name, scored, outputs = done.name, done.score, done.outputs
    store = Store(MlflowClient(), "")
    columns = {
        f"{name_}: {column}": list(cells) for name_, output in outputs.items() for column, cells in output.columns.items()
    }
    table = tables.table({**scored.table(), **columns})
    report = render_report(
        {name: scored},
        title=f"{name}: {len(scored)} utterances",
        audio=None if done.audio is no_audio else done.audio,
        metadata={"locale": done.locale},
        extra_columns=columns,
    )
    images = {f"{FOLDER}/figures/{figure}.svg": image for figure, image in figures({name: scored}).items()}
    files: dict[str, str | bytes] = {TABLE: table, REPORT: report, **images}
    for evaluator, output in outputs.items():
        files |= {f"{FOLDER}/evaluators/{evaluator}/{file}": content for file, content in output.artifacts.items()}
    runs.log_files(store, run_id, files)
    run, higher = store.client.get_run(run_id), rising(outputs)
    runs.log(
        store,
        run_id,
        measured=measured,
        run_tags={
            tables.LOGGED_ARTIFACTS: tables.mark(run.data.tags.get(tables.LOGGED_ARTIFACTS), [TABLE]),
            tags.FAILED_EVALUATORS: json.dumps({one.name: one.reason for one in done.failures}) if done.failures else None,
            tags.GREATER_IS_BETTER: json.dumps(list(map(values.name, higher))) if higher else None,
            tags.NORMALIZER: scored.normalizer.label,
        },
    )
    root = str(run.info.artifact_uri).rstrip("/")
    artifacts: dict[str, EvaluationArtifact] = {
        "speech_report": TextEvaluationArtifact(f"{root}/{REPORT}", report),  # type: ignore[no-untyped-call]
        "speech_utterances": JsonEvaluationArtifact(f"{root}/{TABLE}", json.loads(table)),  # type: ignore[no-untyped-call]
    }
    for path, image in images.items():
        image_of = TextEvaluationArtifact(f"{root}/{path}", image)  # type: ignore[no-untyped-call]
        artifacts[f"speech_{Path(path).stem}_figure"] = image_of
    return EvaluationResult(metrics, artifacts, run_id)  # type: ignore[no-untyped-call]
