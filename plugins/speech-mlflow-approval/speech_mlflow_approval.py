"""A version is served when enough people approved it, and its author does not count.

Who approved a version stands in its tag ``speech.approved_by``, names separated by commas; ``speech-mlflow approve`` adds one, and so
does anybody who edits the tag in MLflow. How many are needed is the registered model's tag ``speech.approvals_needed``, else the
environment variable ``APPROVALS_NEEDED``, else 2.

MLflow without authentication lets everybody write every tag: then a name is what somebody claims, not who they are.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

import speech_mlflow
from speech_mlflow.cli.app import App, command
from speech_mlflow.errors import PromotionError, SettingsError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.promotion.decisions import Candidate, Decision

APPROVED_BY = "speech.approved_by"
NEEDED_TAG = "speech.approvals_needed"
NEEDED = "APPROVALS_NEEDED"
TRIES = 5


@speech_mlflow.hookimpl
def promotion_gate(candidate: Candidate) -> Decision:
    """No, unless enough people other than the author approved the version."""
    from speech_mlflow.promotion.decisions import Decision

    wanted = needed(candidate.model.tags.get(NEEDED_TAG))
    author = candidate.author or candidate.version.user
    given = names(candidate.version.tags.get(APPROVED_BY))
    if not author:
        return Decision("approvals", False, "who made the version is not known: its training run names no user")
    counted = without(given, author)
    numbers = {"approvals": float(len(counted)), "approvals_needed": float(wanted)}
    text = f"{len(counted)} of {wanted} approvals ({', '.join(counted) or 'nobody'})"
    if len(counted) < len(given):
        text += f"; {author} made it and does not count"
    return Decision("approvals", len(counted) >= wanted, text, numbers)


@speech_mlflow.hookimpl
def register_commands(register: Callable[[click.Command], None]) -> None:
    """Add ``speech-mlflow approve``."""
    register(approve)


@click.command()
@click.argument("version", metavar="MODEL/VERSION")
@click.option("--by", metavar="NAME", help="Who approves; default: the MLflow user, else the user of this machine.")
@command
def approve(app: App, version: str, by: str | None) -> None:
    """Approve a version, so that it may be promoted.

    \b
    speech-mlflow approve clinic-en-us/2
    speech-mlflow approve clinic-en-us/2 --by ann --json
    """
    model, _, number = version.rpartition("/")
    if not model or not number.isdigit():
        raise click.BadParameter(f"{version!r} is not MODEL/VERSION, for example clinic-en-us/2")
    who = (by or os.environ.get("MLFLOW_TRACKING_USERNAME") or user()).strip()
    if not who or "," in who:
        raise click.BadParameter(f"{who!r} is not the name of one person", param_hint="--by")
    client = app.mlflow()
    people = add(client, model, number, who)
    wanted = needed(client.get_registered_model(model).tags.get(NEEDED_TAG))
    app.emit(
        {"registered_model": model, "version": number, "approved_by": people, "needed": wanted},
        lambda: click.echo(f"{version}: approved by {', '.join(people)}; {wanted} needed, the author not counted"),
    )


def user() -> str:
    """The user of this machine. Raises click.UsageError where the machine has no name for them, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("who approves is not known on this machine: say it with --by NAME") from None


def add(client: MlflowClient, model: str, number: str, who: str) -> list[str]:
    """Add a name to the tag; the names there are. Of two who write at once one may be lost, so it is read again."""
    for _ in range(TRIES):
        people = names(client.get_model_version(model, number).tags.get(APPROVED_BY))
        if who.casefold() in {one.casefold() for one in people}:
            return people
        client.set_model_version_tag(model, number, APPROVED_BY, ", ".join([*people, who]))
    raise PromotionError(f"somebody else keeps changing the tag {APPROVED_BY} of {model}/{number}", hint="try again")


def names(tag: str | None) -> list[str]:
    """The different names in a tag, in their order; upper and lower case are the same person."""
    found: dict[str, str] = {}
    for name in (tag or "").split(","):
        if name.strip():
            found.setdefault(name.strip().casefold(), name.strip())
    return list(found.values())


def without(people: Iterable[str], author: str) -> list[str]:
    """The people who are not the author."""
    return [one for one in people if one.casefold() != author.strip().casefold()]


def needed(tag: str | None) -> int:
    """How many approvals a version needs. Raises SettingsError for what is no number of 1 or more; the gate then says no."""
    text = tag or os.environ.get(NEEDED) or "2"
    if not text.strip().isdecimal() or int(text) < 1:
        raise SettingsError(f"{text!r} is no number of approvals", hint=f"set the tag {NEEDED_TAG} or {NEEDED} to 1 or more")
    return int(text)
