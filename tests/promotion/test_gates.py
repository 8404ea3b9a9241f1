"""Gates: what each built-in one asks, and how a gate that misbehaves counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from speech_mlflow import hookimpl
from speech_mlflow.errors import PluginError
from speech_mlflow.plugins import create_manager
from speech_mlflow.promotion.decisions import Candidate, Decision
from speech_mlflow.promotion.evidence import TestEvidence
from speech_mlflow.promotion.gates import DAY, builtin_gates, evaluate
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.scoring import score

WORDS = "one two three four five"
SENTENCES = 40


def a_test_with(errors: int, *, content: str = "c", dataset: str = "clinic-test", **more: Any) -> TestEvidence:
    """A test of 40 sentences of five words; the first ``errors`` of them have a word wrong."""
    heard = ["wrong" + WORDS[3:] if number < errors else WORDS for number in range(SENTENCES)]
    found = score([WORDS] * SENTENCES, heard)
    given = {"wer": found.wer, "words": 5 * SENTENCES, **more}
    return TestEvidence(f"run-{errors}", dataset, f"{content}-1", content, load=lambda: found, **given)


def candidate(
    target: Target | None = None,
    *,
    tests: Iterable[TestEvidence] = (),
    champion: Iterable[TestEvidence] | None = None,
    tags: dict[str, str] | None = None,
    **more: Any,
) -> Candidate:
    version = Version("2", "Production", 1, tags or {})
    return Candidate(
        Registered("clinic"),
        version,
        target or Target(),
        champion=Version("1") if champion is not None else None,
        evidence=tuple(tests),
        champion_evidence=tuple(champion or ()),
        **more,
    )


def said(given: Candidate) -> dict[str, bool]:
    return {one.gate: one.passed for one in builtin_gates(given)}


def test_nothing_declared_and_nothing_known_asks_nothing() -> None:
    assert said(candidate()) == {}


def test_the_declared_test_must_have_been_run() -> None:
    target = Target(test_dataset="clinic-test")
    assert said(candidate(target)) == {"tested": False}
    assert said(candidate(target, tests=[a_test_with(1, dataset="other")])) == {"tested": False}
    assert said(candidate(target, tests=[a_test_with(1)])) == {"tested": True}
    by_fingerprint = Target(test_dataset="f" * 64)
    assert said(candidate(by_fingerprint, tests=[a_test_with(1, fingerprint="f" * 64)])) == {"tested": True}


@pytest.mark.parametrize(("errors", "passed"), [(2, True), (8, True), (9, False), (40, False)])
def test_the_ceiling_binds_at_its_value(errors: int, passed: bool) -> None:
    given = candidate(Target(max_wer=0.04), tests=[a_test_with(errors)])
    assert said(given) == {"max_wer": passed}


def test_a_ceiling_without_a_measurement_is_a_no() -> None:
    assert said(candidate(Target(max_wer=0.5))) == {"max_wer": False}
    assert said(candidate(Target(max_wer=0.5), tests=[a_test_with(0, wer=None)])) == {"max_wer": False}


@pytest.mark.parametrize(
    ("errors", "champion", "passed"),
    [
        (5, 5, True),  # equal
        (2, 20, True),  # better
        (7, 5, True),  # worse by so little that chance explains it
        (40, 5, False),  # worse beyond doubt
    ],
)
def test_worse_than_the_champion_beyond_chance_is_a_no(errors: int, champion: int, passed: bool) -> None:
    given = candidate(tests=[a_test_with(errors)], champion=[a_test_with(champion)])
    (decision,) = builtin_gates(given)
    assert (decision.gate, decision.passed) == ("champion", passed)
    assert decision.numbers["champion_wer"] == pytest.approx(champion / (5 * SENTENCES))


def test_a_margin_allows_for_as_much() -> None:
    tests, champion = [a_test_with(40)], [a_test_with(5)]
    assert said(candidate(Target(margin=0.3), tests=tests, champion=champion)) == {"champion": True}
    assert said(candidate(Target(compare=False), tests=tests, champion=champion)) == {}


def test_only_tests_on_the_same_data_are_compared() -> None:
    given = candidate(tests=[a_test_with(40, content="other")], champion=[a_test_with(5)])
    (decision,) = builtin_gates(given)
    assert decision.passed
    assert "not compared" in decision.reason


def test_where_the_test_data_is_declared_a_version_that_was_not_compared_on_it_has_not_passed() -> None:
    target = Target(test_dataset="clinic-test")
    given = candidate(target, tests=[a_test_with(1, content="new")], champion=[a_test_with(5, content="old")])
    assert said(given) == {"tested": True, "champion": False}
    assert "test both on clinic-test" in builtin_gates(given)[1].reason


# --- groups ---------------------------------------------------------------------------------------------------------------


def grouped(wrong: dict[str, int], *, size: int = 20, column: str = "device") -> TestEvidence:
    """A test of 20 sentences a device; so many of each device's have three words wrong."""
    heard, labels = [], []
    for label, errors in wrong.items():
        heard += ["wrong wrong wrong four five" if number < errors else WORDS for number in range(size)]
        labels += [label] * size
    found = score([WORDS] * len(heard), heard, groups={column: labels})
    return TestEvidence("run", "clinic-test", "c-1", "c", wer=found.wer, load=lambda: found)


