"""Is the controller well, and does Prometheus read what it says?"""

from __future__ import annotations

import re

import pytest

from speech_mlflow.promotion.counts import Counts, Metric, metrics, problems, render, stuck

SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z_]+="([^"\\\n]|\\[\\"n])*"(,[a-z_]+="([^"\\\n]|\\[\\"n])*")*\})? \S+')
"""A line with a sample, by the grammar of the text format."""


def well() -> Counts:
    counts = Counts()
    counts.polled(3)
    counts.resynced(1)
    return counts


def test_a_controller_that_reaches_both_ends_is_ready() -> None:
    counts = well()
    assert counts.last_poll is not None
    assert problems(counts, counts.last_poll, poll_seconds=5, resync_seconds=60) == []
    assert stuck(counts, counts.last_turn) is None


def test_one_that_did_not_begin_says_so() -> None:
    assert problems(Counts(), 0.0, poll_seconds=5, resync_seconds=60) == [
        "MLflow was not read yet",
        "registry and speech service were not compared yet",
    ]


@pytest.mark.parametrize(("after", "count"), [(59, 0), (61, 1), (179, 1), (200, 2)])
def test_one_that_does_not_get_through_says_for_how_long(after: float, count: int) -> None:
    counts = well()
    assert counts.last_poll is not None
    found = problems(counts, counts.last_poll + after, poll_seconds=5, resync_seconds=60)
    assert len(found) == count
    assert all(f"{after:.0f} s" in one for one in found)


def test_one_that_hangs_is_to_be_started_anew() -> None:
    counts = well()
    assert stuck(counts, counts.last_turn + 899) is None
    assert stuck(counts, counts.last_turn + 901) == "nothing was done for 901 s"


def test_what_was_counted_can_be_read() -> None:
    counts = well()
    counts.ended("served")
    counts.ended("served")
    counts.tell("drift")
    with counts.timed("target"):
        pass
    with pytest.raises(OSError, match="lost"), counts.timed("target"):
        raise OSError("lost")
    text = render(metrics(counts))
    for line in text.splitlines():
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert samples['speech_mlflow_results_total{result="served"}'] == "2"
    assert samples["speech_mlflow_drift_total"] == "1"
    assert samples["speech_mlflow_targets_held"] == "1"
    assert samples["speech_mlflow_models"] == "3"
    assert float(samples['speech_mlflow_duration_seconds_count{of="target"}']) == 2
    assert float(samples["speech_mlflow_last_poll_timestamp_seconds"]) > 1.7e9
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_labels_and_help_are_escaped() -> None:
    text = render([Metric("odd", "gauge", "two\nlines \\ one", [("", {"name": 'a "b"\\\n}'}, 0.5)])], prefix="")
    assert text == '# HELP odd two\\nlines \\\\ one\n# TYPE odd gauge\nodd{name="a \\"b\\"\\\\\\n}"} 0.5\n'
