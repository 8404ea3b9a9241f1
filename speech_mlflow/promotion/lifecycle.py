"""How long the service goes on using the models of registered versions, and whether there is a newer base model to train on.

An endpoint whose model has expired answers on, silently, with the newest base model of its locale: no error, only more errors in
the transcripts. So expiry is told before it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.promotion.records import PRODUCTION, Registered, Version
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.entities import BaseModel, CustomModel

NEVER = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Age:
    """One version whose model the service has: until when it is used, and what it could be trained on now.

    ``days`` are left until ``expires`` (negative: expired), None where the service gives no date. ``endpoint_id`` serves it,
    None where it is not served; ``newer_base`` is the newest base model that can be adapted, where that is newer than its own.
    """

    registered_model: str
    version: str
    stage: str
    model_id: str
    locale: str | None
    endpoint_id: str | None
    expires: datetime | None
    days: float | None
    newer_base: str | None

    @property
    def state(self) -> Literal["expired", "expires", "unknown"]:
        """In a word."""
        return "unknown" if self.days is None else "expired" if self.days <= 0 else "expires"

    @property
    def reason(self) -> str:
        """A sentence for people."""
        who = f"the model of version {self.version}"
        if self.expires is None or self.days is None:
            return f"the service does not say when {who} expires"
        when = f"{who} {'expired' if self.days <= 0 else 'expires'} on {self.expires:%Y-%m-%d}"
        left = "" if self.days <= 0 else f", in {self.days:.0f} days"
        falls = f"; endpoint {self.endpoint_id} answers with the newest base model then, without an error"
        retrain = f"; train on the base model {self.newer_base}" if self.newer_base else ""
        return when + left + (falls if self.endpoint_id else "") + retrain

    def to_dict(self) -> dict[str, Any]:
        """The age as JSON."""
        return {**vars(self), "expires": self.expires.isoformat() if self.expires else None, "state": self.state}


@dataclass(frozen=True)
class Lifecycle:
    """All versions whose models the service has, the soonest to expire first."""

    ages: tuple[Age, ...]

    def within(self, days: float) -> tuple[Age, ...]:
        """Those that expire within so many days, or have expired."""
        return tuple(age for age in self.ages if age.days is not None and age.days <= days)

    @property
    def served(self) -> tuple[Age, ...]:
        """Those that an endpoint serves."""
        return tuple(age for age in self.ages if age.endpoint_id is not None)

    @property
    def next_expiry(self) -> datetime | None:
        """When the first model that is served expires; None where none is served, or no date is known."""
        return next((age.expires for age in self.served if age.expires is not None), None)


def lifecycle(
    models: Iterable[Registered], custom: Iterable[CustomModel], bases: Iterable[BaseModel], *, now: datetime
) -> Lifecycle:
    """What registry and service say together: a function of their records alone."""
    known = {model.id: model for model in custom}
    usable = tuple(bases)
    ages = [
        _age(model, version, known[version.tags[tags.MODEL_ID]], usable, now)
        for model in models
        for version in model.versions
        if version.tags.get(tags.MODEL_ID) in known
    ]
    return Lifecycle(tuple(sorted(ages, key=lambda age: (age.expires or NEVER, age.registered_model, int(age.version)))))


def read(speech: SpeechClient, models: Iterable[Registered], *, now: datetime | None = None) -> Lifecycle:
    """Ask the service for its models: one list of custom models and one of base models, however many versions there are."""
    moment = now or datetime.now(timezone.utc)
    return lifecycle(models, speech.models.list(), speech.models.list_base(), now=moment)


def _age(model: Registered, version: Version, of: CustomModel, bases: tuple[BaseModel, ...], now: datetime) -> Age:
    dates = of.properties.deprecation_dates if of.properties else None
    expires = dates.transcription_date_time if dates else None
    published = model.tags.get(tags.SERVED_VERSION) == version.number
    return Age(
        registered_model=model.name,
        version=version.number,
        stage=version.stage,
        model_id=of.id,
        locale=of.locale,
        endpoint_id=model.tags.get(tags.ENDPOINT_ID) if published else None,
        expires=expires,
        days=(expires - now) / timedelta(days=1) if expires else None,
        newer_base=_newer_base(of, bases, now) if published or version.stage == PRODUCTION else None,
    )


def _newer_base(of: CustomModel, bases: tuple[BaseModel, ...], now: datetime) -> str | None:
    """The newest base model of the locale that can be adapted now, where it is newer than the one that was adapted."""
    own = next((base for base in bases if of.base_model is not None and base.id == of.base_model.id), None)
    fit = [base for base in bases if base.locale == of.locale and base.created_date_time is not None and _adaptable(base, now)]
    newest = max(fit, key=lambda base: (str(base.created_date_time), base.id), default=None)
    if newest is None or newest.created_date_time is None:
        return None
    if own is not None and (own.created_date_time is None or own.created_date_time >= newest.created_date_time):
        return None
    return newest.display_name or newest.id


def _adaptable(base: BaseModel, now: datetime) -> bool:
    dates = base.properties.deprecation_dates if base.properties else None
    until = dates.adaptation_date_time if dates else None
    return base.status in (None, "Succeeded") and (until is None or until > now)
