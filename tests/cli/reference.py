"""The reference of the command line in the README: ``python -m tests.cli.reference`` writes it anew, a test compares it."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from tests.cli.contract import CONTRACT, ENTITY
from tests.cli.walking import LEAVES

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- written by `python -m tests.cli.reference`; a test compares it with the commands -->"
END = "<!-- end of what is written -->"
SHARED = (
    "--json",
    "--debug",
    "--no-color",
    "--endpoint",
    "--tracking-uri",
    "--experiment",
    "--project",
    "--locale",
    "--state-dir",
)
KINDS = {
    "path": "PATH",
    "file": "FILE",
    "directory": "DIR",
    "integer": "N",
    "integer range": "N",
    "float": "X",
    "float range": "X",
}


def render() -> str:
    """A table with a line for each command."""
    lines = [
        "| command | options of its own | `--json` prints |",
        "| --- | --- | --- |",
    ]
    for name, command in sorted(LEAVES.items()):
        lines.append(f"| `speech-mlflow {usage(name, command)}` | {', '.join(options(command))} | {prints(name)} |")
    return "\n".join(lines)


def usage(name: str, command: click.Command) -> str:
    """The command with its arguments; those that may be left out stand in brackets."""
    pieces = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            text = takes(parameter) + ("..." if parameter.nargs == -1 else "")
            pieces.append(text if parameter.required or text.startswith("[") else f"[{text}]")
    return " ".join([name, *pieces])


def options(command: click.Command) -> list[str]:
    """The options that not every command has, with what they take."""
    found = []
    for parameter in command.params:
        names = [name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")]
        if not isinstance(parameter, click.Option) or parameter.hidden or names[0] in SHARED:
            continue
        found.append(f"`{'/'.join(names)}{'' if parameter.is_flag else ' ' + takes(parameter)}`")
    return found


def takes(parameter: click.Parameter) -> str:
    """What a parameter takes, in words that do not depend on the version of click."""
    if isinstance(parameter.type, click.Choice):
        text = "\\|".join(str(choice) for choice in parameter.type.choices)
    elif parameter.metavar:
        text = parameter.metavar.replace("|", "\\|").removesuffix("...")
    elif isinstance(parameter, click.Argument):
        text = (parameter.name or "").upper()
    else:
        text = KINDS.get(parameter.type.name, "TEXT")
    return text


def prints(name: str) -> str:
    """The names that the contract promises."""
    wanted = CONTRACT[name]
    names = wanted[0] if isinstance(wanted, list) else wanted
    rest = [f"`{each}`" for each in names if each not in ENTITY or not set(ENTITY) <= set(names)]
    if set(ENTITY) <= set(names):
        rest.insert(0, "an entity")
    text = ", ".join(rest)
    return f"list of: {text}" if isinstance(wanted, list) else text


def written(readme: str) -> str:
    """The README with the reference between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert rest, f"the README has no line {BEGIN}"
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}"


def main() -> None:
    """Write it; say whether it had to be."""
    old = README.read_text("utf-8")
    new = written(old)
    README.write_text(new, "utf-8")
    print("the README is as it was" if old == new else "the README was written")


def difference() -> str:
    """What would be written differently; nothing where the README is right."""
    old = README.read_text("utf-8")
    return "\n".join(
        difflib.unified_diff(old.splitlines(), written(old).splitlines(), "README.md", "the commands", lineterm="")
    )


if __name__ == "__main__":
    main()
