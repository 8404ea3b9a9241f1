"""A promotion is an MLflow run: made before the first write to the service, closed after the last.

The run holds who asked and why, the plan, what was served before and after, what each gate said with its numbers, and how long
each step took. It stays *open* (a tag) until its event was told. Whoever holds the claim on the target finds the open runs of a
process that died, and closes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote
from weakref import WeakKeyDictionary

from speech_mlflow.promotion.claim import TARGET
from speech_mlflow.promotion.events import EventKind, PromotionEvent
from speech_mlflow.promotion.registry import search_runs
from speech_mlflow.tracking import tags
from speech_mlflow.tracking.values import literal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from speech_mlflow.promotion.decisions import Decision
    from speech_mlflow.promotion.plan import Plan
    from speech_mlflow.promotion.probe import Probed

EXPERIMENT = "speech promotions"
"""The experiment of promotions and claims. One for all settings: every process must find the others' claims."""

OPEN = "speech.open"
INTENT = "speech.intent"
"""What the run was about to do: *create*, *update*, *restore*, *publish* or *retire*."""

EVENT = "speech.event"
"""Whether the event of the run has arrived at the sink for events: *sending* until it has, *sent* thereafter."""

Result = Literal["served", "refused", "rolled back", "restored", "failed", "interrupted", "retired"]
_STATUS: Mapping[str, Literal["FINISHED", "FAILED", "KILLED"]] = {
    "served": "FINISHED",
    "restored": "FINISHED",
    "retired": "FINISHED",
    "interrupted": "KILLED",
}


def experiment(client: MlflowClient) -> str:
    """Id of the experiment of promotions, made where it is missing. It is looked up once a minute for each client."""
    from speech_mlflow.tracking.store import ensure_experiment

    known = _experiments.get(client)
    if known is None or monotonic() - known[1] > 60.0:
        known = _experiments[client] = (ensure_experiment(client, EXPERIMENT), monotonic())
    return known[0]


_experiments: WeakKeyDictionary[MlflowClient, tuple[str, float]] = WeakKeyDictionary()


@dataclass
class Journal:
    """One promotion run."""

    client: MlflowClient
    experiment_id: str
    run_id: str
    plan: Plan
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, client: MlflowClient, experiment_id: str, plan: Plan, *, intent: str, who: str, why: str) -> Journal:
        """Write down what is about to be done, by whom and why."""
        from speech_mlflow.tracking import runs
        from speech_mlflow.tracking.store import Store

        store = Store(client, experiment_id)
        version, observed = plan.desired.record, plan.observed
        begun = runs.start(
            store,
            runs.Work(
                tags.KIND_PROMOTION,
                plan.id,
                f"{plan.name} {plan.desired.version or ''}".strip(),
                tags={
                    OPEN: "true",
                    TARGET: plan.target.key(plan.name),
                    INTENT: intent,
                    tags.REGISTERED_MODEL: plan.name,
                    tags.MODEL_VERSION: plan.desired.version,
                    tags.RESOURCE: observed.resource,
                    tags.MODEL_ID: version.tags.get(tags.MODEL_ID) if version else None,
                    tags.ENDPOINT_ID: observed.endpoint.id if observed.endpoint else None,
                },
                description=_described(plan),
            ),
        )
        journal = cls(client, experiment_id, begun.id, plan)
        runs.log(
            store,
            begun.id,
            params={
                "registered_model": plan.name,
                "version": plan.desired.version,
                "previous_version": observed.published_version,
                "target": plan.target.name,
                "trigger": plan.target.trigger,
                "plan": plan.id,
                "who": who,
                "why": why,
            },
        )
        runs.log_files(store, begun.id, {"promotion/plan.json": _json(plan.to_dict())})
        return journal

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step."""
        started = monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + monotonic() - started

    def record_gates(self, decisions: Sequence[Decision], evidence: Mapping[str, Any]) -> None:
        """Write down what the gates said and on what, before anything is changed."""
        from speech_mlflow.tracking import runs
        from speech_mlflow.tracking.store import Store

        store = Store(self.client, self.experiment_id)
        document = {"decisions": [one.to_dict() for one in decisions], "evidence": evidence}
        runs.log_files(store, self.run_id, {"promotion/gates.json": _json(document)})
        numbers = {f"gate.{one.gate}.{name}": value for one in decisions for name, value in one.numbers.items()}
        said = {f"gate.{one.gate}": f"{'passed' if one.passed else 'no'}: {one.reason}" for one in decisions}
        runs.log(store, self.run_id, params=said, measured=[runs.Measured(numbers)])

    def measure(self, probed: Probed | None) -> None:
        """Write down what the probe measured."""
        from speech_mlflow.tracking import runs
        from speech_mlflow.tracking.store import Store

        if probed is not None:
            numbers = {"probe.wer": probed.wer, "probe.slowest_seconds": probed.slowest, "probe.recordings": probed.recordings}
            runs.log(Store(self.client, self.experiment_id), self.run_id, measured=[runs.Measured(numbers)])

    def note(self, **values: Any) -> None:
        """Write down tags of the run, by the names in this module or :mod:`..tracking.tags`."""
        for name, value in values.items():
            if value is not None:
                self.client.set_tag(self.run_id, name, str(value))

    def close(self, result: Result, reason: str, *, after: Mapping[str, Any], endpoint_id: str | None) -> None:
        """Write down how it ended. The run stays open until :func:`told`."""
        from speech_mlflow.tracking import runs
        from speech_mlflow.tracking.store import Store

        store = Store(self.client, self.experiment_id)
        seconds = {f"seconds.{step}": value for step, value in self.seconds.items()}
        runs.log_files(store, self.run_id, {"promotion/after.json": _json(after)})
        runs.log(
            store,
            self.run_id,
            run_tags={tags.RESULT: result, tags.REASON: reason, tags.ENDPOINT_ID: endpoint_id},
            measured=[runs.Measured(seconds)],
        )
        runs.finish(store, self.run_id, _STATUS.get(result, "FAILED"))


def begin_retiring(client: MlflowClient, experiment_id: str, key: str, endpoint_id: str, *, who: str, why: str) -> str:
    """Write down that an endpoint is about to be deleted; the run's id."""
    run_tags = {tags.KIND: tags.KIND_PROMOTION, OPEN: "true", TARGET: key, INTENT: "retire", tags.ENDPOINT_ID: endpoint_id}
    name = key.rpartition("/")[0]
    run = client.create_run(experiment_id, tags={**run_tags, tags.REGISTERED_MODEL: name}, run_name=f"retire {name}")
    for param, value in {"registered_model": name, "target": key.rpartition("/")[2], "who": who, "why": why}.items():
        client.log_param(run.info.run_id, param, value)
    return str(run.info.run_id)