def test_better_on_the_whole_and_worse_for_one_group_is_a_no() -> None:
    champion, challenger = {"desk": 20, "phone": 1}, {"desk": 2, "phone": 15}
    given = candidate(tests=[grouped(challenger)], champion=[grouped(champion)])
    assert said(given) == {"champion": True, "champion_groups": False}
    reason = builtin_gates(given)[1].reason
    assert "device=phone (WER 45.00% against 3.00%)" in reason
    assert "desk" not in reason
    assert said(candidate(Target(groups=False), tests=given.evidence, champion=given.champion_evidence)) == {"champion": True}


def test_two_speakers_that_are_both_a_little_worse_prove_nothing() -> None:
    champion, little, much = {"ann": 2, "bob": 3}, {"ann": 3, "bob": 4}, {"ann": 18, "bob": 19}
    rules = Target(groups=False)
    tests = {name: [grouped(wrong, column="speaker")] for name, wrong in (("little", little), ("much", much))}
    known = [grouped(champion, column="speaker")]
    assert said(candidate(rules, tests=tests["little"], champion=known)) == {"champion": True}
    assert said(candidate(rules, tests=tests["much"], champion=known)) == {"champion": False}


def test_a_margin_holds_for_groups_too() -> None:
    champion, challenger = {"desk": 20, "phone": 1}, {"desk": 2, "phone": 15}
    given = candidate(Target(margin=0.5), tests=[grouped(challenger)], champion=[grouped(champion)])
    assert said(given) == {"champion": True, "champion_groups": True}


def test_a_group_too_small_to_judge_does_not_count() -> None:
    tests, champion = [grouped({"a": 0, "b": 9}, size=9)], [grouped({"a": 9, "b": 0}, size=9)]
    assert said(candidate(tests=tests, champion=champion)) == {"champion": True}


def test_many_groups_of_which_one_looks_worse_by_chance_are_no_reason_to_refuse() -> None:
    champion = {f"s{number}": 2 for number in range(20)}
    given = candidate(tests=[grouped({**champion, "s7": 6})], champion=[grouped(champion)])
    assert said(given)["champion_groups"]
    alone = candidate(
        tests=[grouped({"s7": 6, "rest": 2})], champion=[grouped({"s7": 2, "rest": 2})]
    )  # of two groups the same difference is more than chance
    assert not said(alone)["champion_groups"]


def test_the_newest_pair_of_tests_on_the_same_data_counts() -> None:
    worse, better = a_test_with(40), a_test_with(5)
    assert said(candidate(tests=[worse, better], champion=[a_test_with(5)])) == {"champion": False}
    assert said(candidate(tests=[better, worse], champion=[a_test_with(5)])) == {"champion": True}


def test_a_move_back_to_what_was_served_is_not_compared() -> None:
    given = candidate(tests=[a_test_with(40)], champion=[a_test_with(5)], rollback=True)
    assert said(given) == {"champion": True}


