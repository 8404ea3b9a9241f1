"""Runs of MLflow that stand for work in the service: found again by content, resumed, logged to in few requests.

A run is created before the service is asked for anything and closed after the last answer, so that at any moment any process
on any machine can see what was begun, and go on with it.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from mlflow.entities import LoggedModelInput, LoggedModelOutput, Metric, Param, Run, RunStatus, RunTag
from mlflow.tracking.context.registry import resolve_tags

from speech_mlflow.plugins import call, plugin_manager
from speech_mlflow.tracking import tags, values
from speech_mlflow.tracking.dataset import SpeechDataset
from speech_mlflow.tracking.refusal import delete
from speech_mlflow.tracking.store import Store, all_experiments, quoted, search_all, write

PARENT_RUN = "mlflow.parentRunId"
DESCRIPTION = "mlflow.note.content"
OPEN = frozenset({"RUNNING", "SCHEDULED"})
SETTLE_SECONDS = 0.5
SETTLE_LATENCIES = 2
"""How long after it was begun work may win a race for its key, or as many times what MLflow took for it; see :func:`settle`."""
YOUNG_SECONDS = 60
"""How old a run may be for whoever began it to be just about to ask the service, too."""

log_ = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What a run is to do: its kind, its content key, and what is known at the start. ``started`` is when it began, in
    milliseconds since 1970, for work that was done before MLflow heard of it."""

    kind: str
    key: str
    name: str
    tags: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    description: str | None = None
    parent_run_id: str | None = None
    started: int | None = None


@dataclass(frozen=True)
class Begun:
    """The run of a piece of work: a new one, one to go on with, or one that has finished."""

    run: Run
    state: Literal["new", "resumed", "finished"]
    since: float = 0.0
    """When MLflow had answered, by ``time.monotonic()``."""
    pause: float = 0.0
    """Seconds from then until it can be told which of several goes on."""

    @property
    def id(self) -> str:
        """Id of the run."""
        return str(self.run.info.run_id)

    @property
    def attempt(self) -> int:
        """Which run of this key it is, from 1."""
        return attempt_of(self.run)


@dataclass(frozen=True)
class Measured:
    """Metrics of one model on one data set. ``logged_model_id`` None: they belong to the run alone."""

    metrics: Mapping[str, float | int | None]
    logged_model_id: str | None = None
    dataset: SpeechDataset | None = None
    step: int = 0


def find(store: Store, kind: str, key: str) -> list[Run]:
    """All runs of a piece of work, oldest first."""
    return find_by_tag(store, kind, tags.KEY, key)


def find_by_tag(store: Store, kind: str, tag: str, value: str) -> list[Run]:
    """All runs of a kind with a tag of this value, oldest first."""
    wanted = f"tags.`{tags.KIND}` = '{kind}' and tags.`{tag}` = {quoted(value)}"
    return search_all(store.client, [store.experiment_id], wanted)


def find_open(store: Store, resource: str) -> list[Run]:
    """All runs of the experiment that are at work on a speech resource, and its promotions wherever they are, oldest first."""
    wanted = f"tags.`{tags.RESOURCE}` = {quoted(resource)} and attributes.status = 'RUNNING'"
    return [
        run
        for run in search_all(store.client, all_experiments(store.client), wanted)
        if run.info.experiment_id == store.experiment_id or run.data.tags.get(tags.KIND) == tags.KIND_PROMOTION
    ]


def begin(store: Store, work: Work, *, force: bool = False, again: bool = False, without: Iterable[str] = ()) -> Begun:
    """The run for ``work``: the newest finished one, else the oldest one at work, else a new one.

    ``again`` does what is finished once more, in a new run, or in the one that is at work on just that. ``force`` always makes
    a new one. Runs whose id is in ``without`` do not count: what they made is gone.
    """
    before = time.monotonic()
    runs = find(store, work.kind, work.key)
    left_out = set(without)
    if not force:
        usable = [run for run in runs if run.info.run_id not in left_out]
        finished = [run for run in usable if run.info.status == "FINISHED"]
        if finished and not again:
            return Begun(finished[-1], "finished")
        at_work = [run for run in usable if run.info.status in OPEN]
        if at_work:
            return Begun(at_work[0], "resumed", *_settling(before))
    run = _create(store, work, 1 + max((attempt_of(run) for run in runs), default=0))
    return Begun(run, "new", *_settling(before))


def start(store: Store, work: Work) -> Begun:
    """A new run for work that is its own each time: earlier runs of the same key are not asked for."""
    return Begun(_create(store, work, 1), "new")


def settle(store: Store, begun: Begun) -> Begun:
    """Decide which run goes on where two processes began the same work at once: the oldest. The other run is deleted, or
    marked as killed by a user who may not delete.

    Called just before the service is asked for something that costs. MLflow has no unique key for runs: a run counts as
    visible to everybody after ``SETTLE_SECONDS``, longer where MLflow is slow, which bounds the race but does not prove it away;
    the service is therefore asked for the entity by its name before it is made. Who goes on with a run that another process
    began a moment ago lets that one be first.
    """
    if begun.state == "finished":
        return begun
    if begun.state == "new" or time.time() - begun.run.info.start_time / 1000 < YOUNG_SECONDS:
        time.sleep(max(0.0, begun.since + begun.pause - time.monotonic()))
    if begun.state == "resumed":
        return begun
    attempt = begun.attempt
    rivals = find(store, begun.run.data.tags[tags.KIND], begun.run.data.tags[tags.KEY])
    rivals = [run for run in rivals if run.info.status in OPEN and attempt_of(run) == attempt]
    if not rivals or rivals[0].info.run_id == begun.id:
        return begun
    log_.info("another process began the same work first; run %s gives way to %s", begun.id, rivals[0].info.run_id)
    delete(lambda: store.client.delete_run(begun.id), instead=lambda: finish(store, begun.id, "KILLED"))
    time.sleep(begun.pause)  # the other one is about to ask the service: it is to find what that one makes
    return Begun(rivals[0], "resumed")


