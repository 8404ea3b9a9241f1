"""Filter expressions: the service's grammar, with values that try to be more than values."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.errors import SettingsError
from speech_mlflow.service import filters

MOMENT = datetime(2026, 2, 1, 12, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (filters.eq("displayName", "My data"), "displayName eq 'My data'"),
        (filters.ne("status", "Failed"), "status ne 'Failed'"),
        (filters.eq("displayName", "Anna's"), "displayName eq 'Anna''s'"),
        (filters.gt("createdDateTime", MOMENT), "createdDateTime gt 2026-02-01T11:00:00Z"),
        (filters.ge("createdDateTime", MOMENT), "createdDateTime ge 2026-02-01T11:00:00Z"),
        (filters.lt("lastActionDateTime", MOMENT), "lastActionDateTime lt 2026-02-01T11:00:00Z"),
        (filters.le("lastActionDateTime", MOMENT), "lastActionDateTime le 2026-02-01T11:00:00Z"),
        (filters.eq("locale", "en-US") & filters.eq("kind", "Acoustic"), "locale eq 'en-US' and kind eq 'Acoustic'"),
        (filters.eq("a", "1") | filters.eq("b", "2"), "a eq '1' or b eq '2'"),
        ((filters.eq("a", "1") | filters.eq("b", "2")) & filters.eq("c", "3"), "(a eq '1' or b eq '2') and c eq '3'"),
        (~filters.eq("a", "1"), "not a eq '1'"),
        (~(filters.eq("a", "1") & filters.eq("b", "2")), "not (a eq '1' and b eq '2')"),
        (filters.eq("a", "x or y") & filters.eq("b", "and"), "a eq 'x or y' and b eq 'and'"),
    ],
)
def test_expressions(expression: filters.Filter, text: str) -> None:
    assert expression == text


@settings(deadline=None)
@given(st.text())
def test_no_value_gets_out_of_its_quotes(value: str) -> None:
    expression = filters.eq("displayName", value)
    found = re.fullmatch(r"displayName eq '((?:[^']|'')*)'", expression, re.DOTALL)
    assert found is not None
    assert found.group(1).replace("''", "'") == value


@pytest.mark.parametrize("name", ["a b", "a' or 'b", "", "1a", "a.b"])
def test_an_odd_property_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no name of a property"):
        filters.eq(name, "x")


def test_only_dates_are_ordered() -> None:
    with pytest.raises(SettingsError, match="with eq and ne only"):
        filters.gt("displayName", MOMENT)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(SettingsError, match="no time zone"):
        filters.gt("createdDateTime", datetime(2026, 1, 1))
