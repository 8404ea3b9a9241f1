"""What the processes of these tests do: one go of a promotion, or a controller that runs until it is ended."""

from __future__ import annotations

import os
from typing import Any

from speech_mlflow.promotion.target import Target


def apply_once(
    uri: str, address: dict[str, str], name: str, target: dict[str, Any], environ: dict[str, str], claim: float = 30.0
) -> None:
    """One go, in a process that may be made to die in it."""
    os.environ.update(environ)
    from mlflow import MlflowClient

    from speech_mlflow.promotion.apply import apply
    from speech_mlflow.promotion.options import Options
    from speech_mlflow.service.client import SpeechClient

    with SpeechClient(address["url"], address["key"], resource=address["resource"]) as speech:
        options = Options(who="a process", why="a test", look_after=(0.0, 0.2))
        apply(speech, MlflowClient(uri, uri), name, Target.declared(target), options=options)


def control(uri: str, address: dict[str, str], started: Any, settings: dict[str, Any]) -> None:
    """A controller, until a signal ends it; with ``listen`` and ``secret`` in the settings it has a receiver."""
    from contextlib import ExitStack

    from mlflow import MlflowClient
    from pydantic import SecretStr

    from speech_mlflow.promotion.controller import Controller, watch
    from speech_mlflow.promotion.listening import listening
    from speech_mlflow.promotion.options import Options
    from speech_mlflow.promotion.receiver import Receiver
    from speech_mlflow.service.client import SpeechClient

    stack = ExitStack()

    def ready(controller: Controller) -> None:
        if "listen" in settings:
            receiver = Receiver(controller, [SecretStr(settings["secret"])])
            stack.enter_context(listening(receiver.app(), settings["listen"]))
        started.set()

    with stack, SpeechClient(address["url"], address["key"], resource=address["resource"]) as speech:
        watch(
            speech,
            MlflowClient(uri, uri),
            poll_seconds=settings.get("poll", 0.2),
            resync_seconds=settings.get("resync", 1.0),
            options=Options(who=f"controller {os.getpid()}", look_after=(0.0, 0.2), claim_seconds=settings.get("claim", 30.0)),
            on_start=ready,
        )