def attempt_of(run: Run) -> int:
    """Which run of its key this is, from 1."""
    return int(run.data.tags.get(tags.ATTEMPT, "1"))


def models_of(run: Run) -> list[tuple[str, str]]:
    """Labels and ids of the models that a test run tests."""
    try:
        labels = [str(label) for label in json.loads(run.data.params.get("models", "[]"))]
    except (ValueError, TypeError):
        return []
    return list(zip(labels, run.data.tags.get(tags.MODEL_ID, "").split(","), strict=False))


def log(
    store: Store,
    run_id: str,
    *,
    measured: Sequence[Measured] = (),
    params: Mapping[str, object] | None = None,
    run_tags: Mapping[str, object] | None = None,
    known: Run | None = None,
    at: int | None = None,
) -> None:
    """Log metrics, parameters and tags in one request (per 1000 metrics, 100 parameters or 100 tags).

    ``at`` is when it was measured, in milliseconds since 1970; by default now.
    Parameters and metrics that ``known`` has, the run as it was when the work was resumed, are not sent again: MLflow lets a
    parameter be written once, and draws a metric that is logged twice as two points.
    Values that MLflow would cut are logged whole as an artifact.
    """
    params_known, metrics_known = (known.data.params, known.data.metrics) if known is not None else ({}, {})
    given = {key: value for key, value in (params or {}).items() if values.name(key) not in params_known}
    fitted = values.fit(given, run_tags or {})
    now = int(time.time() * 1000) if at is None else at
    metrics = [metric for one in measured for metric in _metrics(run_id, one, now) if metric.key not in metrics_known]
    log_files(store, run_id, fitted.long)
    params_ = [Param(key, value) for key, value in fitted.params.items()]
    tags_ = [RunTag(key, value) for key, value in fitted.tags.items()]
    write(lambda: store.client.log_batch(run_id, metrics=metrics, params=params_, tags=tags_))


def log_inputs(
    store: Store, run_id: str, datasets: Sequence[SpeechDataset], context: str, *, logged_models: Iterable[str] = ()
) -> None:
    """Log data sets, and models that were tested, as inputs of a run; those that it has stay as they are."""
    given = [dataset.to_input(context) for dataset in datasets]
    models = [LoggedModelInput(model_id) for model_id in logged_models] or None
    write(lambda: store.client.log_inputs(run_id, datasets=given, models=models))


def log_output(store: Store, run_id: str, logged_model_id: str) -> None:
    """Log a model as what the run made, once: MLflow fails on an output that the run has."""

    def log_once() -> None:
        outputs = store.client.get_run(run_id).outputs
        if outputs is None or all(output.model_id != logged_model_id for output in outputs.model_outputs):
            store.client.log_outputs(run_id, [LoggedModelOutput(logged_model_id, 0)])

    write(log_once)


def log_files(store: Store, run_id: str, files: Mapping[str, str | bytes]) -> None:
    """Log artifacts, contents by path: one request each, and one to learn where they go."""
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
        for path, content in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        store.client.log_artifacts(run_id, folder)


def finish(
    store: Store, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED", *, at: int | None = None
) -> None:
    """Close a run, now or ``at`` a time in the past (milliseconds since 1970).

    (``MlflowClient.set_terminated`` would also print links on stdout, where our own output may be JSON.)
    """
    ended = int(time.time() * 1000) if at is None else at
    store.client._tracking_client.store.update_run_info(run_id, RunStatus.from_string(status), ended, None)


def _settling(before: float) -> tuple[float, float]:
    now = time.monotonic()
    return now, max(SETTLE_SECONDS, SETTLE_LATENCIES * (now - before))


def _create(store: Store, work: Work, attempt: int) -> Run:
    own: dict[str, object] = {**_from_hooks(work.kind), **work.tags}
    own |= {tags.KIND: work.kind, tags.KEY: work.key, tags.ATTEMPT: attempt}
    own |= {PARENT_RUN: work.parent_run_id, DESCRIPTION: work.description}
    fitted = values.fit({}, own)
    name = values.short(work.name, values.RUN_NAME_LIMIT)
    run = store.client.create_run(store.experiment_id, work.started, tags=resolve_tags(fitted.tags), run_name=name)
    log_files(store, run.info.run_id, fitted.long)
    return run


def _from_hooks(kind: str) -> dict[str, str]:
    """Tags that plugins add; one that raises is named in the log and stops nobody."""
    found: dict[str, str] = {}
    for implementation in plugin_manager().hook.run_tags.get_hookimpls():
        try:
            given = call(implementation, kind)
            found.update({str(key): str(value) for key, value in cast("Mapping[str, str]", given or {}).items()})
        except Exception as error:  # a plugin may raise anything
            log_.warning("plugin %s failed in run_tags: %s: %s", implementation.plugin_name, type(error).__name__, error)
    return found


def _metrics(run_id: str, measured: Measured, now: int) -> list[Metric]:
    dataset = measured.dataset
    return [
        Metric(
            key,
            value,
            now,
            measured.step,
            model_id=measured.logged_model_id,
            dataset_name=dataset.name if dataset else None,
            dataset_digest=dataset.digest if dataset else None,
            run_id=run_id,
        )
        for key, value in values.finite(measured.metrics).items()
    ]
