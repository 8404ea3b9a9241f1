"""The top of the command line: which commands there are, and what an error looks like."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback

import click

from speech_mlflow import __version__
from speech_mlflow.errors import CorpusError, SpeechMlflowError

COMMANDS = {
    "demo": ("demo", "The whole story on example data, offline."),
    "data": ("data", "Check, upload and list data sets."),
    "train": ("train", "Train a custom model; an MLflow run, a logged model and a registered version."),
    "test": ("test", "Test models on a test set; an MLflow run with WER, table and report."),
    "evaluations": ("evaluations", "List and show the evaluations of the service."),
    "models": ("models", "List custom models and base models."),
    "import": ("importing", "Bring models and evaluations that the resource has already into MLflow."),
    "endpoints": ("endpoints", "List and show endpoints."),
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
    "plugins": ("plugins", "List plugins and the hooks they use."),
    "config": ("config", "Show the settings and where each came from."),
}
"""Command → (module below ``speech_mlflow.cli``, short help). The module is imported when the command is used."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"speech_mlflow.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    130 stopped by Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "DEBUG" if debug else "WARNING")  # read when mlflow is imported
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code = cli.main(args=arguments, prog_name="speech-mlflow", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped; what the service has begun goes on there: run the same command again to pick it up", err=True)
        code = 130
    except SpeechMlflowError as error:
        if debug:
            traceback.print_exc()
        _show(error)
        code = error.exit_code
    except BrokenPipeError:
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _show(error: SpeechMlflowError) -> None:
    click.echo(f"error: {error}", err=True)
    if isinstance(error, CorpusError):
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    if error.hint:
        click.echo(f"  → {error.hint}", err=True)
