"""``speech-mlflow endpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, entity, fields, table

if TYPE_CHECKING:
    from speech_mlflow.service.entities import Endpoint


@click.group()
def endpoints() -> None:
    """List and show endpoints.

    \b
    speech-mlflow endpoints list
    """


@endpoints.command("list", short_help="List endpoints and the versions they serve.")
@command
def list_(app: App) -> None:
    """List the endpoints of the resource and the registered versions that they serve at this moment.

    \b
    speech-mlflow endpoints list
    speech-mlflow endpoints list --json
    """
    found = sorted(app.speech().endpoints.list(), key=lambda endpoint: endpoint.display_name or "")
    versions = _versions(app) if found else {}
    rows = [_row(endpoint, versions) for endpoint in found]
    app.emit(
        [entity(endpoint) | {"serves": _served(endpoint, versions)} for endpoint in found],
        lambda: table(list(rows[0]), [list(row.values()) for row in rows]) if rows else click.echo("no endpoints yet"),
    )


@endpoints.command(short_help="Show one endpoint.")
@click.argument("endpoint_id")
@command
def show(app: App, endpoint_id: str) -> None:
    """Show one endpoint: what it serves, since when, and who made it.

    \b
    speech-mlflow endpoints show 4e1b2c3d-...
    """
    endpoint = app.speech().endpoints.get(endpoint_id)
    more = {"description": endpoint.description, **(endpoint.custom_properties or {})}
    versions = _versions(app)
    document = entity(endpoint) | {"serves": _served(endpoint, versions)}
    app.emit(document, lambda: fields(_row(endpoint, versions) | more))


def _versions(app: App) -> dict[str | None, list[str]]:
    """The registered versions that stand for each model of the service."""
    from speech_mlflow.tracking.versions import list_versions

    found: dict[str | None, list[str]] = {}
    for version in reversed(list_versions(app.mlflow())):
        found.setdefault(version.model_id, []).append(f"{version.name}/{version.version}")
    return found


def _served(endpoint: Endpoint, versions: dict[str | None, list[str]]) -> list[str]:
    """The versions behind an endpoint: by the model that the service says it has loaded, whatever is written elsewhere."""
    return versions.get(endpoint.model.id, []) if endpoint.model else []


def _row(endpoint: Endpoint, versions: dict[str | None, list[str]]) -> dict[str, object]:
    changed = endpoint.last_action_date_time
    return {
        "id": endpoint.id,
        "name": endpoint.display_name,
        "serves": ", ".join(_served(endpoint, versions)) or None,
        "status": endpoint.status,
        "model": endpoint.model.id if endpoint.model else None,
        "changed": f"{changed:%Y-%m-%d %H:%M}" if changed else None,
    }
