"""What came back from the service, and how a refusal becomes an error of ours.

The service and the gateway in front of it word their errors differently, the recognition host in a third way, and proxies
answer with HTML or nothing at all; `error_of` makes one exception of any of them and never fails itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from speech_mlflow.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    UnprocessableEntityError,
    UnsupportedMediaTypeError,
)

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    415: UnsupportedMediaTypeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
_HINTS = {
    401: "check that the key belongs to this endpoint's resource, or that the identity is signed in",
    403: "the identity needs the role Cognitive Services Speech Contributor; a network rule of the resource may also refuse",
    429: "slow down; the service allows 100 requests in 10 seconds",
}
_REQUEST_IDS = ("apim-request-id", "x-ms-request-id", "x-requestid", "request-id")
_INNER_DEPTH = 8  # inner errors nest; a hostile answer must not nest us to death


@dataclass(frozen=True)
class Answer:
    """An answer of the service, read to its end. ``headers`` has lower-case names; ``retry_after`` is in seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after: float | None = None

    @property
    def request_id(self) -> str | None:
        """What Microsoft's support asks for."""
        return next((self.headers[name] for name in _REQUEST_IDS if self.headers.get(name)), None)

    def json(self) -> Any:
        """The body as JSON; None where it is empty. Raises `ApiError` where it is something else."""
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise unreadable(self, f"the answer is not JSON ({self._kind()})") from None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises `ApiError` where it is something else."""
        value = self.json()
        if not isinstance(value, dict):
            raise unreadable(self, f"the answer is not a JSON object ({self._kind()})")
        return value

    def _kind(self) -> str:
        content_type = self.headers.get("content-type", "no content type")
        return f"{content_type[:60]}, {len(self.body)} bytes"


def unreadable(answer: Answer, message: str) -> ApiError:
    """The service said yes, but what it said cannot be understood."""
    return ApiError(
        message,
        status=answer.status,
        request_id=answer.request_id,
        hint="is this really the endpoint of a speech resource, and no proxy's page?",
    )


def error_of(answer: Answer) -> ApiError:
    """The error of ours for an answer that is no success."""
    words = _words(answer)
    inner = words.get("innerError") if isinstance(words.get("innerError"), dict) else {}
    message = _deepest_message(words) or _plain_text(answer)
    kind = ServerError if answer.status >= 500 else _BY_STATUS.get(answer.status, ApiError)
    return kind(
        message,
        status=answer.status,
        code=_text(words.get("code")),
        inner_code=_text(inner.get("code")) if inner else None,
        target=_text(words.get("target")) or (_text(inner.get("target")) if inner else None),
        request_id=answer.request_id,
        retry_after=answer.retry_after,
        details=_details(words, inner or {}),
        hint=_HINTS.get(answer.status),
    )


def _words(answer: Answer) -> dict[str, Any]:
    """The error object of any of the three shapes; empty where there is none."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    wrapped = value.get("error")  # the gateway's shape
    if isinstance(wrapped, dict):
        return wrapped
    if "Message" in value and "message" not in value:  # the recognition host's shape
        return {"message": value["Message"], "code": value.get("Code")}
    return value


def _deepest_message(words: dict[str, Any]) -> str | None:
    """The message of the innermost error: it says most."""
    message, error = None, words
    for _ in range(_INNER_DEPTH):
        message = _text(error.get("message")) or message
        inner = error.get("innerError")
        if not isinstance(inner, dict):
            break
        error = inner
    return message


def _details(words: dict[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    """Further particulars: a map of the inner error's, a list of the outer one's."""
    details: dict[str, Any] = {}
    if isinstance(inner.get("details"), dict):
        details.update(inner["details"])
    if isinstance(words.get("details"), list):
        details["details"] = words["details"]
    return details


def _plain_text(answer: Answer) -> str:
    """A short word on a body that is no JSON error: a page's title, a storage account's code, or its size."""
    text = answer.body[:4096].decode("utf-8", "replace")
    for pattern in (r"<Code>([\w.]{1,80})</Code>", r"<title>([^<]{1,200})</title>"):
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return found.group(1).strip()
    if not text.strip():
        return "the answer is empty"
    if "<" in text:
        return "the answer is a page and no error of the service"
    return " ".join(text.split())[:300]


def _text(value: Any) -> str | None:
    """A string, or None for what is none: a bad error body must not hide the error."""
    return str(value) if isinstance(value, str | int) and str(value) else None
