"""``speech-mlflow models expiring``: models that the service will soon stop using."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, table

if TYPE_CHECKING:
    from speech_mlflow.promotion.lifecycle import Age

EXPIRING = 5


@click.command(short_help="List versions whose models expire soon.")
@click.option("--within", metavar="DAYS", type=click.FloatRange(min=0), help="How many days ahead (default: expiry_days).")
@click.option("--served", is_flag=True, help="Only models that an endpoint serves.")
@click.option("--exit-code", is_flag=True, help="Exit with 5 where any is listed.")
@command
@click.pass_context
def expiring(context: click.Context, app: App, within: float | None, served: bool, exit_code: bool) -> None:
    """List versions whose models expire: an endpoint then answers with the newest base model, without an error.

    Also says which base model is newer than the one that a served version was trained on.

    \b
    speech-mlflow models expiring
    speech-mlflow models expiring --within 90 --served --exit-code
    """
    from speech_mlflow.promotion import lifecycle, registry
    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.promotion.usecases import target_of

    days, speech = app.settings.expiry_days if within is None else within, app.speech()
    ages = lifecycle.read(
        speech,
        registry.read_all(app.mlflow()).values(),
        target_of=lambda name: target_of(app.settings, name),
        regions=context.with_resource(Regions(app.settings, speech)),
    )
    found = [age for age in ages.within(days) if age.endpoint_id or not served]
    app.emit([age.to_dict() for age in found], lambda: _show(found, days))
    if found and exit_code:
        context.exit(EXPIRING)


def _show(found: list[Age], days: float) -> None:
    if not found:
        click.echo(f"no model of a registered version expires within {days:g} days")
        return
    table(
        ["model", "version", "stage", "expires", "days", "region", "endpoint", "newer base model"],
        [
            (
                age.registered_model,
                age.version,
                age.stage,
                age.expires.date() if age.expires else "",
                f"{age.days:.0f}" if age.days is not None else "",
                age.region,
                age.endpoint_id,
                age.newer_base,
            )
            for age in found
        ],
        right=["version", "days"],
    )
