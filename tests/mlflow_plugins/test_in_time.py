"""The guard waits for gates a while and no longer, whatever they do."""

from __future__ import annotations

import contextvars
import threading
import time

import pytest

from speech_mlflow.mlflow_plugins import server

REQUEST = contextvars.ContextVar("REQUEST", default="none")


def test_what_gates_say_comes_back_from_the_requests_own_context() -> None:
    REQUEST.set("this one")
    assert server._in_time(REQUEST.get) == "this one"
    assert server._in_time(lambda: None) is None


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_whatever_a_gate_raises_is_an_error_and_ends_no_process(error: BaseException) -> None:
    def ask() -> None:
        raise error

    with pytest.raises(RuntimeError, match="a gate failed") as raised:
        server._in_time(ask)
    assert raised.value.__cause__ is error


def test_gates_that_hang_hold_nobody_up_and_are_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GUARD_SECONDS", 0.05)
    goes_on = threading.Event()

    def hang() -> None:
        goes_on.wait(60)

    for _ in range(server.GUARDS_AT_ONCE):
        with pytest.raises(TimeoutError, match="said nothing within"):
            server._in_time(hang)
    with pytest.raises(TimeoutError, match="too many gates hang"):
        server._in_time(lambda: "not asked any more")
    goes_on.set()
    monkeypatch.setattr(server, "GUARD_SECONDS", 60.0)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            assert server._in_time(lambda: "asked again") == "asked again"
            return
        except TimeoutError:
            time.sleep(0.01)
    raise AssertionError("the room of the gates that hung was not given back")
