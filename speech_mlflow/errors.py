"""Every error that speech_mlflow raises.

::

    SpeechMlflowError                 exit 1
    + SettingsError                   exit 2   a setting is missing, unknown or wrong
    + DataError                       exit 3   the data would not be taken by the service
      + CorpusError                            all problems of a corpus at once
      + ArchiveError                           a zip file that is broken or hostile
      + AudioError                             a recording that is not what the service takes
      + ScoringError                           references and hypotheses that do not fit together
    + ServiceError                             talking to the speech service
      + TransportError                         no answer arrived (connect, time-out, reset)
      + ForeignLinkError                       the service named a host that is not its own
      + UnknownOutcomeError                    a create may or may not have happened
      + OperationFailedError                   an entity ended as Failed
      + WaitTimeoutError                       an entity is still at work after the time allowed
      + ApiError                               the service answered with an error
        + BadRequestError                      400
        + AuthenticationError                  401
        + PermissionDeniedError                403
        + NotFoundError                        404
        + ConflictError                        409
        + UnsupportedMediaTypeError            415
        + UnprocessableEntityError             422
        + RateLimitError                       429
        + ServerError                          5xx
    + EmulatorError                            the offline service cannot start or work
      + EngineError                            a recogniser cannot train or transcribe
    + TrackingError                            MLflow holds something that does not fit
    + PromotionError                           a version cannot be served
      + GateError                     exit 4   a gate said no
      + StalePlanError                         the world changed after the plan was made
      + ClaimHeldError                         another process is working on the same target
    + PluginError                              a plugin is broken

Catch the base class to catch them all::

    try:
        sm.train(...)
    except sm.SpeechMlflowError as error:
        print(error, error.hint)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SpeechMlflowError(Exception):
    """Base of all errors. ``hint`` says what to do next, where that is known."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(SpeechMlflowError):
    """A setting is missing, unknown or wrong."""

    exit_code = 2


class DataError(SpeechMlflowError):
    """The data would not be taken by the service."""

    exit_code = 3


class CorpusError(DataError):
    """A corpus has problems; ``problems`` holds all of them."""

    def __init__(self, message: str, *, problems: tuple[Any, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class ArchiveError(DataError):
    """A zip file is broken or hostile; the message names the entry."""


class AudioError(DataError):
    """A recording is not what the service takes; the message names the file."""


class ScoringError(DataError):
    """References and hypotheses do not fit together."""


class ServiceError(SpeechMlflowError):
    """Something went wrong between here and the speech service."""

    retryable = False


class TransportError(ServiceError):
    """No answer arrived: the connection failed, timed out or was cut."""

    retryable = True


class ForeignLinkError(ServiceError):
    """The service named a link on a host that is not its own; it was not followed."""


class UnknownOutcomeError(ServiceError):
    """A create was sent and its answer lost, and a look-up found neither trace nor proof of absence."""


class OperationFailedError(ServiceError):
    """An entity ended as Failed. ``entity`` is its record, ``code`` the service's word for why."""

    def __init__(self, message: str, *, entity: Any = None, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.entity = entity
        self.code = code


class WaitTimeoutError(ServiceError):
    """An entity is still at work after the time allowed; waiting can go on later."""

    retryable = True

    def __init__(self, message: str, *, entity: Any = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.entity = entity


class ApiError(ServiceError):
    """The service answered with an error.

    ``status`` is the HTTP status, ``code`` and ``inner_code`` the service's own words, ``request_id`` what
    Microsoft's support asks for. ``str(error)`` starts with the request id where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        inner_code: str | None = None,
        target: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.inner_code = inner_code
        self.target = target
        self.request_id = request_id
        self.retry_after = retry_after
        self.details = dict(details or {})

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """Whether the same request may succeed later without a change. A success that cannot be read is the page of something in
        between, which passes."""
        return self.status < 400 or self.status in {408, 429, 500, 502, 503, 504}

    def __str__(self) -> str:
        words = "/".join(word for word in (self.code, self.inner_code) if word and word != str(self.status))
        request = f"request {self.request_id}: " if self.request_id else ""
        target = f" (target: {self.target})" if self.target else ""
        return f"{request}{self.status} {words + ': ' if words else ''}{self.message}{target}"


class BadRequestError(ApiError):
    """400: the request does not fit what the service takes."""


class AuthenticationError(ApiError):
    """401: the key or token was not accepted."""


class PermissionDeniedError(ApiError):
    """403: the credential is known but lacks the role."""


class NotFoundError(ApiError):
    """404: there is no such entity."""


class ConflictError(ApiError):
    """409: the entity is in use or exists already."""


class UnsupportedMediaTypeError(ApiError):
    """415: the service does not take this content type."""


class UnprocessableEntityError(ApiError):
    """422: the request was understood but cannot be carried out."""


class RateLimitError(ApiError):
    """429: too many requests; ``retry_after`` gives the seconds to wait."""


class ServerError(ApiError):
    """5xx: the service failed."""


class EmulatorError(SpeechMlflowError):
    """The offline service cannot start or work."""


class EngineError(EmulatorError):
    """A recogniser behind the offline service cannot train or transcribe."""


class TrackingError(SpeechMlflowError):
    """MLflow holds something that does not fit."""


class PromotionError(SpeechMlflowError):
    """A version cannot be served."""


class GateError(PromotionError):
    """A gate said no; ``decisions`` holds what every gate said."""

    exit_code = 4

    def __init__(self, message: str, *, decisions: tuple[Any, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.decisions = decisions


class StalePlanError(PromotionError):
    """The world changed after the plan was made; make a new one."""


class ClaimHeldError(PromotionError):
    """Another process is working on the same target, or took it over; it is tried again later."""


class PluginError(SpeechMlflowError):
    """A plugin is broken; the message names it."""
