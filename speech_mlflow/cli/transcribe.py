"""``speech-mlflow transcribe``."""

from __future__ import annotations

from pathlib import Path

import click

from speech_mlflow.cli.app import App, command


@click.command()
@click.argument("recordings", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@click.option("--endpoint-id", help="Id of the endpoint.")
@click.option("--model", "model_name", help="Registered model; its endpoint is used.")
@command
def transcribe(app: App, recordings: tuple[Path, ...], endpoint_id: str | None, model_name: str | None) -> None:
    """Send recordings of up to 60 seconds to an endpoint and print what it heard.

    \b
    speech-mlflow transcribe note.wav --model clinic-en-us
    speech-mlflow transcribe *.wav --endpoint-id 4e1b... --json
    """
    if (endpoint_id is None) == (model_name is None):
        raise click.UsageError("say which endpoint: --model NAME or --endpoint-id ID")
    speech = app.speech()
    if endpoint_id is None:
        from speech_mlflow.tracking.versions import endpoint_of

        assert model_name is not None
        endpoint_id = endpoint_of(app.mlflow(), model_name)
    heard = []
    for recording in recordings:
        result = speech.recognize(endpoint_id, recording, language=app.settings.locale)
        heard.append((recording, result))
        if not app.json:
            click.echo(f"{recording}: {result.display}" if len(recordings) > 1 else result.display)
    app.emit(
        [
            {
                "file": str(recording),
                "status": result.status,
                "display": result.display,
                "lexical": result.lexical,
                "confidence": result.confidence,
            }
            for recording, result in heard
        ],
        lambda: None,
    )
