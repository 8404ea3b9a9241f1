"""Keeping secrets out of what is logged and shown: over-redaction costs a second look, a leaked key costs the resource."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

STARS = "**********"
_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSW|WEBHOOK|CREDENTIAL|CONNECTION_STRING|SAS", re.IGNORECASE)
_SHORTEST = 6
"""Shorter values of such variables are flags ("true", "1") and not secrets."""
_PATTERNS = (
    re.compile(r"(?i)(ocp-apim-subscription-key\W{1,6})[^\s'\",}]+"),
    re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{8,}"),
    re.compile(r"(?i)([?&](?:sig|key|code|token|access_token)=)[^&\s'\"]+"),
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
)
_known: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Have these values replaced from now on."""
    _known.update(value for value in values if len(value) >= _SHORTEST)


def hide_environment() -> None:
    """Hide the values of all variables whose names sound like secrets."""
    hide(value for name, value in os.environ.items() if _NAMES.search(name))


def secrets_in(value: Any) -> Iterator[str]:
    """Every SecretStr in a value, and in the records, mappings and sequences that it is made of."""
    if hasattr(value, "get_secret_value"):
        yield value.get_secret_value()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secrets_in(inner)
    elif hasattr(value, "model_fields_set"):
        yield from secrets_in(vars(value))


def redact(text: str) -> str:
    """``text`` without the values that are known to be secret, and without what looks like one."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, STARS)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{STARS}", text)
    return text


class Redacting(logging.Formatter):
    """Formats records, traces included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, of a record."""
        return redact(super().format(record))
