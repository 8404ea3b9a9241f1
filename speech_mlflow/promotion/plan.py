"""What has to be done so that the service serves what the registry says: a function from records to steps.

Nothing here reads or writes anything. A plan's id is a digest of the desired and the observed state: a plan whose id no longer
comes out of the world is stale.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from speech_mlflow.promotion.copies import SOURCE_MODEL_ID, trained_as
from speech_mlflow.promotion.decisions import Decision
from speech_mlflow.promotion.desired import Desired
from speech_mlflow.promotion.observed import EndpointState, Observed
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Rules, Target
from speech_mlflow.tracking import tags

Action = Literal["copy", "create", "update", "restore", "wait", "probe", "publish", "keep", "blocked", "report"]
CHANGES = frozenset({"copy", "create", "update", "restore", "wait", "probe", "publish"})
SERVICE_WRITES = frozenset({"create", "update", "restore"})

APPROVED_BY = "speech.approved_by"
"""Version tag: who approved the version."""
_EVIDENCE = re.compile(r"\[evidence ([0-9a-f]{12})\]\s*$")


@dataclass(frozen=True)
class Step:
    """One thing to do (or not to do), and why. ``model_id`` is what the endpoint is to serve after it."""

    action: Action
    reason: str
    endpoint_id: str | None = None
    model_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Plan:
    """What is desired, what is observed, and the steps from one to the other."""

    name: str
    target: Target
    desired: Desired
    observed: Observed
    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...] = ()

    @property
    def id(self) -> str:
        """Digest of the desired and the observed state: 16 hexadecimal digits."""
        return digest(_identity(self.target, self.desired, self.observed), 16)

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return any(step.action in CHANGES for step in self.steps)

    @property
    def writes(self) -> bool:
        """Whether an endpoint is to be created or changed."""
        return any(step.action in SERVICE_WRITES for step in self.steps)

    @property
    def blocked(self) -> str | None:
        """Why the desired version is not to be served; None where nothing stands against it."""
        reasons = [step.reason for step in self.steps if step.action == "blocked"]
        return "; ".join(reasons) or None

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON: what ``plan --json`` prints and ``apply --plan FILE`` reads back."""
        return {
            "id": self.id,
            "registered_model": self.name,
            "target": self.target.name,
            "changes": self.changes,
            "desired": {
                "version": self.desired.version,
                "state": self.desired.state,
                "reason": self.desired.reason,
                "notes": list(self.desired.notes),
            },
            "observed": _observed(self.observed),
            "steps": [step.to_dict() for step in self.steps],
            "gates": [decision.to_dict() for decision in self.decisions],
        }

    def render(self) -> str:
        """The plan for people, a few lines of text."""
        endpoint = self.observed.endpoint
        serving = (
            "nothing" if endpoint is None else f"endpoint {endpoint.id} with {_model(endpoint.model_id)}, {endpoint.status}"
        )
        lines = [
            f"Plan {self.id} for {self.target.key(self.name)}",
            f"  desired   {'version ' + self.desired.version if self.desired.version else 'nothing'} ({self.desired.reason})",
            f"  observed  {serving}",
        ]
        lines += [f"  note      {note}" for note in self.desired.notes]
        lines += [f"  gate      {'passed' if one.passed else 'NO'}: {one.gate}: {one.reason}" for one in self.decisions]
        lines += [f"  {_SIGNS.get(step.action, ' ')} {step.action:<8}{step.reason}" for step in self.steps]
        return "\n".join(lines)


_SIGNS = {"copy": "+", "create": "+", "update": "~", "restore": "~", "blocked": "!", "report": "?", "keep": "="}


def plan(
    desired: Desired, observed: Observed, *, model: Registered, target: Target, decisions: Sequence[Decision] = ()
) -> Plan:
    """Compare what is desired with what is observed. ``decisions`` are what the gates said of the desired version, if asked."""
    steps = _main_steps(desired, observed, model, target, decisions) + _reports(observed)
    return Plan(model.name, target, desired, observed, tuple(steps), tuple(decisions))


def hold_of(version: Version, model: Registered, target: Target, observed: Observed) -> str | None:
    """Why a version is held back; None where it is not, or where its evidence changed since."""
    hold = version.tags.get(target.tag(tags.HOLD))
    if not hold:
        return None
    noted = _EVIDENCE.search(hold)
    if noted and noted.group(1) != evidence_key(version, model, target, observed):
        return None
    return hold


