"""Content URLs that carry their own permission: signed, short-lived, and needing no key."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import urllib.parse
from typing import TYPE_CHECKING

from speech_mlflow.emulator.filters import parse_date

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

CONTENT = "/content"
"""Where contents lie: another path than the API's, as in Azure, where it is another host."""


def sign_url(core: Emulator, origin: str, id: str, name: str, minutes: int) -> str:
    """A URL of the content ``id`` that expires after ``minutes`` of the service's clock."""
    try:
        expiry = core.now() + datetime.timedelta(minutes=minutes)
    except OverflowError:
        expiry = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
    until = expiry.strftime("%Y-%m-%dT%H:%M:%SZ")
    query = urllib.parse.urlencode({"se": until, "sp": "r", "sr": "b", "sig": _signature(core, id, until)})
    return f"{origin}{CONTENT}/{id}/{urllib.parse.quote(name, safe='')}?{query}"


def check(core: Emulator, id: str, until: str, signature: str) -> bool:
    """Whether the signature is ours and its time has not passed."""
    if not hmac.compare_digest(_signature(core, id, until).encode(), signature.encode()):
        return False
    expiry = parse_date(until)
    return expiry is not None and core.now() < expiry


def _signature(core: Emulator, id: str, until: str) -> str:
    digest = hmac.new(core.signing_key, f"{id}\n{until}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
