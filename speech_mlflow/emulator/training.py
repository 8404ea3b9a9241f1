"""Training: gather what the data sets hold, let the engine learn in a process of its own, keep the model's files."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.emulator.engine import TrainingReport, TrainingRequest
from speech_mlflow.emulator.importing import keep_json, read_content
from speech_mlflow.emulator.jobs import JobError, Outcome
from speech_mlflow.emulator.normalising import normalise, plain, spoken_digits
from speech_mlflow.emulator.store import NewFile, Record
from speech_mlflow.errors import EngineError

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

MODEL_FILE = "_ModelFile"
"""Kind of a model's own files, which only its manifest shows."""
MAX_TRAINING_SECONDS = 40
"""Longer recordings lend their text only, as in the service."""


def run_training(core: Emulator, record: Record) -> Outcome:
    """The job of a custom model."""
    base = core.models.base(str(record.body["baseModel"]).rpartition("/")[2])
    if base is None:
        raise JobError("InvalidBaseModel", "The base model is not offered any more.")
    with core.blobs.workspace() as folder:
        request, skipped = _request(core, record, folder, base.spec.key)
        output = folder / "model"
        try:
            report = core.models.train(base.engine, request, output)
        except EngineError as error:
            core.raise_when_stopping()
            raise JobError("PipelineError", f"Training failed: {error.message}") from None
        return keep_model(core, record, output, report, skipped)


def keep_model(core: Emulator, record: Record, output: Path, report: TrainingReport, skipped: list[dict[str, str]]) -> Outcome:
    """Move a trained model to its place and describe it."""
    directory, files = install(core, record, output)
    shown = asdict(report)
    shown["skipped"] = [*skipped, *shown["skipped"]]
    files.append(keep_json(core, "report.json", "ModelReport", shown))
    return Outcome({"customModelWeightPercent": report.weight_percent, "directory": directory}, tuple(files))


def install(core: Emulator, record: Record, output: Path) -> tuple[str, list[NewFile]]:
    """Move a model directory to its place; returns the place and the files for the manifest."""
    directory = f"models/{record.id}"
    target = core.options.state_dir / directory
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        shutil.rmtree(target)  # left by a process that was killed after this point
    os.replace(output, target)
    files: list[NewFile] = []
    for path in sorted(target.rglob("*")):
        if path.is_file():
            link = core.blobs.work / f"{record.id}-{len(files)}"
            link.unlink(missing_ok=True)
            try:
                os.link(path, link)
            except OSError:  # not every file system has hard links
                shutil.copyfile(path, link)
            name = path.relative_to(target).as_posix()
            files.append(NewFile(name, MODEL_FILE, core.blobs.keep_file(link), path.stat().st_size))
    return directory, files


def _request(core: Emulator, record: Record, folder: Path, base_key: str) -> tuple[TrainingRequest, list[dict[str, str]]]:
    """Everything that the data sets teach, and what was left out of it."""
    locale = str(record.body["locale"])
    request = TrainingRequest(base_key, locale, weight_percent=record.body.get("customModelWeightPercent"))
    skipped: list[dict[str, str]] = []
    for path in record.body["datasets"]:
        dataset = core.store.get("datasets", path.rpartition("/")[2])
        if dataset is None:
            raise JobError("InvalidDataset", f"The dataset {path} was deleted.")
        content = read_content(core, dataset)
        request.sentences.extend(content.get("sentences", ()))
        request.pronunciations.extend((displayed, spoken) for displayed, spoken in content.get("pronunciations", ()))
        skipped.extend(
            {"item": word, "reason": "the engine learns no phones of structured text"} for word, _ in content.get("phones", ())
        )
        for utterance in content.get("utterances", ()):
            _learn_utterance(core, request, utterance, locale, folder / dataset.id, skipped)
    return request, skipped


def _learn_utterance(
    core: Emulator,
    request: TrainingRequest,
    utterance: dict[str, Any],
    locale: str,
    folder: Path,
    skipped: list[dict[str, str]],
) -> None:
    text = spoken_digits(plain(utterance["text"])).strip()
    if not normalise(text, locale):
        skipped.append({"item": utterance["name"], "reason": "it has no transcription"})
    elif utterance["milliseconds"] > MAX_TRAINING_SECONDS * 1000:
        skipped.append({"item": utterance["name"], "reason": f"longer than {MAX_TRAINING_SECONDS} s: only its text was learnt"})
        request.sentences.append(text)
    else:
        request.audio.append((named_link(core, utterance["blob"], folder, utterance["name"]), text))


def named_link(core: Emulator, blob: str, folder: Path, name: str) -> Path:
    """A blob under its own name, for messages that quote it."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    try:
        os.symlink(core.blobs.path(blob).resolve(), path)
    except OSError:
        shutil.copyfile(core.blobs.path(blob), path)
    return path
