"""Training: from sentences, pronunciations and recordings to a model directory.

A model directory is plain files: ``lm.bin`` (language model), ``words.dict`` (its words' pronunciations), ``means`` (the moved Gaussian
means, where there was audio) and ``model.json`` (what it was made from and with). The rest of the acoustic model stays in the wheel;
its fingerprint is recorded, and a model is refused where it differs.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from speech_mlflow.emulator.engine import Skipped, StepProgress, TrainingReport, TrainingRequest
from speech_mlflow.emulator.sphinx import adapt, base, base_models
from speech_mlflow.emulator.sphinx.acoustic import shipped_model, write_gaussians
from speech_mlflow.emulator.sphinx.dictionary import Lexicon, write_dictionary
from speech_mlflow.emulator.sphinx.language import Mixed, mix
from speech_mlflow.emulator.sphinx.ngrams import BEGIN, END
from speech_mlflow.emulator.sphinx.text import acronyms, sentences, spoken_words
from speech_mlflow.emulator.sphinx.trie import read_trie, write_trie
from speech_mlflow.emulator.worker import Worker
from speech_mlflow.errors import EngineError

MODEL_FORMAT = 1
JOINT = "_"
"""Joins the words of a displayed form that has several: the decoder's words have no spaces."""
CHUNK = 8
"""Recordings whose statistics are summed by one call. It is fixed, so that the sums do not depend on the number of processes."""
PROCESSES = 2


