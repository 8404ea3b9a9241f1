"""What people and programs ask of promotion: plan, apply, promote, roll back, look back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import ClaimHeldError, GateError, PromotionError
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.promotion import gates, journal, registry
from speech_mlflow.promotion.apply import Applied, apply
from speech_mlflow.promotion.claim import TARGET
from speech_mlflow.promotion.desired import Desired, named_by
from speech_mlflow.promotion.observed import observe
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.plan import Plan, plan
from speech_mlflow.promotion.reading import OVERRIDE, read_candidate, read_plan, with_decisions
from speech_mlflow.promotion.records import PRODUCTION, Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags, values
from speech_mlflow.tracking.refusal import explained

if TYPE_CHECKING:
    import pluggy
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.settings import Settings

CLAIM_PATIENCE = 3600.0
"""Seconds that :func:`promote` waits for another process at the same target; a deployment takes up to half an hour."""


def target_of(settings: Settings, name: str) -> Target:
    """The target that the settings declare for a registered model. Tags of the registered model may say more of it
    (:meth:`~.target.Target.with_tags`); they are read with the model."""
    declared = dict(settings.targets.get(name, {}))
    if settings.origin("trigger") != "default":
        declared = {"trigger": settings.trigger, **declared}
    return Target.declared(declared, where=f"targets.{name}")


@explained
def plan_for(
    speech: SpeechClient,
    client: MlflowClient,
    name: str,
    target: Target | None = None,
    *,
    ask_gates: bool = True,
) -> Plan:
    """What would be done now for a registered model; nothing is written. ``ask_gates`` also asks the gates, where something
    would be deployed."""
    model, made = read_plan(speech, client, name, target or Target())
    if ask_gates and made.changes and not made.blocked:
        made = _judged(speech, client, model, made)
    return made


@explained
def apply_plan(
    speech: SpeechClient,
    client: MlflowClient,
    made: Plan | Mapping[str, Any],
    target: Target,
    *,
    options: Options | None = None,
) -> Applied:
    """Carry out a plan, or one read back from a file; StalePlanError where the world is another by now."""
    if isinstance(made, Plan):
        name, plan_id = made.name, made.id
    else:
        try:
            name, plan_id, of = str(made["registered_model"]), str(made["id"]), made["target"]
        except KeyError as error:
            raise PromotionError(f"this is no plan: it has no {error}", hint="write one with `plan --json`") from None
        if of != target.name:
            raise PromotionError(f"the plan is for the target {of!r}, not for {target.name!r}")
    return _patiently(speech, client, name, target, options or Options(), plan_id=plan_id)


@explained
def promote(
    speech: SpeechClient,
    client: MlflowClient,
    name: str,
    version: str,
    target: Target | None = None,
    *,
    override: str | None = None,
    options: Options | None = None,
) -> Applied:
    """Ask the gates, move a version to Production (archiving the others) or set the alias or the tag, and deploy it.

    ``override`` is a reason to serve the version against what gates say; it is recorded on the version and in the run. Raises
    GateError where a gate says no, with nothing changed, and PromotionError where the version cannot be served at all.
    """
    options, model = options or Options(), registry.read(client, name)
    given, target = target or Target(), (target or Target()).with_tags(model.tags)
    record = _version(model, version)
    if override is not None:
        registry.set_tags(client, name, {OVERRIDE: f"{override} (by {options.who})"}, version=version)
        for key in record.tags:  # of every target: an override is for all of them
            if key == tags.HOLD or key.startswith(f"{tags.HOLD}."):
                registry.delete_tag(client, name, key, version=version)
        model = registry.read(client, name)
        record = _version(model, version)
    made = _if_promoted(speech, model, record, target)
    if made.changes and not made.blocked:
        made = _judged(speech, client, model, made, options.manager)
    if made.blocked:
        raise GateError(
            f"version {version} of {name} is not promoted: {made.blocked}",
            decisions=made.decisions,
            hint='mend it, or promote with --override "REASON"; the reason is recorded',
        )
    _mark(client, model, record, target)
    return _patiently(speech, client, name, given, replace(options, why=options.why or f"promote {name}/{version}"))


def judge(
    speech: SpeechClient,
    client: MlflowClient,
    name: str,
    version: str,
    target: Target | None = None,
) -> Plan:
    """The plan that there would be if ``version`` were to be served, with what the gates say of it; nothing is written.

    ``blocked`` of it says why the version must not be served. Gates are asked of a version that is served, too.
    """
    model = registry.read(client, name)
    made = _if_promoted(speech, model, _version(model, version), (target or Target()).with_tags(model.tags))
    return _judged(speech, client, model, made)


@explained
def rollback(
    speech: SpeechClient, client: MlflowClient, name: str, target: Target | None = None, *, options: Options | None = None
) -> Applied:
    """Serve again what was served before the present version."""
    target = target or Target()
    model = registry.read(client, name)
    now = observe(speech, model, target.with_tags(model.tags)).published_version
    before = [one.version for one in history(client, name) if one.result == "served" and one.target == target.name]
    previous = next((number for number in before if number and number != now and model.version(number)), None)
    if previous is None:
        raise PromotionError(f"{name} has no version that was served before {now or 'now'}")
    options = options or Options()
    why = options.why or f"roll back from version {now} to version {previous}"
    return promote(speech, client, name, previous, target, options=replace(options, why=why))


@dataclass(frozen=True)
class Past:
    """One promotion of the past. ``seconds`` is how long it took, None while it runs."""

    run_id: str
    started: datetime
    seconds: float | None
    version: str | None
    previous_version: str | None
    target: str
    result: str
    reason: str
    who: str
    why: str
    endpoint_id: str | None

    def to_dict(self) -> dict[str, Any]:
        """The promotion as JSON."""
        return {**vars(self), "started": self.started.isoformat()}


def history(client: MlflowClient, name: str) -> list[Past]:
    """The promotions of a registered model, newest first."""
    quoted = values.literal(name)
    where = f"tags.`{tags.KIND}` = '{tags.KIND_PROMOTION}'"
    if quoted:
        where += f" and tags.`{tags.REGISTERED_MODEL}` = {quoted}"
    found = registry.search_runs(client, journal.experiment(client), where)
    past = [_past(run) for run in found if run.data.tags.get(tags.REGISTERED_MODEL) == name]
    return sorted(past, key=lambda one: one.started, reverse=True)


def _past(run: Run) -> Past:
    noted, params = run.data.tags, run.data.params
    ended = run.info.end_time
    return Past(
        run_id=run.info.run_id,
        started=datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc),
        seconds=(ended - run.info.start_time) / 1000 if ended else None,
        version=noted.get(tags.MODEL_VERSION),
        previous_version=params.get("previous_version"),
        target=noted.get(TARGET, "").rpartition("/")[2],
        result=noted.get(tags.RESULT, "at work" if run.info.status == "RUNNING" else "unknown"),
        reason=noted.get(tags.REASON, ""),
        who=params.get("who", ""),
        why=params.get("why", ""),
        endpoint_id=noted.get(tags.ENDPOINT_ID),
    )


def _judged(
    speech: SpeechClient, client: MlflowClient, model: Registered, made: Plan, manager: pluggy.PluginManager | None = None
) -> Plan:
    """The plan with what the gates say; what they say does not bind where the version carries an override."""
    if made.desired.record is None or OVERRIDE in made.desired.record.tags:
        return made
    candidate = read_candidate(speech, client, model, made.desired, made.observed, made.target)
    return with_decisions(model, made, gates.evaluate(candidate, manager=manager))


def _if_promoted(speech: SpeechClient, model: Registered, record: Version, target: Target) -> Plan:
    """The plan, were the version to be served."""
    wanted = Desired(model.name, record.number, "served", f"version {record.number} is to be promoted", record)
    return plan(wanted, observe(speech, model, target), model=model, target=target)


def _mark(client: MlflowClient, model: Registered, record: Version, target: Target) -> None:
    """Make the registry say that the version is to be served, if it does not say so and nothing else."""
    if target.trigger != "stage":
        if named_by(model, target.trigger) != record.number:
            registry.name_version(client, model.name, target.trigger, record.number)
    elif [one.number for one in model.versions if one.stage == PRODUCTION] != [record.number]:
        registry.move_to_production(client, model.name, record.number)


def _patiently(
    speech: SpeechClient, client: MlflowClient, name: str, target: Target, options: Options, *, plan_id: str | None = None
) -> Applied:
    """Apply; while another process is at the same target, wait for it."""
    deadline = time.monotonic() + CLAIM_PATIENCE
    while True:
        try:
            return apply(speech, client, name, target, plan_id=plan_id, options=options)
        except ClaimHeldError as error:
            if time.monotonic() > deadline:
                raise
            options.progress(ProgressEvent(f"{target.key(name)}: claim", 0.0, detail=str(error)))
            options.pause(0.5)


def _version(model: Registered, number: str) -> Version:
    found = model.version(number)
    if found is None:
        there = ", ".join(sorted((one.number for one in model.versions), key=int)) or "none"
        raise PromotionError(f"{model.name} has no version {number}", hint=f"versions: {there}")
    return found
