"""The top of the command line: which commands there are, and what an error looks like."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from speech_mlflow import __version__

F = TypeVar("F", bound=Callable[..., Any])

COMMANDS = {
    "demo": ("demo", "The whole story on example data, offline."),
    "init": ("init", "Write a commented settings file with a pipeline, to start a project from."),
    "run": ("run", "Do what the project's file declares: train, test, ask the gates, promote; only what changed."),
    "data": ("data", "Check, upload and list data sets."),
    "train": ("train", "Train a custom model; an MLflow run, a logged model and a registered version."),
    "test": ("test", "Test models on a test set; an MLflow run with WER, table and report."),
    "compare": ("compare", "Compare tested models: is one better beyond chance, and where?"),
    "evaluations": ("evaluations", "List and show the evaluations of the service."),
    "status": ("status", "Show what is at work: trainings, tests and promotions, and where the service is."),
    "wait": ("status", "Wait for trainings and tests that were begun earlier."),
    "import": ("importing", "Bring models and evaluations that the resource has already into MLflow."),
    "models": ("models", "List custom models and base models."),
    "endpoints": ("endpoints", "List and show endpoints."),
    "lineage": ("lineage", "Draw a model's chain: data, training, tests, promotions, endpoint."),
    "promote": ("promotion", "Move a version to Production and deploy it."),
    "rollback": ("promotion", "Serve the version before the present one again."),
    "plan": ("promotion", "Show what would change at the endpoints."),
    "apply": ("promotion", "Make the endpoints serve what the registry says."),
    "watch": ("promotion", "Keep the endpoints as the registry says, until stopped."),
    "history": ("promotion", "List the promotions of a model."),
    "retire": ("retire", "List endpoints and models that nothing names any more; --prune deletes them."),
    "transcribe": ("transcribe", "Send recordings to an endpoint."),
    "score": ("score", "Score the output of any recogniser against references."),
    "emulator": ("emulator", "Run the offline speech service in the foreground, find it or stop it."),
    "doctor": ("doctor", "Check Python, packages, MLflow, the speech resource and tools; each line with a fix."),
    "plugins": ("plugins", "List plugins and the hooks they use."),
    "config": ("config", "Show the settings and where each came from."),
    "completion": ("completion", "Print a script that makes a shell complete commands and options."),
}
"""Command → (module below ``speech_mlflow.cli``, short help). The module is imported when the command is used."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *_plugin_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from speech_mlflow.cli.lazy import LazyCommand

        if cmd_name not in COMMANDS:
            return _plugin_commands().get(cmd_name)
        module, text = COMMANDS[cmd_name]
        return LazyCommand(cmd_name, f"speech_mlflow.cli.{module}:{cmd_name}", text).load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        added = [(name, command.get_short_help_str(60)) for name, command in _plugin_commands().items()]
        if added:
            with formatter.section("Plugin commands"):
                formatter.write_dl(added)


def _plugin_commands() -> Mapping[str, click.Command]:
    from speech_mlflow.cli.lazy import any_installed

    if not any_installed(sys.path, os.environ):
        return {}
    from speech_mlflow.cli.plugin_commands import plugin_commands

    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints when it is loaded is no part of a command's answer
        return plugin_commands()


def of_run(function: F) -> F:
    """Give a command the options that :func:`run` acts on before click does, so that they may stand anywhere."""
    function = click.option("--no-color", is_flag=True, expose_value=False, help="Show no colours; so does NO_COLOR=1.")(
        function
    )
    return click.option("--debug", is_flag=True, expose_value=False, help="Show traces and log everything but secrets.")(
        function
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@of_run
@click.version_option(__version__, prog_name="speech-mlflow")
def cli() -> None:
    """MLflow as the home of speech-to-text fine-tuning in Azure AI Speech.

    Without an endpoint in the settings, every command uses the offline speech service.

    \b
    speech-mlflow demo                     see all of it in three minutes
    speech-mlflow COMMAND --help           what a command does, with examples
    """


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 ok, 1 error, 2 usage, 3 bad input data, 4 a gate said no, 5 changes pending,
    130 stopped by Ctrl-C, 143 by SIGTERM."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without a letter shows a question mark, and no error
    options = set(itertools.takewhile(lambda argument: argument != "--", arguments))
    if "--no-color" in options:
        os.environ["NO_COLOR"] = "1"  # what rich and click go by
    if os.environ.get("_SPEECH_MLFLOW_COMPLETE", "").startswith("powershell"):
        import speech_mlflow.cli.completion  # noqa: F401  (click does not know this shell by itself)
    code = _run(arguments, "--debug" in options)
    sys.exit(code if isinstance(code, int) else 0)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which is to undo and release as Ctrl-C does."""


GRACE_SECONDS = 4.0
"""How long a command may take to end after a signal."""


def _interrupt(number: int, frame: object) -> None:
    threading.Thread(target=_end_anyway, args=(number,), daemon=True).start()
    raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _end_anyway(number: int) -> None:
    """A thread of an upload that waits for an answer cannot be ended from outside, and is waited for; not for ever."""
    time.sleep(GRACE_SECONDS)
    os._exit(128 + number)


def _run(arguments: list[str], debug: bool) -> Any:
    from speech_mlflow.cli import failures

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and a shell's `&` have it
            signal.signal(number, _interrupt)
    try:
        if not {"-h", "--help", "--version"} & set(arguments):
            failures.start_log(debug)
        return cli.main(args=arguments, prog_name="speech-mlflow", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo("\nstopped; what the service has begun goes on there: run the same command again to pick it up", err=True)
        return 143 if isinstance(error, _Terminated) or isinstance(error.__cause__, _Terminated) else 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # the last place to say it in words
        return failures.show(error, debug)
