"""One measured piece of work in a process of its own, so that its memory is only its own.

``python -m tests.benchmarks.scoring_work NAME FILE`` prints seconds of CPU and the peak of memory, in all and above what
the process held before, in bytes. FILE has a reference and the hypotheses of two recognisers a line, between tabs.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

GROUPS = 100


def memory(name: str) -> int:
    """VmRSS (now) or VmHWM (the most so far) of this process, in bytes."""
    found = re.search(rf"^{name}:\s+([0-9]+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def texts() -> list[list[str]]:
    """References, and the hypotheses of two recognisers."""
    columns: list[list[str]] = [[], [], []]
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            for column, text in zip(columns, line.rstrip("\n").split("\t"), strict=True):
                column.append(text)
    return columns


def measured(work: Callable[[], object], runs: int = 1) -> dict[str, float]:
    """The least CPU time of some runs, and the memory of the first."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the most so far starts anew
    before, least, most = memory("VmRSS"), float("inf"), 0
    for run in range(runs):
        start = time.process_time()
        kept = work()
        least = min(least, time.process_time() - start)
        most = most if run else memory("VmHWM")
        del kept
    return {"seconds": least, "memory": most - before, "peak": most}


def jiwer_words() -> dict[str, float]:
    import jiwer

    references, hypotheses, _ = texts()
    return measured(lambda: jiwer.process_words(references, hypotheses))


def our_score() -> dict[str, float]:
    from speech_mlflow.scoring import score

    references, hypotheses, _ = texts()
    score(["warm up"], ["arm up"])
    return measured(lambda: score(references, hypotheses), runs=3)


def million_in_lists() -> dict[str, float]:
    """A million different pairs of texts, held by the caller, and the score with an alignment asked of it."""
    from speech_mlflow.scoring import score

    references, hypotheses = (
        list(chain.from_iterable((f"{text} v{copy}" for text in column) for copy in range(10))) for column in texts()[:2]
    )

    def work() -> object:
        found = score(references, hypotheses)
        assert found.alignment(999_999)[-1].reference == "v9"
        return found

    return measured(work)


def million_streamed() -> dict[str, float]:
    """A million pairs that come one by one."""
    from speech_mlflow.scoring import score_stream

    references, hypotheses, _ = texts()

    def pairs() -> Iterator[tuple[str, str]]:
        for copy in range(10):
            for reference, hypothesis in zip(references, hypotheses, strict=True):
                yield f"{reference} v{copy}", f"{hypothesis} v{copy}"

    return measured(lambda: score_stream(pairs()))


def compared(groups: bool) -> dict[str, float]:
    from speech_mlflow.scoring import compare, score

    references, hypotheses, others = texts()
    labels = [str(index % GROUPS) for index in range(len(references))] if groups else None
    first, second = (score(references, heard, groups=labels) for heard in (hypotheses, others))

    def work() -> object:
        found = compare(first, second, resamples=10_000)
        assert found.mapsswe.segments > 1000
        assert found.interval.units == (GROUPS if groups else len(references))
        return found

    return measured(work, runs=3)


WORK: dict[str, Callable[[], dict[str, float]]] = {
    "jiwer": jiwer_words,
    "score": our_score,
    "million": million_in_lists,
    "stream": million_streamed,
    "compare": lambda: compared(groups=False),
    "compare-groups": lambda: compared(groups=True),
}

if __name__ == "__main__":
    print(json.dumps(WORK[sys.argv[1]]()))
