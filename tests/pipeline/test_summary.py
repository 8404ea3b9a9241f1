"""The Markdown summary: numbers as they are, and nothing of what it is told can break out of its place."""

from __future__ import annotations

import pytest

from speech_mlflow.pipeline.records import Judged, Measurement, Outcome, PipelineResult
from speech_mlflow.pipeline.summary import code, escape, markdown, run_url
from speech_mlflow.promotion.decisions import Decision
from speech_mlflow.scoring import compare, score
from speech_mlflow.scoring.comparison import wer_interval

NASTY = "a|b `c` <img src=x> *d* [e](http://f) @team #12 ~~g~~ $h$\n| new | row |"


def result(*outcomes: Outcome, **more: object) -> PipelineResult:
    return PipelineResult("clinic", "offline-1", outcomes, **more)  # type: ignore[arg-type]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows: a bar that is escaped separates nothing."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").replace("\\|", "BAR").split("|")] for line in lines]


def test_numbers_stand_in_their_columns() -> None:
    first = score(["one two three four"] * 5, ["one two three"] * 5)
    second = score(["one two three four"] * 5, ["one two three four"] * 5)
    found = Measurement(
        "testing", "clinic", "clinic v2", 0.25, second.wer, wer_interval(second), 20, "a" * 32, {"base": compare(first, second)}
    )
    heads, _, cells = rows(markdown(result(measurements=(found,))))
    shown = dict(zip(heads, cells, strict=True))
    assert shown["WER"] == "25.0 %"
    assert shown["recomputed, 95 % interval"] == "0.0 % (0.0 to 0.0)"
    assert "−25.0 (−25.0 to −25.0)" in shown["against base"]
    assert shown["run"] == "`aaaaaaaa`"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("train", "clinic", "done", "version 1", changed=True), "✅ clinic: done"),
        (Outcome("train", "clinic", "done", "version 1"), "nothing changed, nothing was done"),
        (Outcome("gates", "clinic", "refused", "no"), "⛔ clinic: a gate said no: clinic"),
        (Outcome("train", "clinic", "failed", "no"), "❌ clinic: failed: train clinic"),
    ],
)
def test_the_head_says_how_it_ended(outcome: Outcome, words: str) -> None:
    assert words in markdown(result(outcome)).splitlines()[0]


def test_every_table_keeps_its_shape_whatever_it_is_told() -> None:
    decision = Decision(NASTY, False, NASTY)
    outcome = Outcome("train", NASTY, "failed", NASTY, run_id=NASTY, problems=(NASTY,) * 12, hint=NASTY)
    text = markdown(result(outcome, judged=(Judged(NASTY, NASTY, "1", (decision,), NASTY),)))
    widths = [len(row) for row in rows(text)]
    assert widths == [4] * 3 + [6] * 3
    assert "<img" not in text
    assert "@team" not in text
    assert "and 2 more" in text


def test_plain_names_stay_readable() -> None:
    assert escape("clinic-en-us v1: WER 3.5 % (0.5 to 4)") == "clinic-en-us v1: WER 3.5 % (0.5 to 4)"
    assert code("a|b") == "`a\\|b`"
    assert code("a`b") == "`` a`b ``"


def test_links_go_to_the_server_and_carry_no_password() -> None:
    assert (
        run_url("https://me:secret@mlflow.example:8443/x/", "3", "abc")
        == "https://mlflow.example:8443/x/#/experiments/3/runs/abc"
    )
    assert run_url("sqlite:///mlflow.db", "3", "abc") is None
    assert run_url("http://127.0.0.1:5000", None, "abc") is None
