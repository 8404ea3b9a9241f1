"""When models stop being usable: for training, and for transcription.

A model's life is counted from the mark after the calendar quarter in which it was created: the 15th of the month that
follows the quarter (January, April, July, October). A base model can be trained on until one year after the mark and
transcribes until two years after it; a custom model transcribes until two years after its own mark.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

ADAPTATION_YEARS = 1
TRANSCRIPTION_YEARS = 2


@dataclass(frozen=True)
class DeprecationDates:
    """First moments at which a model is out of use; ``adaptation`` is None for custom models."""

    transcription: datetime.datetime
    adaptation: datetime.datetime | None = None


def quarter_mark(created: datetime.date) -> datetime.date:
    """The 15th of the month after the calendar quarter of ``created``."""
    month = (created.month - 1) // 3 * 3 + 4
    return datetime.date(created.year + (month > 12), (month - 1) % 12 + 1, 15)


def base_dates(created: datetime.date) -> DeprecationDates:
    """Dates of a base model."""
    mark = quarter_mark(created)
    return DeprecationDates(_later(mark, TRANSCRIPTION_YEARS), _later(mark, ADAPTATION_YEARS))


def custom_dates(created: datetime.date) -> DeprecationDates:
    """Dates of a custom model."""
    return DeprecationDates(_later(quarter_mark(created), TRANSCRIPTION_YEARS))


def _later(day: datetime.date, years: int) -> datetime.datetime:
    return datetime.datetime(day.year + years, day.month, day.day, tzinfo=datetime.timezone.utc)
