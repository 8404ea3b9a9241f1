"""``speech-mlflow lineage``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command
from speech_mlflow.errors import TrackingError

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from speech_mlflow.tracking.lineage import Lineage, Node

COLOURS = {
    "data": "cyan",
    "base model": "blue",
    "train": "magenta",
    "model": "bold blue",
    "test": "yellow",
    "version": "bold green",
    "promotion": "green",
    "endpoint": "bold red",
}


@click.command()
@click.argument("reference", metavar="MODEL/VERSION|RUN|ENDPOINT")
@command
def lineage(app: App, reference: str) -> None:
    """Draw where a model came from and what became of it: data, training, tests, promotions, endpoint.

    From any link of the chain: a version (also NAME@ALIAS, NAME/STAGE), a run, or an endpoint by its id or name. What was asked
    for is marked with <.

    \b
    speech-mlflow lineage clinic-en-us/2
    speech-mlflow lineage clinic-en-us/Production --json
    speech-mlflow lineage 9e3c55f10a2e453db89dcf15e7fdc959
    speech-mlflow lineage speech-mlflow/clinic-en-us/default
    """
    chain = _find(app, reference)
    app.emit(chain.to_dict(), lambda: _show(chain))


def _find(app: App, reference: str) -> Lineage:
    """The chain by what MLflow knows; where that is nothing, ``reference`` may be the name of an endpoint in the service."""
    from speech_mlflow.service import filters
    from speech_mlflow.tracking.lineage import lineage as read

    client = app.mlflow()
    try:
        return read(client, reference)
    except TrackingError:
        if re.fullmatch(r"[^/]+/\d+|[0-9a-f]{32}", reference):  # a version or a run, and nothing else
            raise
        named = list(app.speech().endpoints.list(filters.eq("displayName", reference)))
        if not named:
            raise
        return read(client, named[0].id)


def _show(chain: Lineage) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        click.echo(str(chain))
        return
    drawn: set[str] = set()
    for root in chain.roots():
        trains = chain.trainings(root)
        for train in trains:
            for source in chain.before(train.id):
                console.print(_line(chain, source))
        console.print(_tree(chain, root, trains, drawn))


def _tree(chain: Lineage, root: Node, trains: list[Node], drawn: set[str]) -> Tree:
    from rich.tree import Tree

    def add(tree: Tree, node: Node) -> None:
        branch = tree.add(_line(chain, node))
        if node.id not in drawn:  # an endpoint that several versions were put on is described once
            drawn.add(node.id)
            for child in chain.after(node.id):
                add(branch, child)

    tree = Tree(_line(chain, trains[-1] if trains else root))
    for node in [] if root in trains else [root] if trains else chain.after(root.id):
        add(tree, node)
    return tree


def _line(chain: Lineage, node: Node) -> Text:
    from rich.text import Text

    facts = ", ".join(f"{name} {value}" for name, value in node.facts.items())
    line = Text.assemble((node.kind, COLOURS[node.kind]), f" {node.title}", (f"  {facts}" if facts else "", "dim"))
    if node.id == chain.focus:
        line.append("  <", "bold")
    return line
