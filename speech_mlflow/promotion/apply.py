"""Making the service serve what the registry says. Every write to an endpoint in this project is made here.

The order of a promotion, each step of which another process can take over from:

1. resolve: read the registry and the service, and plan
2. claim the target, and read both again
3. journal: make the run that says what is about to be done
4. gates: ask them, and record what they said; a *no* ends here
5. look up the endpoint once more
6. write: create it, or change its model in place; it is never deleted to be made again
7. wait until the service has done it
8. probe it with known recordings, where the target has some
9. tags: note in the registry what is served now
10. close the run
11. notify

Where the service or the probe says that the new version does not work, the version gets a hold and the published one is put
back.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.errors import ApiError, ClaimHeldError, OperationFailedError, PromotionError, SettingsError, StalePlanError
from speech_mlflow.promotion import cloudevents, copies, gates, journal, probe, registry
from speech_mlflow.promotion.claim import Claim, acquire, claimed
from speech_mlflow.promotion.copies import Source
from speech_mlflow.promotion.crash import step
from speech_mlflow.promotion.events import notify
from speech_mlflow.promotion.journal import Journal, Result
from speech_mlflow.promotion.observed import EndpointState, observe, state_of
from speech_mlflow.promotion.options import Options, Stopped
from speech_mlflow.promotion.plan import SERVICE_WRITES, Plan, Step, hold_text
from speech_mlflow.promotion.reading import OVERRIDE, PROMOTION_RUN_ID, read_candidate, read_plan, with_decisions
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.writer import Writer
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from speech_mlflow.service.client import SpeechClient

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Applied:
    """What came of a plan. ``result`` is *unchanged*, *blocked* or a promotion's :data:`~.journal.Result`."""

    plan: Plan
    result: Result | Literal["unchanged", "blocked"]
    reason: str
    version: str | None = None
    endpoint_id: str | None = None
    run_id: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def served(self) -> bool:
        """Whether the desired version is served now."""
        kept = self.plan.desired.state == "served" and self.plan.steps[0].action == "keep"
        return self.result == "served" or (self.result == "unchanged" and kept)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        values = {key: value for key, value in vars(self).items() if key != "plan"}
        return {**values, "seconds": dict(self.seconds), "plan": self.plan.to_dict()}


def apply(
    speech: SpeechClient,
    client: MlflowClient,
    name: str,
    target: Target,
    *,
    plan_id: str | None = None,
    recover: bool = True,
    source: Source | None = None,
    options: Options | None = None,
) -> Applied:
    """Bring the service to what the registry says, for one target.

    With ``plan_id`` the world must still be what that plan was made from, else StalePlanError. ``recover`` also looks for what
    a process that died left open, where nothing else is to be done. ``source`` is where a region's
    model is copied from. Raises ClaimHeldError while another process is at it.
    """
    return _Apply(speech, client, name, target, options or Options(), source).run(plan_id, recover)


def remove(
    speech: SpeechClient,
    client: MlflowClient,
    key: str,
    endpoint_id: str,
    *,
    why: str,
    needed: Callable[[], str | None],
    options: Options | None = None,
) -> str | None:
    """Delete an endpoint that nothing names any more, of the target ``key``; None, or why it stays.

    ``needed`` is asked under the target's claim, right before the deletion: it says why the endpoint must stay. The deletion
    is a run, too. Of a process that died in between the endpoint is there, or it is not: it may be repeated.
    """
    options, experiment_id = options or Options(), journal.experiment(client)
    with claimed(client, experiment_id, key, ttl=options.claim_seconds) as claim:
        while not state_of(speech.endpoints.get(endpoint_id)).done:  # the service deletes nothing that it is at work on
            options.pause(1.0, claim.check)
        reason = needed()
        if reason is not None:
            return reason
        run_id = journal.begin_retiring(client, experiment_id, key, endpoint_id, who=options.who, why=options.why or why)
        try:
            claim.check()
            with step("delete"):
                speech.endpoints.delete(endpoint_id)
        except Exception as error:
            _end_retiring(client, run_id, "failed", f"{type(error).__name__}: {error}", options)
            raise
        _end_retiring(client, run_id, "retired", f"deleted endpoint {endpoint_id}: {why}", options)
    return None


