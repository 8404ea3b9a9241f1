"""Who sent this? Signatures of MLflow's webhooks and of the speech service's, made and checked.

MLflow signs the delivery id, the time in seconds and the body, with a dot between: HMAC-SHA256, base64, ``v1,`` before it
(``mlflow/webhooks/delivery.py``). The speech service signs the body alone, or the token of its challenge. Whatever is wrong,
the sender learns one thing only: that it is not known here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

TOLERANCE_SECONDS = 300.0
"""How far the time of a delivery may be off, into the past or the future."""
DELIVERY_ID = "x-mlflow-delivery-id"
TIMESTAMP = "x-mlflow-timestamp"
SIGNATURE = "x-mlflow-signature"
SPEECH_SIGNATURE = "x-microsoftspeechservices-signature"

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""No dot: it would let the borders between the signed parts be moved."""
_SECONDS = re.compile(r"[0-9]{1,12}")
Headers = Sequence[tuple[str, str]]
"""Names in lower case, as they came: a name may occur twice."""


class UnsignedError(ValueError):
    """The request does not prove who sent it. The text is for our own log, never for the sender."""


def signed_headers(secret: str, delivery_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers that MLflow sends with a webhook."""
    return {
        DELIVERY_ID: delivery_id,
        TIMESTAMP: str(seconds),
        SIGNATURE: f"v1,{_of_mlflow(secret, delivery_id, seconds, body)}",
    }


def check_mlflow(headers: Headers, body: bytes, secrets: Iterable[str], *, now: float) -> str:
    """The delivery id of a webhook of MLflow's. UnsignedError where it is not signed by one of ``secrets``, or not now."""
    delivery_id, stamp, given = (_one(headers, name) for name in (DELIVERY_ID, TIMESTAMP, SIGNATURE))
    if not _ID.fullmatch(delivery_id):
        raise UnsignedError("the delivery id has characters that no id has")
    if not _SECONDS.fullmatch(stamp):
        raise UnsignedError("the timestamp is no number of seconds")
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        raise UnsignedError(f"the timestamp is {now - int(stamp):+.0f} s off")
    offered = [part[3:] for part in given.split(" ") if part.startswith("v1,")]
    wanted = [_of_mlflow(secret, delivery_id, int(stamp), body, stamp) for secret in secrets]
    _any_equal(offered, wanted)
    return delivery_id


def check_speech(headers: Headers, payload: bytes, secrets: Iterable[str]) -> str:
    """The id of a call of the speech service's: a digest of ``payload``, which is the body or the token of its challenge.

    The service signs no time: what it sends can be told apart from a replay only while it is remembered. UnsignedError where
    the signature is not by one of ``secrets``.
    """
    _any_equal([_one(headers, SPEECH_SIGNATURE)], [_base64(secret, payload) for secret in secrets])
    return hashlib.sha256(payload).hexdigest()


class Seen:
    """Ids of deliveries that were taken, as long as they could be sent again; the oldest go where there are too many."""

    def __init__(self, seconds: float = 2 * TOLERANCE_SECONDS, most: int = 10_000) -> None:
        self._seconds = seconds
        self._most = most
        self._times: dict[str, float] = {}

    def add(self, delivery_id: str, now: float) -> bool:
        """Remember an id; False where it was known."""
        known = self._times.get(delivery_id)
        if known is not None and now - known <= self._seconds:
            return False
        self._times.pop(delivery_id, None)
        self._times[delivery_id] = now
        while len(self._times) > self._most or now - next(iter(self._times.values())) > self._seconds:
            del self._times[next(iter(self._times))]
        return True

    def __len__(self) -> int:
        return len(self._times)


def _one(headers: Headers, name: str) -> str:
    """The value of a header that must be there once."""
    values = [value for known, value in headers if known == name]
    if len(values) != 1:
        raise UnsignedError(f"{len(values)} headers {name}")
    return values[0]


def _any_equal(offered: Sequence[str], wanted: Sequence[str]) -> None:
    """Every pair is compared, each in constant time."""
    equal = [
        hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode()) for one in offered[:8] for other in wanted
    ]
    if not any(equal):
        raise UnsignedError("the signature is not by a secret of ours")


def _of_mlflow(secret: str, delivery_id: str, seconds: int, body: bytes, stamp: str | None = None) -> str:
    return _base64(secret, f"{delivery_id}.{stamp or seconds}.".encode() + body)


def _base64(secret: str, payload: bytes) -> str:
    if not secret:
        raise UnsignedError("a secret is empty")
    return base64.b64encode(hmac.new(secret.encode(), payload, hashlib.sha256).digest()).decode()


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as an ASGI server hands them over."""
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]


def names_in(document: object) -> tuple[str, ...]:
    """The registered models that a webhook of MLflow's is about; none where it does not say."""
    data = document.get("data") if isinstance(document, Mapping) else None
    name = data.get("name") if isinstance(data, Mapping) else None
    return (name,) if isinstance(name, str) and 0 < len(name) <= 256 else ()
