"""Telling plugins what happened: each by itself, each event, in their order."""

from __future__ import annotations

import logging
import threading

import pytest

from speech_mlflow import hookimpl
from speech_mlflow.plugins import create_manager
from speech_mlflow.promotion.events import MOST_WAITING, PromotionEvent, notify


class Slow:
    """It does not end its first event before it is let go."""

    def __init__(self) -> None:
        self.go, self.all = threading.Event(), threading.Event()
        self.heard: list[str] = []

    @hookimpl
    def promotion_event(self, event: PromotionEvent) -> None:
        self.go.wait(60)
        self.heard.append(event.reason)
        if event.reason == "fails":
            raise SystemExit(3)
        if event.reason == "last":
            self.all.set()


class Quick:
    """It does nothing but hear."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def promotion_event(self, event: PromotionEvent) -> None:
        self.heard.append(event.reason)


def test_a_plugin_that_hangs_hears_later_what_happened_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    slow, quick = Slow(), Quick()
    manager.register(slow, "slow")
    manager.register(quick, "quick")
    told: list[str] = []
    reasons = ["first", "lost", "fails", *(str(number) for number in range(MOST_WAITING - 2)), "last"]
    for reason in reasons:
        notify(
            PromotionEvent("served", "clinic", "default", reason), manager=manager, on_event=lambda one: told.append(one.reason)
        )
    assert told == quick.heard == reasons
    slow.go.set()
    assert slow.all.wait(60)
    assert slow.heard == [reason for reason in reasons if reason != "lost"]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "plugin slow has not done with promotion_event after 4 s: nobody waits for it",
        "plugin slow hangs, and is not told: lost",
        "plugin slow failed in promotion_event: SystemExit: 3",
    ]
