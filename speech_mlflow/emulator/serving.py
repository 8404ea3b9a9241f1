"""Deployment: load a model beside the one that is served, and switch when it is ready."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from speech_mlflow.emulator.engine import SAMPLE_RATE, Recognition
from speech_mlflow.emulator.jobs import JobError, Outcome
from speech_mlflow.emulator.store import Record

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator


def run_deployment(core: Emulator, record: Record) -> Outcome:
    """The job of an endpoint. What it served before is served until this has ended, and longer if this fails."""
    path = str(record.body["model"])
    model = core.models.resolve(path)
    if model is None:
        raise JobError("InvalidModel", "The model is not there any more.")
    with core.blobs.workspace() as folder:
        probe = folder / "probe.wav"
        probe.write_bytes(silence(0.3))
        pool = core.models.pool(model.engine, live=True)
        outcome = pool.transcribe(model.base_key, model.model_dir, [("probe", probe)], urgent=True)["probe"]
    core.raise_when_stopping()
    if not isinstance(outcome, Recognition):
        raise JobError("DeployingFailedModel", f"The model cannot be loaded: {outcome}")
    return Outcome({"served": path})


def silence(seconds: float) -> bytes:
    """A WAV file of digital silence: loading is what matters, not what is heard."""
    samples = b"\0\0" * round(seconds * SAMPLE_RATE)
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16
    )
    return head + struct.pack("<4sI", b"data", len(samples)) + samples


def served_path(core: Emulator, endpoint: Record) -> str | None:
    """The model that an endpoint really uses: when its own has expired, silently the newest base model."""
    path = str(endpoint.body["served"])
    collection, _, id = path.rpartition("/")
    model = core.models.base(id) if collection == "models/base" else core.store.get("models", id)
    if model is not None and core.now() < core.models.dates(model).transcription:
        return path
    newest = core.models.newest(str(endpoint.body["locale"]))
    return newest.path if newest else None