def _end_retiring(client: MlflowClient, run_id: str, result: Result, reason: str, options: Options) -> None:
    journal.close_left_over(client, client.get_run(run_id), result, reason)
    _tell(client, client.get_run(run_id), options)


def _tell(client: MlflowClient, run: Run, options: Options) -> None:
    """Tell the event of a run. Before it counts as told it is marked as on its way to the sink, if there is one."""
    event = journal.event_of(run)
    try:
        cloudevents.mark(client, run.info.run_id, event.id)
    except SettingsError as error:  # a promotion does not fail for it; `watch` does not start with it
        log.warning("no event is sent: %s", error)
    notify(event, manager=options.manager, on_event=options.on_event)
    journal.told(client, run.info.run_id)


@dataclass(frozen=True)
class _Ended:
    """How a promotion ended, before that is written down."""

    result: Result
    reason: str
    endpoint: EndpointState | None = None


class _Apply:
    """One go at one target."""

    def __init__(
        self,
        speech: SpeechClient,
        client: MlflowClient,
        name: str,
        target: Target,
        options: Options,
        source: Source | None = None,
    ) -> None:
        self.source = source
        self.speech = speech
        self.client = client
        self.name = name
        self.given = self.target = target
        self.options = options
        self.key = target.key(name)

    def run(self, plan_id: str | None, recover: bool) -> Applied:
        with step("resolve"):
            model, plan = read_plan(self.speech, self.client, self.name, self.target)
        self.target = plan.target
        _not_stale(plan, plan_id)
        if not plan.changes and not recover:
            return self._nothing(plan)
        self.experiment_id = journal.experiment(self.client)
        if not plan.changes and not journal.open_runs(self.client, self.experiment_id, self.key):
            return self._nothing(plan)
        with step("claim"):
            claim = acquire(self.client, self.experiment_id, self.key, ttl=self.options.claim_seconds)
        try:
            self._ensure_uid(model)
            # what was read before the claim may be what another process was about to change
            model, plan = read_plan(self.speech, self.client, self.name, self.given)
            self.target = plan.target
            _not_stale(plan, plan_id)
            left = journal.open_runs(self.client, self.experiment_id, self.key)
            if plan.changes:
                return self._change(model, plan, claim, left)
            self._close(left, plan)
            return self._nothing(plan)
        finally:
            claim.release()

    # --- what may come of it -----------------------------------------------------------------------------------------

    def _nothing(self, plan: Plan) -> Applied:
        endpoint = plan.observed.endpoint
        reason = plan.blocked or plan.steps[0].reason
        result: Literal["unchanged", "blocked"] = "blocked" if plan.blocked else "unchanged"
        return Applied(plan, result, reason, plan.desired.version, endpoint.id if endpoint else None)

    def _change(self, model: Registered, plan: Plan, claim: Claim, left: list[Run]) -> Applied:
        main = next((one for one in plan.steps if one.action in SERVICE_WRITES), None)
        intent = main.action if main else "publish"
        with step("journal"):
            run = Journal.begin(
                self.client, self.experiment_id, plan, intent=intent, who=self.options.who, why=self.options.why
            )
        writer = Writer(self.speech, model, self.target, claim, run, self.options)
        writer.report("journal", f"run {run.run_id}: {intent}")
        try:
            self._close(left, plan, continued_in=run.run_id)
            if main is not None and main.action == "restore":
                ended = self._restore(plan, main, writer)
            else:
                ended = self._deploy(plan, writer, patient=any(_was_creating(one) for one in left))
        except (Stopped, ClaimHeldError):
            raise  # the run stays open: the next process, or the one that took over, closes it
        except Exception as error:
            with suppress(Exception):  # where this fails too, the run stays open and the next process closes it
                self._end(plan, writer, _Ended("failed", f"{type(error).__name__}: {error}"))
            raise
        return self._end(plan, writer, ended)

    def _deploy(self, plan: Plan, writer: Writer, *, patient: bool) -> _Ended:
        version, run = plan.desired.record, writer.run
        assert version is not None
        with run.timed("gates"), step("gates"):
            judged = self._ask_gates(plan, writer)
            recordings = probe.load(self.target.probe) if self.target.probe else []
        if judged.blocked:
            writer.claim.check()
            self._hold(f"refused: {judged.blocked}", plan, writer.model)
            return _Ended("refused", judged.blocked, plan.observed.endpoint)
        if tags.MODEL_ID not in version.tags:
            with run.timed("copy"), step("copy"):
                version = self._copy(writer, version)
        with step("look-up"):
            endpoint = self._look_up(writer.model, plan, patient, writer.claim.check)
        try:
            with run.timed("write"), step("write"):
                endpoint = writer.serve(version, endpoint)
            with run.timed("deploy"), step("wait"):
                endpoint = writer.settle(endpoint.id)
            with step("probe"):
                self._probe(endpoint, version, recordings, writer)
        except (OperationFailedError, probe.ProbeFailed) as error:
            return self._put_back(plan, version, writer, str(error))
        with step("tags"):
            self._publish(version, endpoint, writer)
        return _Ended("served", f"version {version.number} is served by endpoint {endpoint.id}", endpoint)

    def _put_back(self, plan: Plan, version: Version, writer: Writer, reason: str) -> _Ended:
        """Hold the version back and put back on the endpoint what it served before: the published version, or the model as it was
        where that version was deleted or the endpoint is one that is taken over. The hold comes first, so that a process that
        takes over here restores and does not try again."""
        writer.claim.check()
        self._hold(f"failed: {reason}", plan, writer.model)
        before, endpoint = plan.observed, observe(self.speech, writer.model, self.target).endpoint
        if endpoint is None or before.endpoint is None or not (before.published or before.found_by == "declared"):
            return _Ended("failed", f"{reason}; nothing was served before", endpoint)
        previous = writer.model.version(before.published_version) if before.published else None
        with writer.run.timed("put back"):
            if previous is not None and tags.MODEL_ID in previous.tags:
                back = f"version {previous.number} is served again"
                endpoint = writer.serve(previous, endpoint)
            elif before.endpoint.model_id not in {None, version.tags[tags.MODEL_ID]}:
                back = f"model {before.endpoint.model_id} is served again, as before"
                endpoint = writer.reset(endpoint, before.endpoint)
            else:
                return _Ended("failed", f"{reason}; what was served before is not known any more", endpoint)
            endpoint = writer.settle(endpoint.id)
        return _Ended("rolled back", f"{reason}; {back}", endpoint)

    def _restore(self, plan: Plan, main: Step, writer: Writer) -> _Ended:
        published = writer.model.version(plan.observed.published_version)
        assert published is not None
        with writer.run.timed("write"), step("write"):
            endpoint = writer.serve(published, plan.observed.endpoint)
        with writer.run.timed("deploy"), step("wait"):
            endpoint = writer.settle(endpoint.id)
        return _Ended("restored", f"version {published.number} was put back: {main.reason}", endpoint)

    def _end(self, plan: Plan, writer: Writer, ended: _Ended) -> Applied:
        run, endpoint = writer.run, ended.endpoint
        endpoint_id = endpoint.id if endpoint else None
        after = {"result": ended.result, "reason": ended.reason, "endpoint": vars(endpoint) if endpoint else None}
        with step("close"):
            run.close(ended.result, ended.reason, after=after, endpoint_id=endpoint_id)
        with step("notify"):
            _tell(self.client, self.client.get_run(run.run_id), self.options)
        writer.report("done", f"{ended.result}: {ended.reason}")
        return Applied(plan, ended.result, ended.reason, plan.desired.version, endpoint_id, run.run_id, dict(run.seconds))

    # --- steps -------------------------------------------------------------------------------------------------------

    def _ask_gates(self, plan: Plan, writer: Writer) -> Plan:
        candidate = read_candidate(
            self.speech, self.client, writer.model, plan.desired, plan.observed, self.target, self.source
        )
        decisions = gates.evaluate(candidate, manager=self.options.manager, keep=writer.keep)
        override = candidate.version.tags.get(OVERRIDE)
        writer.run.record_gates(
            decisions,
            {
                "tests": [one.to_dict() for one in candidate.evidence],
                "champion": candidate.champion.number if candidate.champion else None,
                "champion_tests": [one.to_dict() for one in candidate.champion_evidence],
                "override": override,
            },
        )
        for one in decisions:
            writer.report("gates", f"{one.gate}: {'passed' if one.passed else 'NO'}: {one.reason}")
        return with_decisions(writer.model, plan, () if override else decisions)

    def _look_up(self, model: Registered, plan: Plan, patient: bool, keep: Callable[[], None]) -> EndpointState | None:
        """The endpoint as it is now. Where a process that died was creating it, it is looked for until a list must show it."""
        for seconds in self.options.look_after if patient and plan.observed.endpoint is None else (0.0,):
            self.options.pause(seconds, keep)
            found = observe(self.speech, model, self.target).endpoint
            if found is not None:
                return found
        return None

    def _copy(self, writer: Writer, version: Version) -> Version:
        """The version with its model in this resource."""
        if self.source is None:
            raise PromotionError(f"version {version.number} has no model in the resource {self.speech.resource}")
        writer.report("copy", f"model {copies.trained_as(version)} to {self.target.region}")
        return copies.ensure(
            self.source,
            self.speech,
            self.client,
            writer.model,
            version,
            self.target,
            keep=writer.claim.check,
            options=self.options,
        )

    def _probe(self, endpoint: EndpointState, version: Version, recordings: list[tuple[str, bytes]], writer: Writer) -> None:
        if self.target.probe is None:
            return
        language = endpoint.locale or version.tags.get(tags.LOCALE) or "en-US"
        try:
            with writer.run.timed("probe"):
                result = probe.run(
                    self.speech,
                    endpoint.id,
                    recordings,
                    self.target.probe,
                    language=language,
                    progress=self.options.progress,
                    keep=writer.keep,
                )
        except probe.ProbeFailed as error:
            writer.run.measure(error.result)
            raise
        except ApiError as error:
            if error.retryable:
                raise
            raise probe.ProbeFailed(f"the endpoint refused a recording of the probe: {error}") from error
        writer.run.measure(result)

    def _publish(self, version: Version, endpoint: EndpointState, writer: Writer) -> None:
        """Note in the registry what is served. The tag that plans go by is written last."""
        writer.claim.check()
        here = self.target.tag(tags.ENDPOINT_ID)
        registry.set_tags(self.client, self.name, {here: endpoint.id})
        for other in writer.model.versions:
            if other.number != version.number and here in other.tags:
                registry.delete_tag(self.client, self.name, here, version=other.number)
        hold = self.target.tag(tags.HOLD)
        if hold in version.tags:
            registry.delete_tag(self.client, self.name, hold, version=version.number)
        noted = {here: endpoint.id, PROMOTION_RUN_ID: writer.run.run_id}
        registry.set_tags(self.client, self.name, noted, version=version.number)
        registry.set_tags(self.client, self.name, {self.target.tag(tags.SERVED_VERSION): version.number})

    # --- small things ------------------------------------------------------------------------------------------------

    def _ensure_uid(self, model: Registered) -> None:
        """Only the holder of the claim writes it, so that there is one. ``model`` was read before the claim was taken."""
        if tags.UID not in model.tags and tags.UID not in self.client.get_registered_model(self.name).tags:
            registry.set_tags(self.client, self.name, {tags.UID: uuid.uuid4().hex})

    def _hold(self, reason: str, plan: Plan, model: Registered) -> None:
        version = plan.desired.record
        assert version is not None
        text = hold_text(reason, version, model, self.target, plan.observed)
        registry.set_tags(self.client, self.name, {self.target.tag(tags.HOLD): text}, version=version.number)

    def _close(self, left: list[Run], plan: Plan, continued_in: str | None = None) -> None:
        """Close what a process that died left open, and tell its event."""
        for run in left:
            done = not plan.changes and run.data.tags.get(tags.MODEL_VERSION) == plan.observed.published_version
            if done and run.data.tags.get(journal.INTENT) not in {"restore", "retire"}:
                journal.close_left_over(self.client, run, "served", "finished by another process after this one died")
            else:
                reason = f"the process died; run {continued_in} went on" if continued_in else "the process died"
                journal.close_left_over(self.client, run, "interrupted", reason)
            _tell(self.client, self.client.get_run(run.info.run_id), self.options)


def _not_stale(plan: Plan, plan_id: str | None) -> None:
    if plan_id is not None and plan.id != plan_id:
        raise StalePlanError(
            f"plan {plan_id} is out of date: registry or service changed since",
            hint=f"look at the new one (`speech-mlflow plan {plan.name}`)",
        )


def _was_creating(run: Run) -> bool:
    return run.data.tags.get(journal.INTENT) == "create" and run.data.tags.get(tags.RESULT) is None
