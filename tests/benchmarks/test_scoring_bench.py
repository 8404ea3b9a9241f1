"""Speed and memory of scoring, as ratios against named peers; runs with the benchmarks.

Times are CPU seconds of one process each, so that a busy machine disturbs them less; memory is what a process needed
above its texts.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from speech_mlflow.scoring import get_normalizer, score
from speech_mlflow.scoring.report import render_report
from tests.scoring.oracle import corpus, heard_again
from tests.ui import browser

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

GIGABYTE = 1_000_000_000


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 utterances of about 12 words, as two recognisers heard them."""
    references, first = corpus(100_000, seed=1)
    second = heard_again(references, seed=2, rate=0.11)
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\t{c}\n" for a, b, c in zip(references, first, second, strict=True)), encoding="utf-8")
    return path


def measure(name: str, pairs: Path) -> dict[str, float]:
    """Run a piece of `scoring_work` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.scoring_work", name, str(pairs)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    memory = f"{found['memory'] / 1e6:.0f} MB above its data, {found['peak'] / 1e6:.0f} MB in all"
    print(f"{name}: {found['seconds']:.2f} s CPU, {memory}")
    return found


def test_score_against_jiwer(pairs: Path) -> None:
    """Counts per utterance and alignments included, on both sides."""
    theirs, ours = measure("jiwer", pairs), measure("score", pairs)
    print(f"{theirs['seconds'] / ours['seconds']:.1f} times as fast at {ours['memory'] / theirs['memory']:.2f} of the memory")
    assert ours["seconds"] <= theirs["seconds"] / 10
    assert ours["memory"] <= theirs["memory"] / 3


def test_a_million_pairs_in_a_gigabyte(pairs: Path) -> None:
    held, streamed = measure("million", pairs), measure("stream", pairs)
    assert held["peak"] <= GIGABYTE
    assert streamed["peak"] <= GIGABYTE / 3


def test_ten_thousand_resamples(pairs: Path) -> None:
    """MAPSSWE included: by utterance, and by 100 groups."""
    assert measure("compare", pairs)["seconds"] <= 3
    assert measure("compare-groups", pairs)["seconds"] <= 1


def test_normalising_against_whisper() -> None:
    whisper = pytest.importorskip("whisper_normalizer.english", reason="whisper-normalizer is not installed")
    chance = random.Random(1)
    words = (
        "The patient, Dr. Smith's, took 20 mg at 5:30; it's well-known and costs $3.50 "
        "in New York's first clinic, isn't it? Follow-up on the 21st with Mrs. O'Brien"
    )
    texts = [" ".join(chance.choices(words.split(), k=12)) + "." for _ in range(100_000)]
    theirs, ours = whisper.EnglishTextNormalizer(), get_normalizer("en-US")

    start = time.process_time()
    for text in texts[:5000]:
        theirs(text)
    their_rate = 5000 / (time.process_time() - start)
    start = time.process_time()
    ours.many(texts)
    our_rate = len(texts) / (time.process_time() - start)
    print(f"{our_rate:,.0f} sentences a second, Whisper's {their_rate:,.0f}: {our_rate / their_rate:.1f} times")
    assert our_rate >= 10 * their_rate


def test_a_large_report_opens_and_filters_at_once(tmp_path: Path) -> None:
    """5,000 utterances of three models in Chromium: seconds until loaded, milliseconds for each key typed."""
    references, _ = corpus(5000, seed=1)
    scores = {f"model {n}": score(references, heard_again(references, n, 0.2 / (n + 1))) for n in range(3)}
    (tmp_path / "report.html").write_text(render_report(scores), encoding="utf-8")
    driver = browser.start(tmp_path / "profile")
    try:
        address = (tmp_path / "report.html").as_uri()
        driver.get(address)  # the first page of a new browser also starts the browser
        driver.get(address)
        opened = driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
        keys = driver.execute_script(
            """const box = document.getElementById('query'), times = [];
            for (const text of ['w', 'w1', 'w12', 'w123', 'w12', 'w1', '']) {
              box.value = text;
              const start = performance.now();
              box.dispatchEvent(new Event('input', {bubbles: true}));
              document.body.offsetHeight;
              times.push(performance.now() - start);
            }
            return times"""
        )
    finally:
        driver.quit()
    print(f"opens in {opened:.2f} s; keys take {', '.join(f'{key:.0f}' for key in keys)} ms")
    assert opened < 2
    assert sorted(keys)[len(keys) // 2] < 100
    assert max(keys) < 300
