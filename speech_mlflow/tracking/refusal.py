"""What an MLflow server refuses, said in words: who may not do what, and what to do about it.

MLflow's own message names a path of its API and the body of the answer. Servers differ in what they have (the logged models,
the stages), and in how they say that they lack it.

Errors are told apart by MLflow's own codes; MLflow is not imported for that.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from speech_mlflow.errors import TrackingError

P = ParamSpec("P")
T = TypeVar("T")

_PATH = re.compile(r"endpoint \S*?/mlflow(?:-artifacts)?/(\S+)")
_NEEDED = (
    (("registered-models/create",), "the right to make registered models"),
    (("experiments/create",), "the right to make experiments"),
    (("registered-models", "model-versions"), "EDIT on the registered model"),
    (("experiments", "runs", "logged-models", "artifacts"), "EDIT on the experiment"),
)
"""What MLflow's basic-auth app wants, by the beginning of the path; READ is enough to look."""


def no_such_api(error: Exception) -> bool:
    """Whether the server does not know an API at all: a 404 for the address, not for one thing.

    MLflow names it ENDPOINT_NOT_FOUND where the body is not JSON; a hosted server's JSON body carries no MLflow error code.
    """
    body = getattr(error, "json", None)
    if isinstance(body, dict) and "error_code" not in body:
        return "404" in str(body)
    return getattr(error, "error_code", None) == "ENDPOINT_NOT_FOUND"


def refusal(error: Exception) -> TrackingError | None:
    """The error to raise instead where the server knows no such user, or the user may not do it; None for all others."""
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    who = f"the user {user!r}" if user else "this user"
    code = getattr(error, "error_code", None)
    if code == "UNAUTHENTICATED":
        return TrackingError(
            f"the MLflow server does not know {who}, or not with this password",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        )
    if code != "PERMISSION_DENIED":
        return None
    found = _PATH.search(str(error))
    path = found.group(1) if found else ""
    needed = next((what for starts, what in _NEEDED if path.startswith(starts)), "the permission")
    action = f" ({path})" if path else ""
    body = getattr(error, "json", None)
    reason = str((body.get("message") if isinstance(body, dict) else None) or "permission denied")
    return TrackingError(
        f"the MLflow server does not let {who} do this{action}: {reason}",
        hint=f"ask who administers it for {needed}, or change MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    )


def delete(action: Callable[[], object], *, instead: Callable[[], object]) -> None:
    """Delete something. To who may edit and not delete (MLflow's EDIT; deleting takes MANAGE), ``instead`` leaves it where it is
    and makes it count no more."""
    try:
        action()
    except Exception as error:
        if getattr(error, "error_code", None) != "PERMISSION_DENIED":
            raise
        instead()


def explained(function: Callable[P, T]) -> Callable[P, T]:
    """Have a function raise TrackingError where MLflow refuses the user; other errors of MLflow pass as they are."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            said = refusal(error)
            if said is None:
                raise
            raise said from error

    return wrapper
