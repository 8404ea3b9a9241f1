"""The filter language of lists: a subset of OData, parsed into a function from record to yes or no.

Grammar::

    expression := term { "or" term } ;  term := factor { "and" factor }
    factor     := "not" factor | "(" expression ")" | property operator literal
    operator   := eq | ne | gt | ge | lt | le ;  literal := 'text' (quotes doubled) | date-time

``eq`` and ``ne`` work on every property, the others on date-times only.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from speech_mlflow.emulator.problems import EXAMPLE_FOR_FILTER, Problem, invalid

Predicate = Callable[[Mapping[str, Any]], bool]

COMMON = ("displayName", "description", "createdDateTime", "lastActionDateTime", "status", "locale")
PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "datasets": (*COMMON, "kind"),
    "models": COMMON,
    "base": COMMON,
    "endpoints": COMMON,
    "evaluations": COMMON,
    "transcriptions": COMMON,
    "files": ("name", "createdDateTime", "kind"),
    "projects": ("displayName", "description", "createdDateTime", "locale", "foundryProjectName"),
    "webhooks": ("displayName", "description", "createdDateTime", "lastActionDateTime", "status", "webUrl"),
}
DATES = ("createdDateTime", "lastActionDateTime")
MAX_LENGTH = 8_000
MAX_DEPTH = 50

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<paren>[()])|(?P<word>[^\s()']+))")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse_filter(text: str | None, kind: str) -> Predicate | None:
    """Compile ``text`` for entities of ``kind`` (a key of PROPERTIES); None when it says nothing.

    The function takes the entity as the API shows it. Raises Problem 400 ``UnsupportedFilter``.
    """
    if text is None or not text.strip():
        return None
    if len(text) > MAX_LENGTH:
        raise _unsupported(f"The filter is longer than {MAX_LENGTH} characters.")
    return _Parser(text, PROPERTIES[kind]).parse()


def parse_date(text: str) -> datetime.datetime | None:
    """A date-time of ISO 8601 in UTC, or None where it is none. Without an offset it is UTC."""
    try:
        value = datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError:
        return None
    if value.tzinfo is None:
        return value.replace(tzinfo=datetime.timezone.utc)
    try:
        return value.astimezone(datetime.timezone.utc)
    except OverflowError:
        return None


def _unsupported(reason: str) -> Problem:
    return invalid("UnsupportedFilter", f"{reason} A filter looks like: {EXAMPLE_FOR_FILTER}", "filter")


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str, properties: tuple[str, ...]) -> None:
        self.properties = properties
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    def parse(self) -> Predicate:
        result = self._any()
        if self.place < len(self.tokens):
            raise _unsupported(f"The filter goes on unexpectedly at {self.tokens[self.place]!r}.")
        return result

    def _peek(self) -> str | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def _next(self, wanted: str) -> str:
        token = self._peek()
        if token is None:
            raise _unsupported(f"The filter ends where {wanted} is expected.")
        self.place += 1
        return token

    def _any(self) -> Predicate:
        terms = [self._all()]
        while self._peek() == "or":
            self.place += 1
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else lambda record: any(term(record) for term in terms)

    def _all(self) -> Predicate:
        factors = [self._factor()]
        while self._peek() == "and":
            self.place += 1
            factors.append(self._factor())
        return factors[0] if len(factors) == 1 else lambda record: all(factor(record) for factor in factors)

    def _factor(self) -> Predicate:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _unsupported("The filter is nested too deeply.")
        try:
            word = self._next("a property")
            if word == "not":
                inner = self._factor()
                return lambda record: not inner(record)
            if word == "(":
                result = self._any()
                if self._next("a closing bracket") != ")":
                    raise _unsupported("A bracket of the filter is not closed.")
                return result
            return self._comparison(word)
        finally:
            self.depth -= 1

    def _comparison(self, name: str) -> Predicate:
        if name not in self.properties:
            raise _unsupported(f"The property {name!r} is not supported; supported are {', '.join(self.properties)}.")
        word = self._next("an operator")
        if word not in _COMPARE:
            raise _unsupported(f"The operator {word!r} is not supported.")
        compare = _COMPARE[word]
        if name not in DATES and word not in ("eq", "ne"):
            raise _unsupported(f"The operator {word!r} is not supported for {name}.")
        literal = self._next("a value")
        if name in DATES:
            return _date_test(name, compare, literal)
        if not literal.startswith("'"):
            raise _unsupported(f"The value {literal!r} must stand in single quotes.")
        wanted = literal[1:-1].replace("''", "'")
        return lambda record: compare(record.get(name, ""), wanted)


def _date_test(name: str, compare: Callable[[Any, Any], bool], literal: str) -> Predicate:
    moment = parse_date(literal.strip("'"))
    if moment is None:
        raise _unsupported(f"{literal!r} is not a date-time.")

    def test(record: Mapping[str, Any]) -> bool:
        value = parse_date(str(record.get(name, "")))
        return value is not None and compare(value, moment)

    return test


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _unsupported(f"The filter cannot be read at {text[place : place + 20]!r}.")
        tokens.append(match.group("text") or match.group("paren") or match.group("word"))
        place = match.end()
    return tokens
