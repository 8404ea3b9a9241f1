"""What it costs to write a test into MLflow (requests counted by a proxy before a real server), and to be known by it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from speech_mlflow.scoring import score
from speech_mlflow.service.entities import BaseModel, CustomModel, WordCounts
from speech_mlflow.tracking import models, registry, runs, tags
from speech_mlflow.tracking.dataset import SpeechDataset
from speech_mlflow.tracking.runs import Measured, Work
from speech_mlflow.tracking.sources import SpeechCorpusSource
from speech_mlflow.tracking.store import Store, open_store
from speech_mlflow.workflow import recording
from speech_mlflow.workflow.assessing import compare_scores
from speech_mlflow.workflow.choosing import Chosen
from speech_mlflow.workflow.evaluating import Outcome
from speech_mlflow.workflow.reporting import render
from tests.fixtures.mlflow_server import CountingProxy, MlflowServer, proxy
from tests.tracking.entry_points import modules

REQUESTS = 25
MILLISECONDS = 20
WORDS = (
    *("start", "continue", "increase", "hold", "begin", "apixaban", "prednisone", "warfarin"),
    *("twice", "daily", "with", "meals", "every", "morning"),
)
SELF = "https://speech.example/speechtotext/models/{}?api-version=2025-10-15"
BASE = BaseModel.model_validate({"self": SELF.format("base/b1"), "displayName": "20250115", "locale": "en-US"})
CUSTOM = CustomModel.model_validate(
    {"self": SELF.format("c1"), "displayName": "clinic", "locale": "en-US", "baseModel": {"self": SELF.format("base/b1")}}
)


def outcome(references: list[str], errors: float, rng: random.Random) -> Outcome:
    """What a model with an error in so many words would have heard."""
    heard = {
        f"u{number}.wav": " ".join(rng.choice(WORDS) if rng.random() < errors else word for word in reference.split())
        for number, reference in enumerate(references)
    }
    words = sum(len(reference.split()) for reference in references)
    counts = WordCounts(words=words, hits=words - 7, substitutions=7, deletions=0, insertions=0)
    return Outcome(counts, 0.5, 0.5, heard)


def result(
    label: str, entity: BaseModel | CustomModel, references: list[str], errors: float, rng: random.Random
) -> recording.Result:
    heard = outcome(references, errors, rng)
    ids = list(heard.hypotheses)
    speakers = [f"s{number % 20}" for number in range(len(ids))]
    made = score(references, list(heard.hypotheses.values()), ids=ids, groups={"speaker": speakers}, normalizer="en-US")
    return recording.Result(Chosen(label, entity), heard, made)


def a_test_of(utterances: int) -> recording.Tested:
    rng = random.Random(utterances)
    references = [" ".join(rng.choices(WORDS, k=12)) for _ in range(utterances)]
    results = [result("base", BASE, references, 0.4, rng), result("clinic v1", CUSTOM, references, 0.1, rng)]
    fingerprint = f"{utterances:064x}"
    source = SpeechCorpusSource("/data/testing", "en-US", "Acoustic")
    profile = {"utterances": utterances, "words": 12 * utterances}
    about = {"fingerprint": fingerprint, "dataset_id": f"{utterances:012d}", "kind": "Acoustic", "locale": "en-US"}
    dataset = SpeechDataset(source, name=f"testing {utterances}", profile=profile, **about)
    comparison = compare_scores({one.label: one.score for one in results})
    files: dict[str, str | bytes] = {"service/evaluation-1.json": "{}", "service/results-1.zip": bytes(100 * utterances)}
    return recording.Tested(dataset, "en-US", results, comparison, ["e1"], service_files=files)


def write(uri: str, over: recording.Tested) -> str:
    """Every request that ``workflow.test`` makes of MLflow, from opening the store to closing the run."""
    store = open_store(uri, experiment="speech")
    work = Work(tags.KIND_TEST, over.dataset.fingerprint, over.dataset.name, tags={tags.RESOURCE: "r1", tags.MODEL_ID: "b1,c1"})
    begun = runs.settle(store, runs.begin(store, work))
    about: dict[str, object] = {"locale": "en-US", "models": [one.label for one in over.results]}
    runs.log(store, begun.id, measured=[Measured({"data.utterances": len(over.results[0].score)})], params=about)
    runs.log(store, begun.id, run_tags={tags.EVALUATION_ID: "e1"})
    recording.record(store, begun.id, over, report=lambda one: render(one, None), resource="r1")
    return begun.id


def trained(store: Store) -> None:
    """A registered version, whose tags a test updates."""
    run_id = runs.begin(store, Work(tags.KIND_TRAIN, "k", "clinic")).id
    described = models.describe(CUSTOM, "r1")
    logged = models.begin_custom(store, run_id=run_id, name="clinic", model_tags=described, params={})
    models.finish(store, logged, ready=True)
    registry.register(store, name="clinic", run_id=run_id, logged_model_id=logged, version_tags=described)
    runs.finish(store, run_id)


def requests_for(counting: CountingProxy, utterances: int) -> tuple[int, float]:
    over = a_test_of(utterances)
    counting.seen.clear()
    started = time.monotonic()
    run_id = write(counting.uri, over)
    seconds = time.monotonic() - started
    seen = list(counting.seen)
    for (method, path), count in Counter(seen).most_common(4):
        print(f"  {count} {method} {path}")
    run = open_store(counting.uri, experiment="speech").client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["utterances"] == utterances
    return len(seen), seconds


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_requests_do_not_grow_with_the_utterances(mlflow_server: MlflowServer) -> None:
    with proxy(mlflow_server.uri) as counting:
        trained(open_store(counting.uri, experiment="speech"))
        requests_for(counting, 10)  # the base model gets its logged model once
        figures = {utterances: requests_for(counting, utterances) for utterances in (100, 10_000)}
    for utterances, (count, seconds) in figures.items():
        print(f"{utterances:>6} utterances: {count} requests, {seconds:.1f} s")
    assert figures[100][0] == figures[10_000][0]
    assert figures[10_000][0] <= REQUESTS


TIMED = """
import importlib, sys, time
import mlflow
for name in [name for name in sys.modules if name.split(".")[0] == "speech_mlflow"]:
    del sys.modules[name]
started = time.perf_counter()
for name in sys.argv[1:]:
    importlib.import_module(name)
print(time.perf_counter() - started)
"""


@pytest.mark.bench
def test_it_takes_no_time() -> None:
    """The least of some runs: what else the machine does is not ours."""
    command = [sys.executable, "-c", TIMED, *sorted(modules())]
    done = [subprocess.run(command, capture_output=True, text=True, check=True, timeout=120) for _ in range(5)]
    least = 1000 * min(float(one.stdout) for one in done)
    print(f"import mlflow spends {least:.1f} ms in modules of ours")
    assert 0 < least <= MILLISECONDS
