"""The service's filter expressions, built so that no value can become part of the expression.

::

    filters.eq("displayName", "Anna's data") & filters.gt("createdDateTime", some_datetime)
    -> displayName eq 'Anna''s data' and createdDateTime gt 2026-02-01T11:00:00Z
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from speech_mlflow.errors import SettingsError

_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_DATES = ("createdDateTime", "lastActionDateTime")


class Filter(str):
    """An expression; ``&``, ``|`` and ``~`` join and negate."""

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        return Filter(f"{_grouped(self)} and {_grouped(other)}")

    def __or__(self, other: Filter) -> Filter:
        return Filter(f"{self} or {other}")

    def __invert__(self) -> Filter:
        return Filter(f"not ({self})" if _is_joined(self) else f"not {self}")


def eq(name: str, value: str | datetime) -> Filter:
    """``name`` is ``value``."""
    return _compare(name, "eq", value)


def ne(name: str, value: str | datetime) -> Filter:
    """``name`` is not ``value``."""
    return _compare(name, "ne", value)


def gt(name: str, value: datetime) -> Filter:
    """The date ``name`` is after ``value``."""
    return _compare(name, "gt", value)


def ge(name: str, value: datetime) -> Filter:
    """The date ``name`` is ``value`` or after it."""
    return _compare(name, "ge", value)


def lt(name: str, value: datetime) -> Filter:
    """The date ``name`` is before ``value``."""
    return _compare(name, "lt", value)


def le(name: str, value: datetime) -> Filter:
    """The date ``name`` is ``value`` or before it."""
    return _compare(name, "le", value)


def _compare(name: str, operator: str, value: str | datetime) -> Filter:
    if not _PROPERTY.fullmatch(name):
        raise SettingsError(f"{name!r} is no name of a property to filter by")
    if operator not in ("eq", "ne") and name not in _DATES:
        raise SettingsError(f"the service compares {name} with eq and ne only; {operator} is for {' and '.join(_DATES)}")
    return Filter(f"{name} {operator} {_literal(value)}")


def _literal(value: str | datetime) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise SettingsError(f"{value} has no time zone, so it names no moment to filter by")
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "'" + value.replace("'", "''") + "'"


def _outside_quotes(expression: str) -> str:
    """``expression`` with every string literal emptied."""
    return re.sub(r"'(?:[^']|'')*'", "''", expression)


def _is_joined(expression: str) -> bool:
    return re.search(r" (and|or) ", _outside_quotes(expression)) is not None


def _grouped(expression: str) -> str:
    return f"({expression})" if " or " in _outside_quotes(expression) else str(expression)
