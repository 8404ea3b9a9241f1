"""The gate on candidates. The command is tested in the main package's tests, installed and on a real registry."""

from __future__ import annotations

import getpass

import pytest
import speech_mlflow_approval as plugin
from click.testing import CliRunner

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion.decisions import Candidate, Decision
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target


def judged(approved_by: str | None, author: str | None = "ann", needed: str | None = None) -> Decision:
    tags = {} if approved_by is None else {plugin.APPROVED_BY: approved_by}
    model = Registered("clinic", tags={} if needed is None else {plugin.NEEDED_TAG: needed})
    return plugin.promotion_gate(Candidate(model, Version("2", tags=tags), Target(), author=author))


@pytest.mark.parametrize(
    ("approved_by", "passed"),
    [
        (None, False),
        ("bob", False),
        ("bob, cy", True),
        ("bob, BOB", False),
        ("ann, bob", False),
        (" Ann ,bob,cy", True),
        (",,", False),
    ],
)
def test_two_people_besides_the_author_are_needed(approved_by: str | None, passed: bool) -> None:
    assert judged(approved_by).passed is passed


def test_the_reason_says_who_approved_and_who_does_not_count() -> None:
    decision = judged("ann, bob")
    assert decision.reason == "1 of 2 approvals (bob); ann made it and does not count"
    assert decision.numbers == {"approvals": 1.0, "approvals_needed": 2.0}


def test_a_version_of_nobody_is_not_served() -> None:
    assert not judged("bob, cy", author=None).passed


def test_the_number_is_the_models_then_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugin.NEEDED, "3")
    assert not judged("bob, cy").passed
    assert judged("bob", needed="1").passed


@pytest.mark.parametrize("wrong", ["0", "two", "-1"])
def test_a_wrong_number_raises_which_a_gate_counts_as_no(wrong: str) -> None:
    with pytest.raises(SettingsError, match="no number of approvals"):
        judged("bob, cy", needed=wrong)


@pytest.mark.parametrize(
    "unknown", [KeyError("getpwuid(): uid not found: 54321"), OSError("No username set in the environment")]
)
def test_where_the_machine_knows_no_name_one_is_asked_for(unknown: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def getuser() -> str:
        raise unknown  # as Python to 3.12, and from 3.13 on

    monkeypatch.setattr(getpass, "getuser", getuser)
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    done = CliRunner().invoke(plugin.approve, ["clinic/2"])
    assert (done.exit_code, "say it with --by NAME" in done.output) == (2, True)


def test_names_of_a_tag_are_people_once() -> None:
    assert plugin.names(" Ann ,bob,, ANN") == ["Ann", "bob"]
    assert plugin.names(None) == []
