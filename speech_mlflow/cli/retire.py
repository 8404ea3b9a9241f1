"""``speech-mlflow retire``: endpoints and models of ours that nothing names any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, table
from speech_mlflow.errors import SettingsError

if TYPE_CHECKING:
    from speech_mlflow.promotion.retire import Leftover, TargetsOf
    from speech_mlflow.promotion.target import Target


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
    from speech_mlflow.promotion.options import Options, user
    from speech_mlflow.promotion.regions import Regions

    client, main = app.mlflow(), app.speech()
    regions = click.get_current_context().with_resource(Regions(app.settings, main))
    places = [(main, _targets(app, None)), *((regions.speech(name), _targets(app, name)) for name in app.settings.resources)]
    listed = [retiring.leftovers(speech, client, targets, model) for speech, targets in places]
    deletable = [one for found in listed for one in found if one.kept is None]
    if prune and deletable:
        _confirm(deletable, yes=yes)
        options = Options(who=user(), why="retire --prune")
        listed = [
            retiring.prune(speech, client, targets, found, options=options)
            for (speech, targets), found in zip(places, listed, strict=True)
        ]
    everything = [one for found in listed for one in found]
    app.emit([one.to_dict() for one in everything], lambda: _show(everything))


def _targets(app: App, region: str | None) -> TargetsOf:
    """The targets of a registered model in the resource of the settings, or in a named one."""
    from speech_mlflow.promotion.usecases import target_of

    def of(name: str) -> list[Target]:
        target = target_of(app.settings, name)
        if region is None:
            return [target]
        return [target.in_region(region)] if region in target.regions else []

    return of


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
        ["what", "id", "name", "model", "resource", "why", ""],
        [
            (
                one.kind,
                one.id,
                one.display_name,
                one.registered_model,
                one.resource,
                one.reason,
                "deleted" if one.deleted else f"stays: {one.kept}" if one.kept else "",
            )
            for one in found
        ],
    )
