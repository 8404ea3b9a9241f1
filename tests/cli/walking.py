"""Every command of the command line, for tests and for the reference in the README."""

from __future__ import annotations

from collections.abc import Iterator

import click

from speech_mlflow.cli.main import cli

Path_ = tuple[str, ...]


def walk(group: click.Group = cli, path: Path_ = ()) -> Iterator[tuple[Path_, click.Command]]:
    """Each command below ``group`` with the words that call it, groups before what is in them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


def options(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by their long name."""
    found = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {max(option.opts, key=len): option for option in found}


ALL = {" ".join(path): command for path, command in walk()}
GROUPS = {name for name, command in ALL.items() if isinstance(command, click.Group)}
LEAVES = {name: command for name, command in ALL.items() if name not in GROUPS}
