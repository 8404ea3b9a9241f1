"""Models as the API names them, and what they hear: base models of all engines, custom models, and the cache of transcripts.

The same recording and model always give the same words, so each pair is recognised once and remembered.
"""

from __future__ import annotations

import datetime
import hashlib
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.emulator.engine import (
    BaseModelSpec,
    Engine,
    Hypothesis,
    Recognition,
    TrainingReport,
    TrainingRequest,
    Word,
    engines,
    get_engine,
)
from speech_mlflow.emulator.formatting import Writer, read_rules
from speech_mlflow.emulator.lifecycle import DeprecationDates, base_dates, custom_dates
from speech_mlflow.emulator.options import Options
from speech_mlflow.emulator.store import Record, Store
from speech_mlflow.errors import EngineError, SpeechMlflowError

if TYPE_CHECKING:
    from speech_mlflow.emulator.pool import RecognitionPool

_NAMESPACE = uuid.UUID("6f1b7a9e-52b2-4c39-9d0a-0f7a4e0c5d11")
BASE = "models/base"
OnHeard = Callable[[str, "Recognition | SpeechMlflowError"], None]


@dataclass(frozen=True)
class BaseModel:
    """A base model of an engine under the id that the API gives it."""

    id: str
    engine: str
    spec: BaseModelSpec

    @property
    def path(self) -> str:
        """The form of a reference."""
        return f"{BASE}/{self.id}"


@dataclass(frozen=True)
class Loadable:
    """What a worker needs to load a model. ``key`` names it in the cache of transcripts."""

    path: str
    engine: str
    base_key: str
    model_dir: Path | None
    key: str
    writer: Writer


class Models:
    """Every model that can be named, and the workers that load them."""

    def __init__(self, options: Options, store: Store) -> None:
        self._options = options
        self._store = store
        self._lock = threading.Lock()
        self._engines = {options.engine: get_engine(options.engine)} if options.engine else engines()
        self._pools: dict[tuple[str, bool], RecognitionPool] = {}
        self._closed = False
        self._base = {model.id: model for model in _base_models(self._engines)}

    # naming

    def base_models(self) -> list[BaseModel]:
        """All base models, oldest first."""
        return sorted(self._base.values(), key=lambda model: model.spec.created)

    def base(self, id: str) -> BaseModel | None:
        """The base model with this id."""
        return self._base.get(id)

    def newest(self, locale: str) -> BaseModel | None:
        """The base model that the service would choose for ``locale``."""
        fitting = [model for model in self.base_models() if model.spec.locale.lower() == locale.lower()]
        return fitting[-1] if fitting else None

    def locales(self) -> list[str]:
        """Every locale that some base model speaks."""
        return sorted({model.spec.locale for model in self._base.values()})

    def dates(self, model: BaseModel | Record) -> DeprecationDates:
        """When the model stops being usable."""
        if isinstance(model, Record):
            return custom_dates(model.created.date())
        created = model.spec.created
        if self._options.renew_base_models and self.newest(model.spec.locale) == model:
            created = max(created, self._options.clock().date())
        return base_dates(created)

    def resolve(self, path: str) -> Loadable | None:
        """What to load for ``models/base/<id>`` or ``models/<id>``; None where there is no such model."""
        collection, _, id = path.rpartition("/")
        if collection == BASE:
            base = self._base.get(id)
            return None if base is None else self._loadable(path, base, None)
        record = self._store.get("models", id)
        if record is None or "directory" not in record.body:
            return None
        base = self._base.get(str(record.body["baseModel"]).rpartition("/")[2])
        if base is None:
            return None
        directory = self._options.state_dir / record.body["directory"]
        return self._loadable(path, base, directory, learnt=bool(record.body.get("learnt", True)))

    def _loadable(self, path: str, base: BaseModel, directory: Path | None, *, learnt: bool = True) -> Loadable:
        """``learnt`` False: the model only writes differently, and hears with its base model."""
        key = f"{path if learnt else base.path}@{base.engine}/{self._engines[base.engine].version}"
        writer = Writer(base.spec.locale, read_rules(directory))
        return Loadable(path, base.engine, base.spec.key, directory if learnt else None, key, writer)

    # working

    def pool(self, engine: str, *, live: bool = False) -> RecognitionPool:
        """The workers of an engine. Live requests have a worker of their own, so that they never wait for a long job."""
        from speech_mlflow.emulator.pool import RecognitionPool

        with self._lock:
            if self._closed:
                raise EngineError("the service is stopping")
            pool = self._pools.get((engine, live))
            if pool is None:
                pool = self._pools[engine, live] = RecognitionPool(engine, workers=1 if live else self._options.workers)
            return pool

    def transcribe(
        self, model: Loadable, items: Iterable[tuple[str, Path]], on_heard: OnHeard | None = None, *, live: bool = False
    ) -> dict[str, Recognition | SpeechMlflowError]:
        """What ``model`` hears in WAV files, from the cache where it has heard the very bytes before."""
        found: dict[str, Recognition | SpeechMlflowError] = {}
        missing: dict[str, list[str]] = {}
        paths: dict[str, Path] = {}
        for name, path in items:
            digest = _digest(path)
            known = self._store.transcript(model.key, digest)
            if known is not None:
                found[name] = recognition_from_json(known)
                if on_heard:
                    on_heard(name, found[name])
            else:
                missing.setdefault(digest, []).append(name)
                paths[digest] = path

        def heard(digest: str, outcome: Recognition | SpeechMlflowError) -> None:
            if isinstance(outcome, Recognition):
                self._store.keep_transcript(model.key, digest, asdict(outcome))
            for name in missing[digest]:
                found[name] = outcome
                if on_heard:
                    on_heard(name, outcome)

        if paths:
            self.pool(model.engine, live=live).transcribe(model.base_key, model.model_dir, paths.items(), heard, urgent=live)
        return found

    def train(self, engine: str, request: TrainingRequest, output: Path) -> TrainingReport:
        """Train in a worker process."""
        return self.pool(engine).train(request, output, None)

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.close()


def recognition_from_json(value: Mapping[str, Any]) -> Recognition:
    """The record that :func:`dataclasses.asdict` took apart."""
    nbest = tuple(
        Hypothesis(item["lexical"], item["confidence"], tuple(Word(**word) for word in item["words"]))
        for item in value["nbest"]
    )
    return Recognition(nbest, value["audio_seconds"])


def created_time(model: BaseModel) -> datetime.datetime:
    """Midnight, UTC, of the day on which a base model was made."""
    day = model.spec.created
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc)


def _base_models(found: Mapping[str, Engine]) -> Iterable[BaseModel]:
    for name, engine in found.items():
        for spec in engine.base_models():
            yield BaseModel(str(uuid.uuid5(_NAMESPACE, f"{name}/{spec.key}")), name, spec)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)
    return digest.hexdigest()
