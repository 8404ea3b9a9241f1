"""``speech-mlflow endpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, entity, fields, table

if TYPE_CHECKING:
    from speech_mlflow.service.entities import Endpoint


@click.group()
def endpoints() -> None:
    """List and show endpoints."""


@endpoints.command("list")
@command
def list_(app: App) -> None:
    """List the endpoints of the resource.

    \b
    speech-mlflow endpoints list --json
    """
    found = sorted(app.speech().endpoints.list(), key=lambda endpoint: endpoint.display_name or "")
    rows = [_row(endpoint) for endpoint in found]
    app.emit(
        [entity(endpoint) for endpoint in found],
        lambda: table(list(rows[0]), [list(row.values()) for row in rows]) if rows else click.echo("no endpoints yet"),
    )


@endpoints.command()
@click.argument("endpoint_id")
@command
def show(app: App, endpoint_id: str) -> None:
    """Show one endpoint: what it serves, since when, and who made it.

    \b
    speech-mlflow endpoints show 4e1b2c3d-...
    """
    endpoint = app.speech().endpoints.get(endpoint_id)
    more = {"description": endpoint.description, **(endpoint.custom_properties or {})}
    app.emit(entity(endpoint), lambda: fields(_row(endpoint) | more))


def _row(endpoint: Endpoint) -> dict[str, object]:
    changed = endpoint.last_action_date_time
    return {
        "id": endpoint.id,
        "name": endpoint.display_name,
        "status": endpoint.status,
        "model": endpoint.model.id if endpoint.model else None,
        "changed": f"{changed:%Y-%m-%d %H:%M}" if changed else None,
    }