def hold_text(reason: str, version: Version, model: Registered, target: Target, observed: Observed) -> str:
    """The value of the hold tag: the reason, and a key of the evidence on which it rests."""
    return f"{reason} [evidence {evidence_key(version, model, target, observed)}]"


def evidence_key(version: Version, model: Registered, target: Target, observed: Observed) -> str:
    """Digest of all on which a refusal rests: tests and approval of the version, what it was compared with, the rules."""
    champion = model.version(observed.published_version)
    tests = [one.tags.get(tags.TEST_RUN_ID) if one else None for one in (version, champion)]
    rules = target.model_dump(mode="json", include={*Rules.model_fields, "probe"})
    return digest([tests, version.tags.get(APPROVED_BY), champion.number if champion else None, rules], 12)


def digest(value: Any, length: int) -> str:
    """The first hexadecimal digits of the SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _main_steps(
    desired: Desired, observed: Observed, model: Registered, target: Target, decisions: Sequence[Decision]
) -> list[Step]:
    version, endpoint = desired.record, observed.endpoint
    if desired.state != "served" or version is None:
        return [Step("keep", f"{desired.reason}: what is served stays", endpoint.id if endpoint else None)]
    obstacles = _obstacles(version, observed, model, target, decisions)
    if obstacles:
        return [Step("blocked", reason) for reason in obstacles] + _restore(version, observed, model, target)
    steps = _deploy(version, observed, target)
    if steps is None:
        assert endpoint is not None
        return [Step("keep", f"endpoint {endpoint.id} serves version {version.number}", endpoint.id, endpoint.model_id)]
    return steps


def _obstacles(
    version: Version, observed: Observed, model: Registered, target: Target, decisions: Sequence[Decision]
) -> list[str]:
    found = []
    who = f"version {version.number}"
    if not trained_as(version):
        found.append(f"{who} names no model of the speech service: it has no tag {tags.MODEL_ID}")
    home = version.tags.get(tags.RESOURCE)
    if home and observed.resource and home != observed.resource:
        found.append(f"the model of {who} is in the speech resource {home}, and this is {observed.resource}")
    hold = hold_of(version, model, target, observed)
    if hold:
        found.append(f"{who} is held back: {hold}")
    if observed.unmarked and observed.endpoint is None:
        found.append(
            f"endpoint {observed.published_endpoint}, which serves version {observed.published_version}, does not carry our mark "
            "any more, and another one would have another id: declare it as endpoint_id to go on with it"
        )
    if target.endpoint_id is not None and observed.endpoint is None:
        found.append(f"the declared endpoint {target.endpoint_id} does not exist")
    locale = version.tags.get(tags.LOCALE)
    if observed.endpoint and observed.endpoint.locale and locale and locale != observed.endpoint.locale:
        found.append(f"{who} is a model for {locale}, and endpoint {observed.endpoint.id} is for {observed.endpoint.locale}")
    found += [f"gate {one.gate}: {one.reason}" for one in decisions if not one.passed]
    return found


def _restore(version: Version, observed: Observed, model: Registered, target: Target) -> list[Step]:
    """The published version is put back where the endpoint serves another model: the refused one, or one set by hand."""
    endpoint, published = observed.endpoint, model.version(observed.published_version)
    if endpoint is None or published is None or not observed.published:
        return []
    wanted = published.tags.get(tags.MODEL_ID)
    if wanted is None or (endpoint.model_id == wanted and endpoint.status != "Failed"):
        return []
    if not target.heal and endpoint.model_id != version.tags.get(tags.MODEL_ID):
        return []
    reason = f"endpoint {endpoint.id} has {_model(endpoint.model_id)}, and version {published.number} was published last"
    return [Step("restore", reason, endpoint.id, wanted)]


def _deploy(version: Version, observed: Observed, target: Target) -> list[Step] | None:
    """The steps that make the endpoint serve ``version``; None where it does."""
    endpoint, model_id = observed.endpoint, version.tags.get(tags.MODEL_ID)
    after = [] if target.probe is None else [Step("probe", _probe_reason(target), endpoint.id if endpoint else None, model_id)]
    after.append(Step("publish", f"note in the registry that version {version.number} is served"))
    drift = observed.published_version == version.number and (observed.lost is not None or observed.published)
    if model_id is None:  # a region that has no copy of the model yet
        copied = trained_as(version)
        steps = [Step("copy", f"copy model {copied} of version {version.number} to {target.region}", model_id=copied)]
        if endpoint is None:
            return [*steps, Step("create", "there is no endpoint yet"), *after]
        return [*steps, Step("update", _what_differs(endpoint, version), endpoint.id), *after]
    if endpoint is None:
        if drift and not target.heal:
            return [Step("report", f"endpoint {observed.lost} is gone, and healing is off")]
        reason = "there is no endpoint yet"
        if observed.lost:
            reason = f"endpoint {observed.lost} is gone: a new one has another id, which clients must be told"
        return [Step("create", reason, model_id=model_id), *after]
    if endpoint.model_id == model_id and endpoint.status != "Failed":
        return _finish(version, endpoint, observed, target, after)
    if drift and not target.heal:
        return [Step("report", f"{_what_differs(endpoint, version)}, and healing is off", endpoint.id)]
    steps = [] if endpoint.done else [Step("wait", f"endpoint {endpoint.id} is being changed", endpoint.id)]
    return [*steps, Step("update", _what_differs(endpoint, version), endpoint.id, model_id), *after]


def _finish(
    version: Version, endpoint: EndpointState, observed: Observed, target: Target, after: list[Step]
) -> list[Step] | None:
    steps = [] if endpoint.done else [Step("wait", f"endpoint {endpoint.id} is being deployed", endpoint.id, endpoint.model_id)]
    if not observed.published or observed.published_version != version.number:
        return [*steps, *after]
    if version.tags.get(target.tag(tags.ENDPOINT_ID)) != endpoint.id:
        return [*steps, after[-1]]
    return steps or None


def _reports(observed: Observed) -> list[Step]:
    steps = [
        Step("report", f"endpoint {one.id} is a duplicate with our mark; `retire --prune` deletes it", one.id)
        for one in observed.duplicates
    ]
    return steps + [
        Step("report", f"endpoint {one.id} has the name of this target and not our mark; it is left alone", one.id)
        for one in observed.foreign
    ]


def _what_differs(endpoint: EndpointState, version: Version) -> str:
    wanted = version.tags.get(tags.MODEL_ID)
    if endpoint.model_id == wanted:
        return f"endpoint {endpoint.id} failed{': ' + endpoint.error if endpoint.error else ''}"
    return f"endpoint {endpoint.id} has {_model(endpoint.model_id)}, version {version.number} is {_model(wanted)}"


def _probe_reason(target: Target) -> str:
    assert target.probe is not None
    count = len(target.probe.recordings)
    return f"transcribe {count} known recording{'s' if count != 1 else ''}, WER at most {target.probe.max_wer:.1%}"


def _model(model_id: str | None) -> str:
    return f"model {model_id}" if model_id else "no model"


def _identity(target: Target, desired: Desired, observed: Observed) -> Any:
    version = desired.record
    relevant = (
        tags.MODEL_ID,
        SOURCE_MODEL_ID,
        tags.RESOURCE,
        tags.LOCALE,
        target.tag(tags.HOLD),
        target.tag(tags.ENDPOINT_ID),
        tags.TEST_RUN_ID,
        APPROVED_BY,
    )
    return [
        target.model_dump(mode="json"),
        [desired.name, desired.version, desired.state],
        {key: version.tags.get(key) for key in relevant} if version else None,
        _observed(observed),
    ]


def _observed(observed: Observed) -> dict[str, Any]:
    endpoint = observed.endpoint
    return {
        "resource": observed.resource,
        "endpoint_id": endpoint.id if endpoint else None,
        "model_id": endpoint.model_id if endpoint else None,
        "status": endpoint.status if endpoint else None,
        "found_by": observed.found_by,
        "duplicates": [one.id for one in observed.duplicates],
        "foreign": [one.id for one in observed.foreign],
        "lost": observed.lost,
        "published_endpoint": observed.published_endpoint,
        "published_version": observed.published_version,
    }
