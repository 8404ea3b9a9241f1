"""Recognition and training in processes of their own, on all cores.

A decoder holds the interpreter's lock while it works, so threads gain nothing. Each worker keeps the models that it used last. A worker
that dies is replaced, and what it was working on is tried once more. What is heard does not depend on the number of workers or the
order of the recordings.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speech_mlflow.emulator.audio import to_pcm16k
from speech_mlflow.emulator.engine import (
    Engine,
    Recognition,
    Recognizer,
    StepProgress,
    TrainingReport,
    TrainingRequest,
    get_engine,
)
from speech_mlflow.emulator.worker import Worker, WorkerDiedError
from speech_mlflow.errors import EngineError, SpeechMlflowError

MODELS_KEPT = 3
"""Models that a worker keeps loaded, about 100 MB each."""
TRIES = 2
"""Times that an item is given to a worker, should workers die of it."""

Outcome = Recognition | SpeechMlflowError
OnResult = Callable[[str, Outcome], None]


@dataclass(order=True)
class _Task:
    """One recording to transcribe; the least is worked on first. ``answers`` is where its outcome goes."""

    urgency: int
    number: int
    id: str = field(compare=False)
    args: tuple[str, str, Path | None, Path] = field(compare=False)
    answers: queue.SimpleQueue[tuple[str, Outcome]] = field(compare=False)


class RecognitionPool:
    """Worker processes for one engine. Thread-safe: several callers share the workers.

    Workers start when they are first needed and end with :meth:`close` or with this process.
    """

    def __init__(self, engine_name: str = "pocketsphinx", workers: int | None = None) -> None:
        self._engine = engine_name
        self._size = workers or _cores()
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._training = threading.Semaphore(self._size)
        self._threads: list[threading.Thread] = []
        self._unanswered = 0
        self._running: set[Worker] = set()
        self._closed = False

    def __enter__(self) -> RecognitionPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transcribe(
        self,
        base_key: str,
        model_dir: Path | None,
        items: Iterable[tuple[str, Path]],
        on_result: OnResult | None = None,
        *,
        urgent: bool = False,
    ) -> dict[str, Outcome]:
        """Transcribe WAV files: id and path of each to id and Recognition, or the error that this one file met.

        ``model_dir`` None means the base model itself. ``on_result`` is called in the caller's thread as results arrive. ``urgent``
        goes before what other callers have waiting. Results are in the order of ``items``, whose ids must differ.
        """
        wanted = list(items)
        answers: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        # Long recordings first: otherwise one may run alone at the end, with the other cores idle.
        for id_, path in sorted(wanted, key=lambda item: -_size(item[1])):
            args = (self._engine, base_key, model_dir, path)
            self._tasks.put(_Task(0 if urgent else 1, next(self._numbers), id_, args, answers))
        self._start(len(wanted))
        found: dict[str, Outcome] = {}
        while len(found) < len(wanted):
            id_, outcome = answers.get()
            found[id_] = outcome
            if on_result is not None:
                on_result(id_, outcome)
        return {id_: found[id_] for id_, _ in wanted}

    def train(self, request: TrainingRequest, output: Path, progress: StepProgress | None = None) -> TrainingReport:
        """Train in a process of its own, beside the workers, and write the model to ``output``. Raises EngineError.

        As many models are trained at once as there may be workers, each with some hundred MB; the others wait for their turn.
        """
        with self._training:
            return self._train_in_process(request, output, progress)

    def _train_in_process(self, request: TrainingRequest, output: Path, progress: StepProgress | None) -> TrainingReport:
        for last in (False, True):
            worker = self._open_worker()
            try:
                report = worker.call("+speech_mlflow.emulator.pool:_train", self._engine, request, output, on_report=progress)
                assert isinstance(report, TrainingReport)
                return report
            except WorkerDiedError as error:
                if last or self._closed:
                    raise EngineError(f"training failed: {error}") from error
            finally:
                self._close_worker(worker)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End all workers. Calls that wait get an error for what was not finished."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for worker in running:
            worker.stop()
        self._drain()
        for thread in self._threads:
            thread.join()

    def _start(self, tasks: int) -> None:
        with self._lock:
            self._unanswered += tasks
            if not self._closed:
                missing = min(self._size, self._unanswered) - len(self._threads)
                for _ in range(missing):
                    self._threads.append(threading.Thread(target=self._serve, daemon=True))
                    self._threads[-1].start()
        if self._closed:
            self._drain()

    def _drain(self) -> None:
        """Answer what still waits, and wake the threads so that they end."""
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                break
            task.answers.put((task.id, EngineError("the recognition pool was closed")))
        nobody: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        for _ in self._threads:
            self._tasks.put(_Task(0, next(self._numbers), "", ("", "", None, Path()), nobody))

    def _serve(self) -> None:
        """The thread of one worker: give it one task after another, and replace it when it dies."""
        worker: Worker | None = None
        while True:
            task = self._tasks.get()
            if self._closed:
                task.answers.put((task.id, EngineError("the recognition pool was closed")))
                return
            outcome: Outcome = EngineError("not tried")
            for _ in range(TRIES):
                try:
                    if worker is None or not worker.alive:
                        worker = self._replace(worker)
                    outcome = worker.call("speech_mlflow.emulator.pool:_transcribe", *task.args)
                    break
                except WorkerDiedError as error:
                    outcome = EngineError(f"the recogniser ended twice on {task.id}: {error}")
                except SpeechMlflowError as error:
                    outcome = error
                    break
                except Exception as error:  # a thread that ended here would leave its caller waiting for ever
                    outcome = EngineError(f"{task.id}: {type(error).__name__}: {error}")
                    break
            with self._lock:
                self._unanswered -= 1
            task.answers.put((task.id, outcome))

    def _replace(self, old: Worker | None) -> Worker:
        if old is not None:
            self._close_worker(old)
        return self._open_worker()

    def _open_worker(self) -> Worker:
        with self._lock:
            if self._closed:
                raise EngineError("the recognition pool was closed")
            worker = Worker()
            self._running.add(worker)
        return worker

    def _close_worker(self, worker: Worker) -> None:
        worker.stop()
        with self._lock:
            self._running.discard(worker)


_loaded: OrderedDict[tuple[Any, ...], Recognizer] = OrderedDict()


def _transcribe(engine: str, base_key: str, model_dir: Path | None, path: Path) -> Recognition:
    """In a worker: transcribe one file with a model that is kept for the next."""
    recognizer = _recognizer(engine, base_key, model_dir)
    try:
        wav = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path.name} cannot be read: {error.strerror}") from error
    return recognizer.transcribe(to_pcm16k(wav, name=path.name))


def _recognizer(engine: str, base_key: str, model_dir: Path | None) -> Recognizer:
    key = (engine, base_key, model_dir, model_dir.stat().st_mtime_ns if model_dir and model_dir.exists() else None)
    if key not in _loaded:
        _loaded[key] = get_engine(engine).load(base_key, model_dir)
        while len(_loaded) > MODELS_KEPT:
            _loaded.popitem(last=False)
    _loaded.move_to_end(key)
    return _loaded[key]


def _train(report: StepProgress, engine: str, request: TrainingRequest, output: Path) -> TrainingReport:
    """In a worker: train."""
    trainer: Engine = get_engine(engine)
    return trainer.train(request, output, report)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
