"""The command line, one module a noun. Nothing heavy is imported before a command needs it."""

from __future__ import annotations


def main() -> None:
    """Run ``speech-mlflow``."""
    from speech_mlflow.cli.main import run

    run()