@dataclass
class Material:
    """The data as words. ``terms`` are the displayed forms of the pronunciation data."""

    lexicon: Lexicon = field(default_factory=Lexicon)
    sentences: list[list[str]] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    audio: list[tuple[Path, list[str]]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def train(request: TrainingRequest, output: Path, progress: StepProgress) -> TrainingReport:
    """Train a model and write its directory ``output``, whole or not at all. Raises EngineError when there is nothing to learn."""
    began = time.perf_counter()
    model = base_models.find(request.base_key)
    if output.exists():
        raise EngineError(f"{output} exists already")
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        progress("text", 0.0)
        material = prepare(request)
        if not (material.sentences or material.terms or material.audio):
            raise EngineError("there is nothing to learn from: no sentence, pronunciation or recording could be used")
        with ExitStack() as stack:
            heard = _Listening(stack, material, scratch, progress)
            progress("language model", 0.1)
            language = read_trie(base_models.files(model.spec.key)[0])
            weight = None if request.weight_percent is None else request.weight_percent / 100
            mixed = mix(language, material.sentences, material.terms, weight=weight, base_vocabulary=request.base_vocabulary)
            write_trie(mixed.model, scratch / "lm.bin")
            write_dictionary(scratch / "words.dict", set(mixed.model.words) - {BEGIN, END}, material.lexicon)
            progress("audio", 0.6)
            statistics = heard.result()
        if statistics is not None and statistics.used:
            write_gaussians(adapt.adapted_means(shipped_model(), statistics), scratch / "means")
        report = _report(material, mixed, statistics, time.perf_counter() - began)
        _write_description(scratch, request, report, material)
        scratch.rename(output)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    progress("done", 1.0)
    return report


def prepare(request: TrainingRequest) -> Material:
    """Turn the data into words and learn how its new words are spoken."""
    material = Material()
    for displayed, spoken in request.pronunciations:
        term = JOINT.join(displayed.lower().split())
        if term and material.lexicon.add_spoken(term, spoken_words(spoken)):
            material.terms.append(term)
        else:
            material.skipped.append(Skipped(displayed, f"nobody can say {spoken!r}: it has no words"))
    material.terms = sorted(set(material.terms))
    split = _Splitter(material.terms)
    texts = [part for line in request.sentences for part in sentences(line)]
    written = [*texts, *(transcript for _, transcript in request.audio)]
    for acronym in sorted({word for text in written for word in acronyms(text)}):
        material.lexicon.add_acronym(acronym)
    material.sentences = [words for text in texts if (words := _sayable(material.lexicon, split.words(text)))]
    for path, transcript in request.audio:
        words = _sayable(material.lexicon, split.words(transcript))
        material.audio.append((path, words))
        if words:
            material.sentences.append(words)
    return material


def _sayable(lexicon: Lexicon, words: list[str]) -> list[str]:
    """The words that can be spoken: not those of other scripts."""
    return [word for word in words if lexicon.pronunciations(word)]


class _Splitter:
    """Text to words, with the displayed forms of the pronunciation data kept as they are."""

    def __init__(self, terms: Sequence[str]) -> None:
        longest_first = sorted(terms, key=lambda term: (-len(term), term))
        choices = "|".join(re.escape(term.replace(JOINT, " ")).replace(r"\ ", r"\s+") for term in longest_first)
        self._pattern = re.compile(rf"(?<![\w'-])({choices})(?![\w'-])", re.IGNORECASE) if choices else None

    def words(self, text: str) -> list[str]:
        if self._pattern is None:
            return spoken_words(text)
        found: list[str] = []
        for n, part in enumerate(self._pattern.split(text)):
            found += [JOINT.join(part.lower().split())] if n % 2 else spoken_words(part)
        return found


class _Listening:
    """Statistics of the recordings, collected in processes of their own while the language model is made."""

    def __init__(self, stack: ExitStack, material: Material, scratch: Path, progress: StepProgress) -> None:
        self._chunks = [material.audio[at : at + CHUNK] for at in range(0, len(material.audio), CHUNK)]
        self._answers: Any = ()
        if not self._chunks:
            return
        self._dictionary = scratch / "align.dict"
        write_dictionary(self._dictionary, {word for _, words in material.audio for word in words}, material.lexicon)
        idle = [Worker() for _ in range(min(PROCESSES, len(self._chunks)))]
        for worker in idle:
            stack.callback(worker.stop)
        threads = stack.enter_context(ThreadPoolExecutor(len(idle)))
        self._answers = threads.map(lambda chunk: self._collect(idle, chunk), self._chunks)

    def _collect(self, idle: list[Worker], chunk: list[tuple[Path, list[str]]]) -> adapt.Statistics:
        worker = idle.pop()
        try:
            found: adapt.Statistics = worker.call("speech_mlflow.emulator.sphinx.adapt:collect", self._dictionary, chunk)
            return found
        finally:
            idle.append(worker)

    def result(self) -> adapt.Statistics | None:
        """Sum in the order of the recordings; None without recordings."""
        parts = list(self._answers)
        if not parts:
            return None
        self._dictionary.unlink()
        total: adapt.Statistics = reduce(add, parts)
        return total


def _report(material: Material, mixed: Mixed, statistics: adapt.Statistics | None, seconds: float) -> TrainingReport:
    skipped = list(material.skipped)
    metrics = dict(mixed.metrics)
    if statistics is not None:
        skipped += [Skipped(item, reason) for item, reason in statistics.skipped]
        metrics["skipped_utterances"] = float(len(statistics.skipped))
        if statistics.frames:
            metrics["base_log_likelihood_per_frame"] = statistics.log_likelihood / statistics.frames
    metrics["guessed_pronunciations"] = float(len(material.lexicon.guessed))
    metrics["seconds"] = seconds
    return TrainingReport(
        weight_percent=round(100 * mixed.weight),
        base_vocabulary=mixed.base_vocabulary,
        sentences=len(material.sentences),
        pronunciations=len(material.terms),
        utterances=statistics.used if statistics else 0,
        audio_seconds=statistics.seconds if statistics else 0.0,
        metrics=metrics,
        skipped=skipped,
    )


def _write_description(folder: Path, request: TrainingRequest, report: TrainingReport, material: Material) -> None:
    data = json.dumps([material.sentences, material.terms, [words for _, words in material.audio]]).encode()
    description = {
        "format": MODEL_FORMAT,
        "engine": "pocketsphinx",
        "engine_version": base.version(),
        "base_key": request.base_key,
        "base_fingerprint": base.fingerprint(),
        "locale": request.locale,
        "weight_percent": report.weight_percent,
        "base_vocabulary": report.base_vocabulary,
        "sentences": report.sentences,
        "pronunciations": report.pronunciations,
        "utterances": report.utterances,
        "audio_seconds": round(report.audio_seconds, 3),
        "tau": adapt.TAU,
        "data_sha256": hashlib.sha256(data).hexdigest(),
    }
    (folder / "model.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n", encoding="utf-8")
