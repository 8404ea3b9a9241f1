"""Planning: a function from records to steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from speech_mlflow.promotion.decisions import Decision
from speech_mlflow.promotion.desired import desired_of
from speech_mlflow.promotion.observed import EndpointState, Observed, observed_of
from speech_mlflow.promotion.plan import Plan, hold_text, plan
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target

UID, RESOURCE = "u" * 32, "resource"
NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)


def version(number: str, stage: str = "None", **tags: str) -> Version:
    named = {"speech.model_id": f"model-{number}", "speech.resource": RESOURCE, "speech.locale": "en-US"}
    return Version(number, stage, 1, {**named, **{key.replace("__", "."): value for key, value in tags.items()}})


def endpoint(id: str = "e1", model: str = "model-1", **changes: Any) -> EndpointState:
    marks = {"managed-by": "speech-mlflow", "speech-uid": UID}
    state = EndpointState(id, model, "Succeeded", "speech-mlflow/clinic/default", "en-US", NOW, marks)
    return replace(state, **changes)


def planned(
    *versions: Version,
    endpoints: tuple[EndpointState, ...] = (),
    tags: dict[str, str] | None = None,
    target: Target | None = None,
    decisions: tuple[Decision, ...] = (),
    resource: str = RESOURCE,
) -> Plan:
    model = Registered("clinic", 1, {}, {"speech.uid": UID, **(tags or {})}, versions)
    target = target or Target()
    observed = observed_of(endpoints, model, target, resource=resource)
    return plan(desired_of(model, target.trigger), observed, model=model, target=target, decisions=decisions)


def actions(made: Plan) -> list[str]:
    return [step.action for step in made.steps]


SERVED = {"speech.endpoint_id": "e1", "speech.served_version": "1"}


def test_nothing_yet_is_created() -> None:
    made = planned(version("1", "Production"))
    assert actions(made) == ["create", "publish"]
    assert made.steps[0].model_id == "model-1"


def test_a_declared_probe_is_part_of_the_plan() -> None:
    target = Target.declared({"probe": {"recordings": [{"audio": "a.wav", "text": "a"}]}})
    assert actions(planned(version("1", "Production"), target=target)) == ["create", "probe", "publish"]


def test_what_is_served_and_published_is_kept() -> None:
    made = planned(version("1", "Production", speech__endpoint_id="e1"), endpoints=(endpoint(),), tags=SERVED)
    assert (actions(made), made.changes) == (["keep"], False)


def test_another_version_is_an_update_in_place() -> None:
    made = planned(version("1"), version("2", "Production"), endpoints=(endpoint(),), tags=SERVED)
    assert actions(made) == ["update", "publish"]
    assert (made.steps[0].endpoint_id, made.steps[0].model_id) == ("e1", "model-2")


def test_an_update_waits_for_an_endpoint_at_work() -> None:
    made = planned(version("1"), version("2", "Production"), endpoints=(endpoint(status="Running"),), tags=SERVED)
    assert actions(made) == ["wait", "update", "publish"]


@pytest.mark.parametrize("status", ["NotStarted", "Running"])
def test_a_deployment_that_somebody_began_is_waited_for(status: str) -> None:
    made = planned(version("1", "Production"), endpoints=(endpoint(status=status),))
    assert actions(made) == ["wait", "publish"]


def test_served_but_not_published_is_published() -> None:
    assert actions(planned(version("1", "Production"), endpoints=(endpoint(),))) == ["publish"]
    half = {"speech.endpoint_id": "e1", "speech.served_version": "1"}  # the version's own tag is missing
    assert actions(planned(version("1", "Production"), endpoints=(endpoint(),), tags=half)) == ["publish"]


def test_a_failed_endpoint_is_deployed_again() -> None:
    made = planned(
        version("1", "Production", speech__endpoint_id="e1"), endpoints=(endpoint(status="Failed", error="no"),), tags=SERVED
    )
    assert actions(made) == ["update", "publish"]
    assert "failed: no" in made.steps[0].reason


def test_nothing_desired_keeps_what_is_served() -> None:
    made = planned(version("1"), endpoints=(endpoint(),), tags=SERVED)
    assert (actions(made), made.changes) == (["keep"], False)


def test_a_lost_endpoint_is_made_again_and_said_to_be_another() -> None:
    made = planned(version("1", "Production"), tags=SERVED)
    assert actions(made) == ["create", "publish"]
    assert "another id" in made.steps[0].reason


def test_healing_off_only_reports() -> None:
    target = Target(heal=False)
    lost = planned(version("1", "Production"), tags=SERVED, target=target)
    changed = planned(version("1", "Production"), endpoints=(endpoint(model="other"),), tags=SERVED, target=target)
    for made in (lost, changed):
        assert (actions(made), made.changes) == (["report"], False)
    promoted = planned(version("1"), version("2", "Production"), endpoints=(endpoint(),), tags=SERVED, target=target)
    assert actions(promoted) == ["update", "publish"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"speech__model_id": ""}, "no model"),
        ({"speech__resource": "elsewhere"}, "elsewhere"),
        ({"speech__hold": "broken"}, "held back"),
        ({"speech__locale": "de-DE"}, "de-DE"),
    ],
)
def test_what_cannot_be_served_is_blocked_with_its_reason(wrong: dict[str, str], words: str) -> None:
    made = planned(version("1"), version("2", "Production", **wrong), endpoints=(endpoint(),), tags=SERVED)
    assert (actions(made), made.changes) == (["blocked"], False)
    assert words in str(made.blocked)


def test_a_gate_that_said_no_blocks() -> None:
    no = Decision("mine", False, "not on a Friday")
    made = planned(version("1", "Production"), decisions=(no, Decision("other", True, "fine")))
    assert (actions(made), made.blocked) == (["blocked"], "gate mine: not on a Friday")


def test_a_held_version_that_is_on_the_endpoint_gives_way_to_the_published_one() -> None:
    """What a process leaves that died between holding a version back and putting the old one back."""
    held = version("2", "Production", speech__hold="failed its probe")
    made = planned(version("1"), held, endpoints=(endpoint(model="model-2"),), tags=SERVED)
    assert actions(made) == ["blocked", "restore"]
    assert made.steps[1].model_id == "model-1"


def test_a_hold_lasts_until_its_evidence_changes() -> None:
    model = Registered("clinic", 1, {}, {"speech.uid": UID}, (version("1"), version("2", "Production")))
    target, observed = Target(), Observed(RESOURCE)
    text = hold_text("refused: worse", model.versions[1], model, target, observed)
    assert planned(version("2", "Production", speech__hold=text)).blocked
    tested_again = version("2", "Production", speech__hold=text, speech__test_run_id="another")
    assert not planned(tested_again).blocked
    assert not planned(version("2", "Production", speech__hold=text), target=Target(margin=0.1)).blocked
    assert planned(version("2", "Production", speech__hold="by hand", speech__test_run_id="another")).blocked


def test_of_several_with_our_mark_the_oldest_is_taken_and_the_others_reported() -> None:
    older, younger = endpoint("z", created=NOW), endpoint("a", created=NOW + timedelta(seconds=5))
    made = planned(version("1", "Production"), endpoints=(younger, older))
    assert made.observed.endpoint == older
    assert actions(made) == ["publish", "report"]
    assert made.steps[1].endpoint_id == "a"


def test_the_published_one_is_taken_even_where_an_older_one_is_there() -> None:
    older, published = endpoint("e0", created=NOW), endpoint("e1", created=NOW + timedelta(seconds=5))
    made = planned(version("1", "Production", speech__endpoint_id="e1"), endpoints=(older, published), tags=SERVED)
    assert made.observed.endpoint == published
    assert actions(made) == ["keep", "report"]


@pytest.mark.parametrize(
    ("marks", "reported"),
    [({}, True), ({"speech-uid": UID}, True), ({"managed-by": "speech-mlflow", "speech-uid": "another registry"}, False)],
)
def test_an_endpoint_of_the_same_name_without_our_mark_is_foreign(marks: dict[str, str], reported: bool) -> None:
    made = planned(version("1", "Production"), endpoints=(endpoint(properties=marks),))
    assert made.observed.endpoint is None
    assert actions(made) == ["create", "publish", *(["report"] if reported else [])]


def test_a_tag_that_names_a_foreign_endpoint_does_not_make_it_ours() -> None:
    foreign = endpoint("theirs", properties={}, display_name="prod")
    made = planned(version("1", "Production"), endpoints=(foreign,), tags={"speech.endpoint_id": "theirs"})
    assert made.observed.endpoint is None
    assert [one.id for one in made.observed.foreign] == ["theirs"]


def test_a_declared_endpoint_is_taken_over_or_missed() -> None:
    theirs = endpoint("theirs", properties={}, display_name="prod")
    target = Target(endpoint_id="theirs")
    assert actions(planned(version("1", "Production"), endpoints=(theirs,), target=target)) == ["publish"]
    assert "does not exist" in str(planned(version("1", "Production"), target=target).blocked)


def test_the_id_changes_with_the_world_and_not_with_time() -> None:
    first = planned(version("1", "Production"))
    assert planned(version("1", "Production")).id == first.id
    assert planned(version("1", "Production", speech__test_run_id="r")).id != first.id
    assert planned(version("1", "Production"), endpoints=(endpoint(),)).id != first.id
    assert planned(version("1", "Production"), target=Target(heal=False)).id != first.id
    with_decisions = planned(version("1", "Production"), decisions=(Decision("g", True, "yes"),))
    assert with_decisions.id == first.id


def test_the_text_and_the_document_tell_the_same() -> None:
    made = planned(version("1"), version("2", "Production"), endpoints=(endpoint(),), tags=SERVED)
    text, document = made.render(), made.to_dict()
    assert made.id in text
    assert "version 2" in text
    assert document["steps"][0]["reason"] in text
    assert document["changes"] is True


def test_targets_do_not_share_an_endpoint() -> None:
    west = Target(name="west")
    made = planned(version("1", "Production"), endpoints=(endpoint(),), target=west)
    assert made.observed.endpoint is None
    named = endpoint("e2", display_name="speech-mlflow/clinic/west")
    assert planned(version("1", "Production"), endpoints=(endpoint(), named), target=west).observed.endpoint == named


def test_ten_thousand_models_are_planned_from_records_alone() -> None:
    made = planned(version("1"), version("2", "Production"), endpoints=(endpoint(),), tags=SERVED)
    assert all(plan(made.desired, made.observed, model=Registered("clinic"), target=made.target).changes for _ in range(10_000))
