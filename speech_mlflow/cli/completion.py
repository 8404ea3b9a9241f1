"""``speech-mlflow completion``: the scripts that make shells complete commands, options and values."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, get_completion_class, split_arg_string

from speech_mlflow.cli.app import App, command

PROGRAM, VARIABLE = "speech-mlflow", "_SPEECH_MLFLOW_COMPLETE"
SHELLS = ("bash", "zsh", "fish", "powershell")

_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $env:%(complete_var)s = "powershell_complete"
    $env:COMP_WORDS = $commandAst.ToString()
    $env:COMP_CWORD = $wordToComplete
    try {
        %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            [System.Management.Automation.CompletionResult]::new($value, $value, "ParameterValue", $help)
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD
    }
}
"""


@add_completion_class
class PowerShellComplete(ShellComplete):
    """Completion for PowerShell 5 and later, which click has none for. Paths are completed by PowerShell itself."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        words = split_arg_string(os.environ["COMP_WORDS"])[1:]
        incomplete = os.environ.get("COMP_CWORD", "")
        if incomplete and words and words[-1] == incomplete:
            words.pop()
        return words, incomplete

    def complete(self) -> str:
        """One line for each completion; nothing for paths, so that PowerShell falls back to its own."""
        items = self.get_completions(*self.get_completion_args())
        return "\n".join(self.format_completion(item) for item in items if item.type == "plain")

    def format_completion(self, item: CompletionItem) -> str:
        """The value and, behind a tab, its tip, which may not be empty."""
        return f"{item.value}\t{item.help or item.value}"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@command
def completion(app: App, shell: str) -> None:
    """Print the script that makes a shell complete commands, options and values.

    \b
    speech-mlflow completion bash >> ~/.bashrc
    speech-mlflow completion zsh >> ~/.zshrc
    speech-mlflow completion fish > ~/.config/fish/completions/speech-mlflow.fish
    speech-mlflow completion powershell >> $PROFILE
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    script = kind(root, {}, PROGRAM, VARIABLE).source()
    if shell == "zsh":  # a new user's .zshrc has not loaded it
        script = script.replace("\n", "\n\n(( $+functions[compdef] )) || { autoload -Uz compinit; compinit }\n", 1)
    app.emit({"shell": shell, "script": script}, lambda: click.echo(script))
