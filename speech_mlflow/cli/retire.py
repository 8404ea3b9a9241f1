"""``speech-mlflow retire``: endpoints and models of ours that nothing names any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, table
from speech_mlflow.errors import SettingsError

if TYPE_CHECKING:
    from speech_mlflow.promotion.retire import Leftover


@click.command()
@click.argument("model", required=False)
@click.option("--prune", is_flag=True, help="Delete them; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@command
def retire(app: App, model: str | None, prune: bool, yes: bool) -> None:
    """List endpoints and models at the service that no target and no version names any more, of MODEL or of all.

    Only what was made here is listed, and what serves never is. With --prune it is deleted; an endpoint that is deleted is
    gone for its clients, and a model for good.

    \b
    speech-mlflow retire
    speech-mlflow retire clinic-en-us --prune
    """
    from speech_mlflow.promotion import retire as retiring
    from speech_mlflow.promotion.options import Options
    from speech_mlflow.promotion.usecases import target_of

    speech, client = app.speech(), app.mlflow()

    def targets(name: str) -> list[object]:
        return [target_of(app.settings, name)]

    found = retiring.leftovers(speech, client, targets, model)  # type: ignore[arg-type]
    deletable = [one for one in found if one.kept is None]
    if prune and deletable:
        _confirm(deletable, yes=yes)
        options = Options(who="retire", why="retire --prune")
        found = retiring.prune(speech, client, targets, found, options=options)  # type: ignore[arg-type]
    app.emit([one.to_dict() for one in found], lambda: _show(found))


def _confirm(deletable: list[Leftover], *, yes: bool) -> None:
    what = ", ".join(f"{one.kind} {one.id}" for one in deletable)
    if yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError(f"--prune would delete {what}", hint="add --yes to say that this is meant")
    click.confirm(f"Delete {what}?", abort=True, err=True)


def _show(found: list[Leftover]) -> None:
    if not found:
        click.echo("nothing is left over: everything of ours at the service is named by a target or a version")
        return
    table(
        ["what", "id", "name", "model", "why", ""],
        [
            (
                one.kind,
                one.id,
                one.display_name,
                one.registered_model,
                one.reason,
                "deleted" if one.deleted else f"stays: {one.kept}" if one.kept else "",
            )
            for one in found
        ],
    )