def told(client: MlflowClient, run_id: str) -> None:
    """Mark a run as done with, its event told."""
    client.set_tag(run_id, OPEN, "false")


def sending(client: MlflowClient, run_id: str) -> None:
    """Mark the event of a run as not yet arrived."""
    client.set_tag(run_id, EVENT, "sending")


def sent(client: MlflowClient, run_id: str) -> None:
    """Mark the event of a run as arrived."""
    client.set_tag(run_id, EVENT, "sent")


def unsent(client: MlflowClient, experiment_id: str) -> list[Run]:
    """The runs that ended and whose event has not arrived, oldest first."""
    where = f"tags.`{tags.KIND}` = '{tags.KIND_PROMOTION}' and tags.`{EVENT}` = 'sending' and tags.`{OPEN}` = 'false'"
    return sorted(search_runs(client, experiment_id, where), key=lambda run: (run.info.start_time, run.info.run_id))


def open_runs(client: MlflowClient, experiment_id: str, key: str | None = None) -> list[Run]:
    """The promotion runs with something left to do, of one target or of all, oldest first."""
    where = f"tags.`{tags.KIND}` = '{tags.KIND_PROMOTION}' and tags.`{OPEN}` = 'true'"
    if key is not None and (quoted := literal(key)):
        where += f" and tags.`{TARGET}` = {quoted}"
    found = [run for run in search_runs(client, experiment_id, where) if key is None or run.data.tags.get(TARGET) == key]
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def close_left_over(client: MlflowClient, run: Run, result: Result, reason: str) -> None:
    """Close the run of a process that died."""
    if run.data.tags.get(tags.RESULT) is None:
        client.set_tag(run.info.run_id, tags.RESULT, result)
        client.set_tag(run.info.run_id, tags.REASON, reason)
    if run.info.status == "RUNNING":
        from speech_mlflow.tracking import runs
        from speech_mlflow.tracking.store import Store

        status = _STATUS.get(run.data.tags.get(tags.RESULT, result), "FAILED")
        runs.finish(Store(client, run.info.experiment_id), run.info.run_id, status)


def event_of(run: Run) -> PromotionEvent:
    """The event that a closed run tells of; the same each time."""
    kind = cast("EventKind", run.data.tags.get(tags.RESULT, "interrupted"))
    name, _, target = run.data.tags.get(TARGET, "/").rpartition("/")
    return PromotionEvent(
        kind=kind,
        registered_model=name,
        target=target,
        version=run.data.tags.get(tags.MODEL_VERSION),
        endpoint_id=run.data.tags.get(tags.ENDPOINT_ID),
        reason=run.data.tags.get(tags.REASON, ""),
        run_id=run.info.run_id,
        id=f"{run.info.run_id}.{kind.replace(' ', '-')}",
        time=datetime.fromtimestamp((run.info.end_time or run.info.start_time) / 1000, timezone.utc),
    )


def _described(plan: Plan) -> str:
    """The plan for MLflow's page of the run, which shows Markdown: a link to the version, and the plan as it is printed."""
    number = plan.desired.version
    link = f"[{plan.name} version {number}](#/models/{quote(plan.name, safe='')}/versions/{number})\n\n" if number else ""
    return f"{link}```\n{plan.render()}\n```"


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, default=str, ensure_ascii=False)
