"""What the service found out in an evaluation: its counts, and what it heard in each recording."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from speech_mlflow.errors import ServiceError
from speech_mlflow.progress import Progress, ProgressEvent, silent
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.entities import BaseModel, CustomModel, Dataset, Evaluation, File, WordCounts, by_age
from speech_mlflow.tracking import tags
from speech_mlflow.workflow import data

READERS = 8
"""Result files read at once; there are two for each recording."""

_RESULT = re.compile(r"(?P<id>.+)\.model(?P<side>[12])_score\.json")

Model = BaseModel | CustomModel
Side = Literal[1, 2]


@dataclass(frozen=True)
class Outcome:
    """What one model heard, by utterance id, and what the service counted. Rates that are not counted are rounded by the
    service; ``token_error_rate`` is made from counts."""

    counts: WordCounts | None
    sentence_error_rate: float | None
    token_error_rate: float | None
    hypotheses: Mapping[str, str] = field(repr=False)


def pairs(models: list[Model]) -> list[tuple[Model, Model]]:
    """The evaluations that test each model: the service tests two at a time, and a lone one beside itself."""
    return [(models[start], models[min(start + 1, len(models) - 1)]) for start in range(0, len(models), 2)]


def key_of(speech: SpeechClient, dataset_fingerprint: str, first: Model, second: Model) -> str:
    """The content key of an evaluation."""
    return data.content_key(
        kind="evaluation",
        resource=speech.resource,
        data=dataset_fingerprint,
        models=[first.id, second.id],
    )


def begin(
    speech: SpeechClient,
    dataset: Dataset,
    first: Model,
    second: Model,
    *,
    key: str,
    run_id: str,
    attempt: int = 1,
    project: str | None = None,
) -> Evaluation:
    """The evaluation of two models on a data set: found by its content, or made."""
    name = data.display_name(str(dataset.display_name or dataset.id).partition(" [")[0], key, attempt)
    found = _find(speech, name, key)
    if found is not None:
        return found
    made = speech.evaluations.create(
        display_name=name,
        locale=str(dataset.locale),
        model1=first,
        model2=second,
        dataset=dataset,
        description=f"{first.display_name} and {second.display_name}; MLflow run {run_id}",
        project=project,
        custom_properties={
            tags.PROPERTY_MANAGED_BY: tags.MANAGED_BY,
            tags.PROPERTY_FINGERPRINT: key,
            tags.PROPERTY_RUN_ID: run_id,
        },
    )
    return _find(speech, name, key) or made  # of two made at the same moment, the older one stands


def read(
    speech: SpeechClient, evaluation: Evaluation, *, progress: Progress | None = None
) -> tuple[dict[Side, Outcome], bytes]:
    """What both models heard, and the service's result files in a zip. Raises ServiceError where one cannot be read."""
    files = list(speech.evaluations.files(evaluation.id))
    report = progress or silent
    contents: dict[str, bytes] = {}
    with ThreadPoolExecutor(READERS, thread_name_prefix="results") as pool:
        for file, content in zip(files, pool.map(speech.read_file, files), strict=True):
            contents[str(file.name)] = content
            report(ProgressEvent("read results", len(contents), len(files), "files"))
    heard: dict[Side, dict[str, str]] = {1: {}, 2: {}}
    for file in files:
        if (named := _RESULT.fullmatch(str(file.name))) is not None:
            side: Side = 1 if named["side"] == "1" else 2
            heard[side][named["id"]] = lexical(_json(file, contents[str(file.name)]))
    return {1: outcome(evaluation, 1, heard[1]), 2: outcome(evaluation, 2, heard[2])}, _archive(contents.items())


def lexical(result: Mapping[str, Any]) -> str:
    """The words of a result file, all channels and phrases in order; empty where nothing was heard."""
    combined = result.get("combinedRecognizedPhrases") or []
    texts = [str(phrase.get("lexical") or "") for phrase in combined if isinstance(phrase, dict)]
    if not any(texts):
        phrases = [phrase for phrase in result.get("recognizedPhrases") or [] if isinstance(phrase, dict)]
        texts = [str(best[0].get("lexical") or "") for phrase in phrases if (best := phrase.get("nBest"))]
    return " ".join(text for text in texts if text)


def outcome(evaluation: Evaluation, side: Side, heard: Mapping[str, str]) -> Outcome:
    """What an evaluation counted for one side, and what was heard there."""
    properties = evaluation.properties
    if properties is None:
        return Outcome(None, None, None, heard)
    tokens = {
        name: getattr(properties, f"{name}_count{side}")
        for name in ("token", "token_substitution", "token_deletion", "token_insertion")
    }
    rate = None
    if tokens["token"] and all(value is not None for value in tokens.values()):
        rate = (sum(value for value in tokens.values() if value) - tokens["token"]) / tokens["token"]
    return Outcome(properties.counts(side), getattr(properties, f"sentence_error_rate{side}"), rate, heard)


def _find(speech: SpeechClient, name: str, key: str) -> Evaluation | None:
    named = speech.evaluations.list(filters.eq("displayName", name))
    proven = [
        evaluation
        for evaluation in named
        if (evaluation.custom_properties or {}).get(tags.PROPERTY_FINGERPRINT) == key and evaluation.status != "Failed"
    ]
    return min(proven, key=by_age, default=None)


def _json(file: File, content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ServiceError(f"the result file {file.name} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ServiceError(f"the result file {file.name} is no JSON object")
    return document


def _archive(contents: Iterable[tuple[str, bytes]]) -> bytes:
    """One artifact instead of two per recording; the same contents give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