def test_test_data_that_was_trained_on_is_a_no() -> None:
    assert said(candidate(tests=[a_test_with(1, contaminated=3)])) == {"contamination": False}
    assert said(candidate(tests=[a_test_with(1, contaminated=0)])) == {"contamination": True}
    assert said(candidate(Target(contamination=False), tests=[a_test_with(1, contaminated=3)])) == {}


@pytest.mark.parametrize(("days", "wanted", "passed"), [(400, 0, True), (-1, 0, False), (29, 30, False), (31, 30, True)])
def test_expiry(days: float, wanted: float, passed: bool) -> None:
    given = candidate(Target(expires_within_days=wanted), expires=days * DAY, now=0.0)
    assert said(given) == {"expiry": passed}


def test_an_expired_model_is_said_to_have_expired() -> None:
    (decision,) = builtin_gates(candidate(expires=DAY, now=3 * DAY))
    assert decision.reason == "its model expired on 1970-01-02"


def test_an_expiry_that_nobody_knows_is_a_no_where_it_is_asked_for() -> None:
    assert said(candidate(Target(expires_within_days=30))) == {"expiry": False}


@pytest.mark.parametrize(
    ("by", "author", "passed"),
    [
        (None, "ann", False),
        ("  ", "ann", False),
        ("ann", "ann", False),
        (" ANN ", "ann", False),
        ("bob", "ann", True),
        ("ann, ", "ann", False),
        ("ann, Ann", "ann", False),
        ("ann, bob", "ann", True),
        ("bob", None, False),  # who cannot be told from the author has not approved
    ],
)
def test_approval_is_by_somebody_else(by: str | None, author: str | None, passed: bool) -> None:
    given = candidate(Target(approval=True), tags={"speech.approved_by": by} if by else {}, author=author)
    assert said(given) == {"approval": passed}


@pytest.mark.parametrize("status", ["Failed", "Running", "not there"])
def test_a_model_that_did_not_succeed_is_a_no(status: str) -> None:
    assert said(candidate(model_status=status)) == {"model": False}


# --- the hook -----------------------------------------------------------------------------------------------------------


def ask(gate: Any) -> list[Decision]:
    """What comes of a gate of somebody's plugin, next to the built-in ones."""

    class Plugin:
        promotion_gate = staticmethod(hookimpl(gate))

    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(Plugin(), name="theirs")
    return list(evaluate(candidate(Target(max_wer=0.5), tests=[a_test_with(1)]), manager=manager))


def test_a_plugins_gate_is_asked_after_ours() -> None:
    decisions = ask(lambda candidate: Decision("friday", False, candidate.version.number))
    assert [(one.gate, one.passed, one.reason) for one in decisions[1:]] == [("friday", False, "2")]
    assert decisions[0].gate == "max_wer"


def test_a_gate_may_say_nothing_or_several_things() -> None:
    assert len(ask(lambda: None)) == 1
    assert len(ask(lambda: [Decision("a", True, ""), Decision("b", False, "")])) == 3


@pytest.mark.parametrize("junk", ["yes", True, [True], {"passed": True}])
def test_a_gate_that_answers_junk_has_said_no(junk: object) -> None:
    decision = ask(lambda: junk)[-1]
    assert not decision.passed
    assert "theirs" in decision.gate


def test_a_required_gate_that_nobody_answers_for_has_said_no() -> None:
    class Silent:
        @hookimpl
        def promotion_gate(self, candidate: Candidate) -> Decision | None:
            return Decision("ticket", True, "CR-7") if "ticket" in candidate.version.tags else None

    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    target = Target(required_gates=("ticket",))

    def passed(**tags: str) -> list[tuple[str, bool]]:
        return [(one.gate, one.passed) for one in evaluate(candidate(target, tags=tags), manager=manager)]

    assert passed(ticket="CR-7") == [("ticket", False)]  # its plugin is not there
    manager.register(Silent())
    assert passed() == [("ticket", False)]
    assert passed(ticket="CR-7") == [("ticket", True)]


def test_a_gate_that_raises_has_said_no() -> None:
    def gate() -> Decision:
        raise PluginError("out of order")

    decision = ask(gate)[-1]
    assert not decision.passed
    assert "out of order" in decision.reason
