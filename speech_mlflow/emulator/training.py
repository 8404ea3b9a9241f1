"""Training: gather what the data sets hold, let the engine learn in a process of its own, keep the model's files."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.emulator.engine import TrainingRequest
from speech_mlflow.emulator.formatting import write_rules
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
        lesson = _gather(core, record, folder, base.spec.key)
        output = folder / "model"
        shown: dict[str, Any] = {"skipped": []}
        if lesson.learns:
            try:
                shown = asdict(core.models.train(base.engine, lesson.request, output))
            except EngineError as error:
                core.raise_when_stopping()
                raise JobError("PipelineError", f"Training failed: {error.message}") from None
        if lesson.formats:
            write_rules(output, lesson.formats)
        if not output.exists():
            raise JobError("InvalidDataset", "There is nothing in the datasets to learn from.")
        directory, files = install(core, record, output)
        shown["skipped"] = [*lesson.skipped, *shown["skipped"]]
        files.append(keep_json(core, "report.json", "ModelReport", shown))
        weight = shown.get("weight_percent", record.body.get("customModelWeightPercent"))
        return Outcome({"customModelWeightPercent": weight, "directory": directory, "learnt": lesson.learns}, tuple(files))


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


@dataclass
class _Lesson:
    """Everything that data sets teach, and what was left out of it."""

    request: TrainingRequest
    formats: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    @property
    def learns(self) -> bool:
        """Whether there is something to hear better with; an output format only changes how it is written."""
        return bool(self.request.sentences or self.request.pronunciations or self.request.audio)


def _gather(core: Emulator, record: Record, folder: Path, base_key: str) -> _Lesson:
    locale = str(record.body["locale"])
    request = TrainingRequest(base_key, locale, weight_percent=record.body.get("customModelWeightPercent"))
    lesson = _Lesson(request)
    for path in record.body["datasets"]:
        dataset = core.store.get("datasets", path.rpartition("/")[2])
        if dataset is None:
            raise JobError("InvalidDataset", f"The dataset {path} was deleted.")
        content = read_content(core, dataset)
        request.sentences.extend(content.get("sentences", ()))
        request.pronunciations.extend((displayed, spoken) for displayed, spoken in content.get("pronunciations", ()))
        if "formatting" in content:
            lesson.formats.append(content["formatting"])
        lesson.skipped.extend(
            {"item": word, "reason": "the engine learns no phones of structured text"} for word, _ in content.get("phones", ())
        )
        for utterance in content.get("utterances", ()):
            _learn_utterance(core, request, utterance, locale, folder / dataset.id, lesson.skipped)
    return lesson


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
