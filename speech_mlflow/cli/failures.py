"""What an error looks like on the command line: one line with the cause, one with the next step, and no secret in either."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import logging

    from speech_mlflow.errors import SpeechMlflowError


def start_log(debug: bool) -> None:
    """Log warnings to stderr, or everything under ``--debug``; secrets are replaced in every line."""
    import logging

    from speech_mlflow.cli import redact

    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "DEBUG" if debug else "WARNING")  # read when mlflow is imported
    redact.hide_environment()
    handler = logging.StreamHandler()
    handler.setFormatter(redact.Redacting("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler])
    if not debug:
        logging.getLogger("azure").setLevel(logging.ERROR)  # a page about each way to sign in; the error says what to do
        logging.getLogger("urllib3.connectionpool").addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    """A try of MLflow's client that failed, on a short line; there are up to seven."""
    if "connection broken by" in str(record.msg) and isinstance(record.args, tuple) and record.args:
        record.msg, record.args = "no answer, trying again; tries left: %s", (getattr(record.args[0], "total", "some"),)
    return True


def show(error: Exception, debug: bool) -> int:
    """Print an error to stderr, with its trace under ``--debug``; the exit code."""
    from speech_mlflow.cli.redact import redact
    from speech_mlflow.errors import CorpusError, SpeechMlflowError

    if isinstance(error, click.ClickException):
        suggest(error).show()
        return error.exit_code
    if debug:
        import traceback

        click.echo(redact("".join(traceback.format_exception(type(error), error, error.__traceback__))), err=True, nl=False)
    error = _refusal(error) or error
    if not isinstance(error, SpeechMlflowError):
        text, hint = _foreign(error)
        click.echo(redact(f"error: {text}\n  → {hint}"), err=True)
        return 1
    problems = error.problems if isinstance(error, CorpusError) else ()
    cause = str(error).partition("\n")[0] if problems else str(error)  # its other lines are the first of the problems
    for line in (f"error: {cause}", *(f"  {problem}" for problem in problems)):
        click.echo(redact(line), err=True)
    click.echo(redact(f"  → {error.hint or _next_step(error)}"), err=True)
    return error.exit_code


def suggest(error: click.ClickException) -> click.ClickException:
    """The error, with the nearest command behind "No such command" where this click does not name it itself."""
    import difflib

    context = getattr(error, "ctx", None)
    if context is None or not error.message.startswith("No such command") or "Did you mean" in error.format_message():
        return error
    known = context.command.list_commands(context) if isinstance(context.command, click.Group) else []
    close = difflib.get_close_matches(error.message.split("'")[1], known, n=1)
    if not close:
        return error
    return click.UsageError(f"{error.message.rstrip('.')}. Did you mean {close[0]!r}?", context)


def _next_step(error: Exception) -> str:
    from speech_mlflow import errors

    if isinstance(error, errors.NotFoundError):
        return "`data list`, `models list`, `endpoints list` and `evaluations list` show what there is"
    if isinstance(error, errors.BadRequestError):
        return "the service does not take this: change what is named"
    if isinstance(error, errors.ScoringError):
        return "mend what is named, and run it again"
    if isinstance(error, errors.DataError):
        return "mend what is named, and run it again; `speech-mlflow data check` looks at whole data sets"
    if isinstance(error, errors.SettingsError):
        return "`speech-mlflow config show` shows the settings and where each came from"
    if isinstance(error, (errors.ServiceError, errors.EmulatorError, errors.TrackingError)):
        return "`speech-mlflow doctor` looks for the cause; --debug shows the trace"
    return "run it again with --debug to see the trace"


def _refusal(error: Exception) -> SpeechMlflowError | None:
    """An error of MLflow's that means that this user may not do it."""
    if "mlflow.exceptions" not in sys.modules or not isinstance(error, sys.modules["mlflow.exceptions"].MlflowException):
        return None
    from speech_mlflow.tracking.refusal import refusal

    return refusal(error)


def _foreign(error: Exception) -> tuple[str, str]:
    """The first line of an error that is not ours, and what to do about it."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    mlflow = sys.modules.get("mlflow.exceptions")
    if mlflow is not None and isinstance(error, mlflow.MlflowException):
        text = re.sub(r"^MlflowException: API request to (\S+) failed with exception .*", r"MLflow does not answer: \1", text)
        return text, "this comes from MLflow: `speech-mlflow doctor` looks at its server and store"
    if isinstance(error, ModuleNotFoundError):
        return f"the Python package {error.name} is not installed", f"pip install {error.name}, or what provides it"
    if isinstance(error, OSError):
        if error.filename is not None and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        return text, "the system refused it: look at the path, its permissions and the space left"
    return text, "this was not expected: run it again with --debug to see the trace"
