"""What the processes of these tests do: one go of a promotion, or a controller that runs until it is ended."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from speech_mlflow import hookimpl
from speech_mlflow.promotion.target import Target

STARTED_WITH = frozenset(sys.modules)
"""What was loaded when this module was: in a process of the fork server, before anything of the test ran."""


def apply_once(
    uri: str, address: dict[str, str], name: str, target: dict[str, Any], environ: dict[str, str], claim: float = 30.0
) -> None:
    """One go, in a process that may be made to die in it."""
    os.environ.update(environ)
    from mlflow import MlflowClient

    from speech_mlflow.promotion.apply import apply
    from speech_mlflow.promotion.options import Options

    with _connect(address) as speech:
        options = Options(who=f"process {os.getpid()}", why="a test", look_after=(0.0, 0.2), claim_seconds=claim)
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

    stack = ExitStack()

    def ready(controller: Controller) -> None:
        if "listen" in settings:
            receiver = Receiver(controller, [SecretStr(settings["secret"])])
            stack.enter_context(listening(receiver.app(), settings["listen"]))
        started.set()

    with stack, _connect(address) as speech:
        watch(
            speech,
            MlflowClient(uri, uri),
            poll_seconds=settings.get("poll", 0.2),
            resync_seconds=settings.get("resync", 1.0),
            options=Options(who=f"controller {os.getpid()}", look_after=(0.0, 0.2), claim_seconds=settings.get("claim", 30.0)),
            on_start=ready,
        )


def loaded(answers: Any) -> None:
    """Say whether MLflow was there when the process began."""
    answers.put("mlflow" in STARTED_WITH)


def _connect(address: dict[str, str]) -> Any:
    """A client whose pauses between tries are short."""
    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.retry import Timing

    timing = Timing(sleep=lambda seconds: time.sleep(seconds / 20))
    return SpeechClient(address["url"], address["key"], resource=address["resource"], timing=timing)


def command(uri: str, address: dict[str, str], arguments: tuple[str, ...], out: str | None = None, noisy: bool = False) -> None:
    """A command, as a person types it; ``noisy``: with a plugin that prints."""
    os.environ["SPEECH_MLFLOW_ENDPOINT"] = address["url"]
    os.environ["SPEECH_MLFLOW_KEY"] = address["key"]
    os.environ["SPEECH_MLFLOW_TRACKING_URI"] = uri
    from speech_mlflow.cli.main import run
    from speech_mlflow.plugins import plugin_manager

    if noisy:
        plugin_manager().register(Noisy())
    if out is not None:
        sys.stdout = open(out, "w")  # noqa: SIM115 - for as long as the process lasts
    run(list(arguments))


class Noisy:
    """Prints whatever it is asked."""

    @hookimpl
    def promotion_gate(self, candidate: Any) -> None:
        """A gate that says nothing, aloud."""
        print("a gate was asked")

    @hookimpl
    def promotion_event(self, event: Any) -> None:
        """A listener that tells everybody."""
        print("an event came")


def apply_with_little_room(uri: str, address: dict[str, str], name: str) -> None:
    """One go, in a process that can make no file longer than a kilobyte: writing fails as on a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
    apply_once(uri, address, name, {}, {})
