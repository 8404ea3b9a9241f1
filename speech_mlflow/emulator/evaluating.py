"""Evaluation and batch transcription: real recognition of every recording, and counts from what was heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech_mlflow.corpus.wav import read_wav
from speech_mlflow.emulator.display import ProfanityMode
from speech_mlflow.emulator.engine import Recognition
from speech_mlflow.emulator.formatting import NO_MARK, Writer
from speech_mlflow.emulator.importing import download, keep_json, read_content
from speech_mlflow.emulator.jobs import JobError, Outcome
from speech_mlflow.emulator.normalising import normalise
from speech_mlflow.emulator.recognition import Loadable
from speech_mlflow.emulator.rendering import show_time
from speech_mlflow.emulator.results import Tally, scoring_result, transcription_json
from speech_mlflow.emulator.store import NewFile, Record
from speech_mlflow.emulator.training import named_link
from speech_mlflow.errors import AudioError, EngineError, SpeechMlflowError

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

Heard = Mapping[str, "Recognition | SpeechMlflowError"]
PROFANITY: Mapping[str, ProfanityMode] = {"None": "raw", "Removed": "removed", "Tags": "tags", "Masked": "masked"}
MAX_URL_BYTES = 1024 * 1024 * 1024


def run_evaluation(core: Emulator, record: Record) -> Outcome:
    """The job of an evaluation: it also ends the two transcriptions that belong to it."""
    dataset = core.store.get("datasets", str(record.body["dataset"]).rpartition("/")[2])
    if dataset is None:
        raise JobError("InvalidDataset", "The dataset was deleted.")
    utterances: list[dict[str, Any]] = read_content(core, dataset)["utterances"]
    body: dict[str, Any] = {}
    files: list[NewFile] = []
    also: list[tuple[Record, Outcome]] = []
    with core.blobs.workspace() as folder:
        items = [(u["name"], named_link(core, u["blob"], folder / "audio", u["name"])) for u in utterances]
        for side, transcription in zip("12", core.transcriptions(record), strict=True):
            model = _model(core, str(record.body[f"model{side}"]))
            heard = _transcribe(core, model, items)
            tally, details = _score(core, utterances, heard, model.writer, side)
            if tally is not None:
                body[f"results{side}"] = tally.properties()
            files.extend(details)
            also.append((transcription, _transcription_outcome(core, transcription, heard, model.writer, utterances)))
    return Outcome(body, tuple(files), also=tuple(also))


def run_transcription(core: Emulator, record: Record) -> Outcome:
    """The job of a batch transcription."""
    with core.blobs.workspace() as folder:
        model = _model(core, str(record.body["model"]))
        if record.body.get("dataset"):
            dataset = core.store.get("datasets", str(record.body["dataset"]).rpartition("/")[2])
            if dataset is None:
                raise JobError("InvalidDataset", "The dataset was deleted.")
            utterances: list[dict[str, Any]] = read_content(core, dataset)["utterances"]
            items = [(u["name"], named_link(core, u["blob"], folder / "audio", u["name"])) for u in utterances]
            return _transcription_outcome(core, record, _transcribe(core, model, items), model.writer, utterances)
        return _transcribe_urls(core, record, model, folder)


def _transcribe_urls(core: Emulator, record: Record, model: Loadable, folder: Path) -> Outcome:
    heard: dict[str, Recognition | SpeechMlflowError] = {}
    sources: list[dict[str, Any]] = []
    items: list[tuple[str, Path]] = []
    for place, url in enumerate(record.body["urls"]):
        path = folder / f"{place}.wav"
        name = url.partition("?")[0].rpartition("/")[2] or f"{place}.wav"
        while any(name == known["name"] for known in sources):
            name = f"{place}_{name}"
        milliseconds = 0
        try:
            download(url, path, MAX_URL_BYTES)
            milliseconds = round(read_wav(path, name=name).seconds * 1000)
            items.append((name, path))
        except JobError as error:
            heard[name] = EngineError(error.message)
        except AudioError as error:
            heard[name] = error
        sources.append({"name": name, "url": url, "milliseconds": milliseconds})
    heard.update(_transcribe(core, model, items) if items else {})
    return _transcription_outcome(core, record, heard, model.writer, sources)


def _model(core: Emulator, path: str) -> Loadable:
    model = core.models.resolve(path)
    if model is None:
        raise JobError("InvalidModel", f"The model {path} is not there any more.")
    return model


def _transcribe(core: Emulator, model: Loadable, items: list[tuple[str, Path]]) -> Heard:
    """Recognise everything. Raises JobError when the model cannot be loaded or nothing at all worked."""
    heard = core.models.transcribe(model, items)
    core.raise_when_stopping()
    errors = [outcome for outcome in heard.values() if not isinstance(outcome, Recognition)]
    if errors and len(errors) == len(heard):
        raise JobError("PipelineError", f"No recording could be transcribed: {errors[0]}")
    return heard


def _score(
    core: Emulator, utterances: list[dict[str, Any]], heard: Heard, writer: Writer, side: str
) -> tuple[Tally | None, list[NewFile]]:
    """Counts over the test set, and a file for each recording. Without transcripts nothing is counted."""
    tally, counted, files = Tally(), False, []
    for utterance in utterances:
        outcome = heard[utterance["name"]]
        recognition = outcome if isinstance(outcome, Recognition) else Recognition((), utterance["milliseconds"] / 1000)
        result = transcription_json(utterance["name"], recognition, writer, show_time(core.now()), words=True)
        reference = utterance["text"]
        if reference:
            counted = True
            spoken = normalise(recognition.lexical, writer.locale)
            display = result["combinedRecognizedPhrases"][0]["display"]
            aligned = tally.add(normalise(reference, writer.locale), spoken, reference, display)
            best = result["recognizedPhrases"][0]["nBest"]
            if not best:
                best.append({"confidence": 0.0, "lexical": "", "itn": "", "maskedITN": "", "display": ""})
            best[0]["scoringResult"] = scoring_result(aligned)
        files.append(keep_json(core, f"{utterance['name']}.model{side}_score.json", "EvaluationDetails", result))
    return (tally if counted else None), files


def _transcription_outcome(
    core: Emulator, record: Record, heard: Heard, writer: Writer, sources: list[dict[str, Any]]
) -> Outcome:
    """Result file of each recording and the report over all."""
    files: list[NewFile] = []
    details: list[dict[str, Any]] = []
    settings = record.body["settings"]
    words = bool(settings.get("wordLevelTimestampsEnabled"))
    mode = PROFANITY[settings.get("profanityFilterMode", "Masked")]
    writer = replace(writer, profanity=mode, mark=settings.get("punctuationMode") not in NO_MARK)
    milliseconds = 0
    for source in sources:
        outcome = heard[source["name"]]
        shown = {"sourceUrl": source["url"]} if "url" in source else {"source": source["name"]}
        if isinstance(outcome, Recognition):
            result = transcription_json(source.get("url", source["name"]), outcome, writer, show_time(core.now()), words=words)
            file = keep_json(core, f"{source['name']}.json", "Transcription", result)
            files.append(file)
            milliseconds += source["milliseconds"]
            details.append({**shown, "status": "Succeeded"})
        else:
            kind = "InvalidData" if isinstance(outcome, AudioError) else "RecognitionError"
            details.append({**shown, "status": "Failed", "errorKind": kind, "errorMessage": str(outcome)})
    failed = sum(item["status"] == "Failed" for item in details)
    report = {
        "successfulTranscriptionsCount": len(details) - failed,
        "failedTranscriptionsCount": failed,
        "details": details,
    }
    files.append(keep_json(core, "report.json", "TranscriptionReport", report))
    if failed == len(details) and details:
        message = "None of the files could be transcribed. See the report for details."
        raise JobError("InvalidData", message, tuple(files), {"durationMilliseconds": 0})
    return Outcome({"durationMilliseconds": milliseconds}, tuple(files))
