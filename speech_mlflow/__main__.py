"""``python -m speech_mlflow`` is ``speech-mlflow``."""

from speech_mlflow.cli import main

main()
