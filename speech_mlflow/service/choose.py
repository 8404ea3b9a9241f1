"""Which base model to adapt: one that takes the data, may still be adapted, and is the newest of those."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone

from speech_mlflow.errors import SettingsError
from speech_mlflow.service import filters
from speech_mlflow.service.client import SpeechClient
from speech_mlflow.service.entities import BaseModel


def choose_base_model(
    client: SpeechClient,
    locale: str,
    kinds: Collection[str],
    on: datetime | None = None,
    *,
    before: datetime | None = None,
) -> BaseModel:
    """The newest base model of ``locale`` that can be adapted with all ``kinds`` of data, ``on`` that day (default: now).

    ``before`` leaves out those made at that moment or later: the choice stays the same when the service gets newer ones.
    Raises `SettingsError` where there is none, with what is wrong with each.
    """
    moment = on or client.timing.now()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    models = list(client.models.list_base(filters.eq("locale", locale)))
    late = {model.id: f"it was made on {_created(model):%Y-%m-%d}" for model in models if before and _created(model) >= before}
    usable = [model for model in models if model.id not in late and unfit(model, kinds, moment) is None]
    if usable:
        return max(usable, key=lambda model: (_created(model), model.display_name or "", model.id))
    if not models:
        raise SettingsError(
            f"the service has no base model for {locale!r}", hint="speech-mlflow models base lists the locales there are"
        )
    reasons = "; ".join(f"{model.display_name}: {late.get(model.id) or unfit(model, kinds, moment)}" for model in models)
    when = f" and was made before {before:%Y-%m-%d}" if before else ""
    raise SettingsError(f"no base model for {locale} can be adapted with {', '.join(sorted(kinds))}{when} ({reasons})")


def unfit(model: BaseModel, kinds: Collection[str], on: datetime) -> str | None:
    """Why a base model cannot be adapted with that data on that day; None where it can."""
    if model.status not in (None, "Succeeded"):
        return f"its status is {model.status}"
    properties = model.properties
    dates = properties.deprecation_dates if properties else None
    end = dates.adaptation_date_time if dates else None
    if end is not None and end <= on:
        return f"its adaptation ended on {end:%Y-%m-%d}"
    features = properties.features if properties else None
    missing = sorted(set(kinds) - set((features.supports_adaptations_with if features else None) or ()))
    return f"it takes no {', '.join(missing)} data" if missing else None


def _created(model: BaseModel) -> datetime:
    return model.created_date_time or datetime.min.replace(tzinfo=timezone.utc)
