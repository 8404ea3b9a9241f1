"""What all records of the REST API have in common.

They are lenient: a field or an enum word that is not known here is kept and comes out again when the record is dumped with
``by_alias=True``. The service's sentinel -1, its way of saying *not yet*, becomes None. URLs of content may carry a signature
that opens them, so no repr shows them.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

Status = Literal["NotStarted", "Running", "Succeeded", "Failed"] | str
DONE = frozenset({"Succeeded", "Failed"})


_PATH = re.compile(r"^(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*).*$", re.DOTALL)  # RFC 3986, appendix B; it fits whatever there is


_SIGNATURE = re.compile(r"\b(sig=)[^&\s\"'<>]+", re.IGNORECASE)
_NO_DATE = datetime.max.replace(tzinfo=timezone.utc)


def _sentinel(value: object) -> object:
    """None for the service's -1."""
    return None if value in (-1, -1.0) else value


def _texts(value: object) -> object:
    """Properties from the time when the service took other values than strings, as strings."""
    if not isinstance(value, dict):
        return value
    return {name: one if isinstance(one, str) else json.dumps(one) for name, one in value.items() if one is not None}


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is in UTC, so that all can be compared."""
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
# a URL whose query may be a permission
SignedUrl = Annotated[str | None, Field(repr=False)]
Count = Annotated[int | None, BeforeValidator(_sentinel)]
Rate = Annotated[float | None, BeforeValidator(_sentinel)]


class Record(pydantic.BaseModel):
    """A part of an answer of the service."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        frozen=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # an input may hold a secret
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        """A field that is null is one that is not there."""
        return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value

    def to_json(self) -> dict[str, Any]:
        """The record as the service writes it: camelCase names, fields that are None left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class EntityReference(Record):
    """A reference to an entity by its full URL."""

    self_: str = Field(alias="self")

    @property
    def id(self) -> str:
        """The id, taken from the path alone."""
        return id_of(self.self_)


class EntityError(Record):
    code: str | None = None
    message: Annotated[str | None, AfterValidator(lambda text: without_signatures(text) if text else text)] = None


class Entity(Record):
    """What every entity has. Everything is optional, since a record may be a request that the service has not seen."""

    self_: str | None = Field(None, alias="self")
    display_name: str | None = None
    description: str | None = None
    locale: str | None = None
    created_date_time: Moment | None = None
    last_action_date_time: Moment | None = None
    custom_properties: Annotated[dict[str, str] | None, BeforeValidator(_texts)] = None
    project: EntityReference | None = None
    status: Status | None = None

    @property
    def id(self) -> str:
        """The id, taken from the path of ``self``."""
        if self.self_ is None:
            raise ValueError("an entity that the service has not made has no id")
        return id_of(self.self_)

    @property
    def done(self) -> bool:
        """Whether the service has finished with it, well or not."""
        return self.status in DONE

    @property
    def error(self) -> EntityError | None:
        """Why it failed, where the service says so."""
        error = getattr(getattr(self, "properties", None), "error", None)
        return error if isinstance(error, EntityError) else None


EntityT = TypeVar("EntityT", bound=Entity)


def without_signatures(text: str) -> str:
    """What the service says, without what opens a URL that it quotes: messages end up in logs and tags."""
    return _SIGNATURE.sub(r"\1**********", text)


def by_age(entity: Entity) -> tuple[datetime, str]:
    """Sorts entities: the oldest first, those without a date last, and always the same way within a second."""
    return (entity.created_date_time or _NO_DATE, entity.id)


def id_of(url: str) -> str:
    """The id at the end of an entity's URL, taken from the path alone: a query may follow it."""
    return _PATH.sub(r"\1", url).rstrip("/").rsplit("/", 1)[-1]
