"""How long the service goes on using the models of registered versions, and whether there is a newer base model to train on.

An endpoint whose model has expired answers on, silently, with the newest base model of its locale: no error, only more errors in
the transcripts. So expiry is told before it comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.errors import SettingsError, SpeechMlflowError
from speech_mlflow.promotion.copies import localised
from speech_mlflow.promotion.records import PRODUCTION, Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.entities import BaseModel, CustomModel

log = logging.getLogger(__name__)
NEVER = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Age:
    """One version whose model the service has: until when it is used, and what it could be trained on now.

    ``days`` are left until ``expires`` (negative: expired), None where the service gives no date. ``endpoint_id`` serves it,
    None where it is not served; ``newer_base`` is the newest base model that can be adapted, where that is newer than its own;
    ``region`` is the named resource that has the copy, None for the one where it was trained.
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
    region: str | None = None

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
        where = f" in {self.region}" if self.region else ""
        falls = f"; endpoint {self.endpoint_id}{where} answers with the newest base model then, without an error"
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
    models: Iterable[tuple[Registered, Target]], custom: Iterable[CustomModel], bases: Iterable[BaseModel], *, now: datetime
) -> Lifecycle:
    """What registry and one resource say together, for registered models and their targets there: a function of records."""
    known = {model.id: model for model in custom}
    usable = tuple(bases)
    return _sorted(
        _age(model, version, target, known[version.tags[tags.MODEL_ID]], usable, now)
        for registered, target in models
        for model in [localised(registered, target)]
        for version in model.versions
        if version.tags.get(tags.MODEL_ID) in known
    )


def read(
    speech: SpeechClient,
    models: Collection[Registered],
    *,
    target_of: Callable[[str], Target] | None = None,
    regions: Regions | None = None,
) -> Lifecycle:
    """Ask each resource for its models: one list of custom models and one of base models, however many versions there are.

    A region that does not answer is a line in the log.
    """
    now = datetime.now(timezone.utc)
    pairs = [(model, _target(model, target_of)) for model in models]
    found = list(lifecycle(pairs, speech.models.list(), speech.models.list_base(), now=now).ages)
    if regions is None:
        return _sorted(found)
    for region in sorted({region for _, target in pairs for region in target.regions}):
        there = [(model, target.in_region(region)) for model, target in pairs if region in target.regions]
        try:
            of = regions.speech(region).models
            found += lifecycle(there, of.list(), of.list_base(), now=now).ages
        except SpeechMlflowError as error:
            log.warning("which models expire in %s is not known: %s", region, error)
    return _sorted(found)


def _sorted(ages: Iterable[Age]) -> Lifecycle:
    return Lifecycle(tuple(sorted(ages, key=_order)))


def _order(age: Age) -> tuple[datetime, str, int, str]:
    return (age.expires or NEVER, age.registered_model, int(age.version), age.region or "")


def _target(model: Registered, target_of: Callable[[str], Target] | None) -> Target:
    """The target of a registered model; the default one where what is declared is wrong, which its own work says."""
    try:
        return (target_of(model.name) if target_of else Target()).with_tags(model.tags)
    except SettingsError:
        return Target()


def _age(
    model: Registered, version: Version, target: Target, of: CustomModel, bases: tuple[BaseModel, ...], now: datetime
) -> Age:
    dates = of.properties.deprecation_dates if of.properties else None
    expires = dates.transcription_date_time if dates else None
    published = model.tags.get(target.tag(tags.SERVED_VERSION)) == version.number
    return Age(
        registered_model=model.name,
        version=version.number,
        stage=version.stage,
        model_id=of.id,
        locale=of.locale,
        endpoint_id=model.tags.get(target.tag(tags.ENDPOINT_ID)) if published else None,
        expires=expires,
        days=(expires - now) / timedelta(days=1) if expires else None,
        newer_base=_newer_base(of, bases, now) if published or version.stage == PRODUCTION else None,
        region=target.region,
    )


def _newer_base(of: CustomModel, bases: tuple[BaseModel, ...], now: datetime) -> str | None:
    """The newest base model of the locale that can be adapted now, where it is newer than the one that was adapted."""
    from speech_mlflow.service.entities import by_age

    own = next((base for base in bases if of.base_model is not None and base.id == of.base_model.id), None)
    fit = [base for base in bases if base.locale == of.locale and base.created_date_time is not None and _adaptable(base, now)]
    newest = max(fit, key=by_age, default=None)
    if newest is None or newest.created_date_time is None:
        return None
    if own is not None and (own.created_date_time is None or own.created_date_time >= newest.created_date_time):
        return None
    return newest.display_name or newest.id


def _adaptable(base: BaseModel, now: datetime) -> bool:
    dates = base.properties.deprecation_dates if base.properties else None
    until = dates.adaptation_date_time if dates else None
    return base.status in (None, "Succeeded") and (until is None or until > now)
