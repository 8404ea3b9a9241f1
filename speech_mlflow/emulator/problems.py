"""How the offline service refuses: error bodies, status codes, and every choice that the REST API leaves open.

The service has two shapes of error: its own (``{"code", "message", "innerError"}``) and that of the gateway before it
(``{"error": {"code", "message"}}``). What Microsoft does not document, and we therefore decided, is in this module only, marked
*choice*; ``CHOICES`` lists it for ``emulator coverage``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT_PAGE_SIZE = 100  # choice: the default of ``top`` is not in the specification
MAX_PAGE_SIZE = 1000  # choice: larger values of ``top`` are cut to this
RETRY_AFTER_SECONDS = 1  # choice: the service says more; work here takes seconds
BLOCK_BYTES = 8 * 1024 * 1024  # documented
BODY_BYTES = 4 * 1024 * 1024  # choice: size of a JSON body
SHORT_AUDIO_SECONDS = 60  # documented; refusing longer audio with 400 is a choice
SHORT_AUDIO_BYTES = 32 * 1024 * 1024  # choice: 60 s of any PCM that is taken, and more
SAS_HOURS = 12  # documented default
SAS_MAX_MINUTES = 7 * 24 * 60  # choice: longest ``sasLifetimeMinutes``
COPY_AUTHORIZATION_HOURS = 24  # choice
EXAMPLE_FOR_FILTER = "displayName eq 'My dataset'"

CHOICES: Mapping[str, str] = {
    "page size": f"top defaults to {DEFAULT_PAGE_SIZE} and is cut to {MAX_PAGE_SIZE}",
    "Retry-After": f"{RETRY_AFTER_SECONDS} second, on entities that are at work and lists that hold one",
    "409": "an entity in use (InUseViolation), at work (DeleteNotAllowed, EndpointNotUpdatable), or uploaded already",
    "unknown api-version": "400 InvalidArgument",
    "references": "must name an entity of this service on the request's own host; the api-version behind it is not compared",
    "unknown properties": "ignored in requests, like read-only ones",
    "PATCH": "null removes an optional property; null for displayName is refused",
    "endpoint while it is deployed": "another model is refused (EndpointNotUpdatable) until the entity is terminal",
    "deletion of a data set in use": "refused while a model is trained on it or an evaluation or transcription reads it",
    "deletion of a project": "its entities stay and lose the reference",
    "report.json of a data set": "acceptedLineCount, rejectedLineCount, errors of lineNumber, errorKind, message",
    "report.json of a model": "what the engine counted, measured and skipped",
    "scoringResult": "a substitution and an insertion carry the recognised word, a deletion the reference word",
    "rates": "round(percent, 2)/100 for words and tokens, round(percent, 1)/100 for sentences, as in the published body",
    "correctTokenCount": "N - S - D - I, as in the published body; correctWordCount is N - S - D",
    "token errors": "an edit is punctuation, capitalization, inverseTextNormalization (digits or symbols), or lexical",
    "recognition of long audio": f"more than {SHORT_AUDIO_SECONDS} s at the short audio URL is refused with 400",
    "Offset and Duration of short audio": "JSON numbers in ticks of 100 ns",
    "masked profanity": "an asterisk for every letter, as in the published output format, not for all but the first",
    "audio without speech": "NoMatch, or InitialSilenceTimeout when it is silent all through",
    "weight": "the engine's own choice where customModelWeightPercent is absent",
    "roles": "a read-only token may GET and recognise; other methods answer 403 in the gateway's shape",
    "rate limit": "100 requests in 10 s per resource when switched on; uploads of blocks count too",
}


class Problem(Exception):
    """An answer other than success: an HTTP status with a body and headers."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = dict(body)
        self.headers = dict(headers or {})


def refuse(
    status: int,
    code: str,
    message: str,
    *,
    inner: str | None = None,
    target: str | None = None,
    details: list[Problem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Problem:
    """An error in the service's own shape. ``inner`` is the detailed code; ``details`` holds further errors of one request."""
    body: dict[str, Any] = {"code": code, "message": message}
    if target:
        body["target"] = target
    if details:
        body["details"] = [detail.body for detail in details]
    if inner:
        body["innerError"] = {"code": inner, "message": message}
        if target:
            body["innerError"]["target"] = target
    return Problem(status, body, headers)


def gateway(status: int, message: str, headers: Mapping[str, str] | None = None) -> Problem:
    """An error in the shape of the gateway that stands before the service; its code is the status as text."""
    return Problem(status, {"error": {"code": str(status), "message": message}}, headers)


def invalid(inner: str, message: str, target: str | None = None) -> Problem:
    """400: the request does not fit. ``inner`` is one of the documented detailed codes."""
    return refuse(400, "InvalidRequest", message, inner=inner, target=target)


def invalid_payload(faults: list[tuple[str, str]]) -> Problem:
    """400 for a body: all faults at once as pairs of JSON path and reason."""
    each = [invalid("InvalidPayload", f"{path}: {reason}", path) for path, reason in faults]
    if len(each) == 1:
        return each[0]
    message = " ".join(f"{path}: {reason}" for path, reason in faults)
    return refuse(400, "InvalidRequest", message, inner="InvalidPayload", target=faults[0][0], details=each)


def not_found(what: str) -> Problem:
    """404: there is no such entity."""
    return refuse(404, "NotFound", f"{what} was not found.")


def conflict(inner: str, message: str, target: str | None = None) -> Problem:
    """409: the entity cannot be changed or deleted now. The status is a choice."""
    return refuse(409, "Conflict", message, inner=inner, target=target)


def too_many(message: str, seconds: int) -> Problem:
    """429 with Retry-After."""
    return refuse(429, "TooManyRequests", message, headers={"Retry-After": str(seconds)})


def quota(message: str) -> Problem:
    """A quota of the tier is used up. Its status, 400, is a choice."""
    return invalid("QuotaViolation", message)


def wrong_reference(path: str) -> Problem:
    """A reference that names nothing here; the wording is the service's own."""
    return invalid("InvalidPayload", f"The value of {path}.self does not reference an entity.", f"$.{path}.self")


UNAUTHORIZED = (
    "Access denied due to invalid subscription key or wrong API endpoint. "
    "Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."
)
FORBIDDEN = "The principal lacks the required data action to perform this operation."


def unauthorized() -> Problem:
    """401, as the gateway says it."""
    return gateway(401, UNAUTHORIZED)


def forbidden() -> Problem:
    """403, as the gateway says it."""
    return gateway(403, FORBIDDEN)


def short_audio(status: int, message: str, headers: Mapping[str, str] | None = None) -> Problem:
    """An error of the recognition URL, which has a shape of its own."""
    return Problem(status, {"Message": message}, headers)


def cannot_write(directory: Path, error: Exception) -> str:
    """What to say when the disk is full or the directory cannot be written to."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"The offline service cannot write to {directory}: {reason}. Free some space there."
