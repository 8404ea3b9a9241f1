"""Worker processes: functions called in another process, over pipes.

Plain ``subprocess`` and pipes instead of ``multiprocessing``: a program that uses them needs no ``__main__`` guard, and a worker whose
parent is gone (even by ``kill -9``) sees its pipe close and ends. What goes through the pipes is pickled, between processes of one
user that started each other.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from speech_mlflow.errors import EngineError, SpeechMlflowError

_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from speech_mlflow.emulator.worker import main; main()"
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PIPE_ERRORS = (EOFError, OSError, pickle.UnpicklingError)

Report = Callable[..., None]


class WorkerDiedError(EngineError):
    """The process ended before it answered; whether the work was done is not known."""


class Worker:
    """One process that runs one call at a time. Not thread-safe, except for :meth:`stop`."""

    def __init__(self) -> None:
        paths = [os.path.abspath(path) for path in sys.path]
        # One thread each: there are as many workers as cores, and sums in one order give the same bits every time.
        environ = {**os.environ, **_SINGLE_THREADED}
        command = [sys.executable, "-c", _START, json.dumps(paths)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._from: BinaryIO = self._process.stdout  # type: ignore[assignment]

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def call(self, function: str, *args: Any, on_report: Report | None = None) -> Any:
        """Call ``"module:name"`` in the worker and return what it returns or raise what it raises.

        A function that is named with a leading ``+`` gets, before ``args``, a callable whose arguments arrive at ``on_report``.
        Raises WorkerDiedError when the process ends before the answer.
        """
        try:
            pickle.dump((function, args), self._to)
            self._to.flush()
            while True:
                kind, value = pickle.load(self._from)  # noqa: S301 - written by our own child process
                if kind == "report":
                    if on_report is not None:
                        on_report(*value)
                elif kind == "error":
                    raise value
                else:
                    return value
        except _PIPE_ERRORS as error:
            if isinstance(error, SpeechMlflowError):
                raise
            self.stop()
            raise WorkerDiedError(f"a worker process ended unexpectedly (exit code {self._process.returncode})") from error

    def stop(self) -> None:
        """End the process, whatever it is doing, and wait for its end."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):  # what was not sent yet can no longer be
                pipe.close()


def main() -> None:
    """The life of a worker process: calls from stdin, answers to what was stdout, until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the parent decides
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the answers
    calls: queue.SimpleQueue[tuple[str, tuple[Any, ...]]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(os.fdopen(os.dup(0), "rb"), calls), daemon=True).start()
    lock = threading.Lock()

    def answer(kind: str, value: Any) -> None:
        with lock:
            pickle.dump((kind, value), answers)
            answers.flush()

    while True:
        function, args = calls.get()
        try:
            answer("result", _run(function, args, lambda *values: answer("report", values)))
        except BrokenPipeError:
            return
        except Exception as error:
            answer("error", _portable(error))


def _receive(stream: BinaryIO, calls: queue.SimpleQueue[tuple[str, tuple[Any, ...]]]) -> None:
    while True:
        try:
            calls.put(pickle.load(stream))  # noqa: S301 - written by our own parent process
        except _PIPE_ERRORS:
            os._exit(0)  # the parent is gone: nobody wants the answer of what is being worked on


def _run(function: str, args: tuple[Any, ...], report: Report) -> Any:
    module, _, name = function.lstrip("+").partition(":")
    target = getattr(importlib.import_module(module), name)
    return target(report, *args) if function.startswith("+") else target(*args)


def _portable(error: Exception) -> Exception:
    """An exception that the parent can certainly unpickle; anything not our own becomes an EngineError that names it."""
    if isinstance(error, SpeechMlflowError):
        with contextlib.suppress(Exception):  # an exception of a plugin may not survive pickling
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
            return error
    return EngineError(f"{type(error).__name__}: {error}")
