from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import jiwer
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.errors import ScoringError
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.scoring import Counts, Score, score, score_stream
from tests.scoring.oracle import corpus, fewest

word = st.sampled_from("abc")
sentences = st.lists(st.tuples(st.lists(word, min_size=1, max_size=6), st.lists(word, max_size=6)), min_size=1, max_size=6)


@given(sentences)
@settings(max_examples=80, deadline=None)
def test_counts_and_rates(pairs: list[tuple[list[str], list[str]]]) -> None:
    """Per utterance as worked out plainly; MER, WIL and WIP as jiwer computes them from these counts."""
    found = score([" ".join(said) for said, _ in pairs], [" ".join(heard) for _, heard in pairs])
    for (said, heard), utterance in zip(pairs, found, strict=True):
        errors, hits = fewest(said, heard)
        assert (utterance.errors, utterance.hits, utterance.words) == (errors, hits, len(said))
        assert utterance.hypothesis_words == len(heard)
        assert utterance.wer == errors / len(said)
    theirs = jiwer.process_words([" ".join(said) for said, _ in pairs], [" ".join(heard) for _, heard in pairs])
    assert found.wer == theirs.wer
    assert found.errors == theirs.substitutions + theirs.deletions + theirs.insertions
    if found.hits == theirs.hits:
        assert (found.mer, found.wil, found.wip) == pytest.approx((theirs.mer, theirs.wil, theirs.wip))


def test_rates_of_one_case_by_hand() -> None:
    found = score(["a b c d", "e"], ["a x c d y", "e"])
    assert found.totals == type(found.totals)(5, 4, 1, 0, 1, 2, 1)
    assert found.wer == 2 / 5
    assert found.ser == 1 / 2
    assert found.mer == 2 / 6
    assert found.wip == pytest.approx(4 / 5 * 4 / 6)
    assert found.wil == pytest.approx(1 - 4 / 5 * 4 / 6)
    assert found.summary() == {
        "wer": 0.4, "ser": 0.5, "mer": 2 / 6, "wil": found.wil, "wip": found.wip, "words": 5, "hits": 4,
        "substitutions": 1, "deletions": 0, "insertions": 1, "errors": 2, "utterances": 2,
    }  # fmt: skip


def test_without_reference_words() -> None:
    assert score([], []).wer == score([""], [""]).wer == 0.0
    assert score([""], ["a"]).wer == math.inf
    assert score(["", "a b"], ["x", "a b"]).wer == 0.5
    assert Counts().wip == 1.0
    assert Counts(insertions=1).wip == 0.0


def test_corpus_rate_is_not_the_mean_of_utterances() -> None:
    found = score(["a", "a b c d e f g h i"], ["x", "a b c d e f g h i"])
    assert found.wer == 1 / 10


def test_what_is_counted_is_what_is_shown() -> None:
    references, hypotheses = corpus(300, seed=1)
    found = score(references, hypotheses)
    for utterance in found:
        ops = [step.op for step in utterance.alignment]
        assert [ops.count("hit"), ops.count("sub"), ops.count("del"), ops.count("ins")] == [
            utterance.hits, utterance.substitutions, utterance.deletions, utterance.insertions,
        ]  # fmt: skip
        assert " ".join(step.reference for step in utterance.alignment if step.reference) == utterance.reference
        assert " ".join(step.hypothesis for step in utterance.alignment if step.hypothesis) == utterance.hypothesis


def test_ids_and_mappings() -> None:
    found = score({"u1": "a b", "u2": "c"}, {"u2": "c", "u1": "a"})
    assert found.ids == ("u1", "u2")
    assert found["u1"].deletions == 1
    assert found["u2"].wer == 0
    assert found[-1].id == "u2"
    assert score(["a"], ["a"]).ids == ("0",)
    with pytest.raises(KeyError, match="u3"):
        found["u3"]
    with pytest.raises(IndexError):
        found[2]


def test_groups() -> None:
    found = score(
        ["a b", "c d", "e f"],
        ["a b", "c x", "e"],
        groups={"speaker": ["ann", "bob", "ann"], "device": [None, "x", float("nan")]},
    )
    assert {label: total.wer for label, total in found.by_group().items()} == {"ann": 0.25, "bob": 0.5}
    assert found.by_group("device")["(none)"].utterances == 2
    assert found.by_group("speaker")["ann"].ser == 0.5
    assert sum(total.errors for total in found.by_group("device").values()) == found.errors
    assert score(["a"], ["b"], groups=["ann"]).by_group("group")["ann"].wer == 1
    with pytest.raises(ScoringError, match="voice"):
        found.by_group("voice")
    with pytest.raises(ScoringError, match="no groups"):
        score(["a"], ["b"]).by_group()


def test_lists_of_any_kind() -> None:
    frame = pd.DataFrame({"reference": ["a b", "c"], "hypothesis": ["a", "c"], "speaker": ["x", None]})
    frame["device"] = pd.array(["phone", None], dtype="string")
    found = score(frame.reference, frame.hypothesis, groups=frame[["speaker", "device"]].to_dict("list"), ids=frame.index)
    assert found.deletions == 1
    assert found.ids == ("0", "1")
    assert found.column() == ("x", "(none)")
    assert found.column("device") == ("phone", "(none)")
    assert score((text for text in ["a"]), iter(["b"])).wer == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: score("a b", "a b"), ["list"]),
        (
            lambda: score(["a", None, 3], ["a", "b", float("nan")]),
            ["2 references", "1 (NoneType), 2 (int)", "1 hypotheses", "2 (float)"],
        ),
        (lambda: score(["a"], []), ["1 references", "0 hypotheses"]),
        (lambda: score({"x": "", "y": ""}, {"x": "", "z": ""}), ["no hypothesis: y", "no reference: z"]),
        (lambda: score({"x": ""}, [""]), ["mapping"]),
        (lambda: score(3, [""]), ["int"]),
        (lambda: score(["a"], ["a"], ids=["x", "y"]), ["2 ids for 1"]),
        (lambda: score(["a", "b", "c"], ["a", "b", "c"], ids=["x", "x", "y"]), ["more than once: x"]),
        (lambda: score(["a"], ["a"], groups={"s": ["x", "y"], "t": []}), ["'s' has 2", "'t' has 0"]),
        (lambda: score(["a"], ["a"], groups="x"), ["list"]),
    ],
)  # fmt: skip
def test_everything_that_does_not_fit_is_told(call: Callable[[], Score], words: list[str]) -> None:
    with pytest.raises(ScoringError) as caught:
        call()
    for part in words:
        assert part in str(caught.value)


def test_many_problems_are_not_all_listed() -> None:
    with pytest.raises(ScoringError, match="and 90 more"):
        score({str(i): "" for i in range(100)}, {})


def test_worst_first() -> None:
    found = score(["a b c", "a b c d", "a", "b"], ["x y c", "x y c d", "a", ""])
    assert [(utterance.id, utterance.errors) for utterance in found.worst()] == [("0", 2), ("1", 2), ("3", 1)]


def test_table() -> None:
    found = score({"x": "a b", "y": ""}, {"x": "a", "y": "c"}, groups={"speaker": ["ann", "bob"]})
    table = found.table()
    assert pd.DataFrame(table).to_dict("records") == [
        {"id": "x", "speaker": "ann", "reference": "a b", "hypothesis": "a", "words": 2, "hits": 1, "substitutions": 0,
         "deletions": 1, "insertions": 0, "errors": 1, "wer": 0.5},
        {"id": "y", "speaker": "bob", "reference": "", "hypothesis": "c", "words": 0, "hits": 0, "substitutions": 0,
         "deletions": 0, "insertions": 1, "errors": 1, "wer": math.inf},
    ]  # fmt: skip


def test_rescoring_keeps_everything_else() -> None:
    found = score({"x": "Hello, World"}, {"x": "hello world"}, groups={"speaker": ["ann"]})
    again = found.rescore("en-US")
    assert (found.wer, again.wer) == (1.0, 0.0)
    assert (again.ids, again.groups) == (found.ids, found.groups)
    assert again.normalizer.name == "en-US"


def test_stream_gives_the_same_numbers() -> None:
    references, hypotheses = corpus(20_000, seed=6, words=2)
    chance = random.Random(1)
    labels = [chance.choice("xyz") for _ in references]
    ids = [f"u{index}" for index in range(len(references))]
    whole = score(references, hypotheses, ids=ids, groups=labels)
    events: list[ProgressEvent] = []
    rows = zip(ids, references, hypotheses, labels, strict=True)
    streamed = score_stream(rows, progress=events.append)
    assert streamed.totals == whole.totals
    assert streamed.by_group() == whole.by_group()
    assert streamed.ids == whole.ids
    assert events[-1].done == 20_000
    with pytest.raises(ScoringError, match="keep"):
        streamed.alignment(0)
    kept = score_stream(zip(references, hypotheses, strict=True), keep_texts=True)
    assert kept.alignment(5) == whole.alignment(5)


@pytest.mark.parametrize(
    "entries", [[("a",)], [("a", "b"), ("a", "b", "c")], [("a", None)], [("i", "a", 3)], ["ab", "cd"], [3]]
)
def test_stream_of_something_else(entries: list[Any]) -> None:
    with pytest.raises(ScoringError, match="not pairs of texts"):
        score_stream(entries)


def test_long_utterances_among_short_ones() -> None:
    chance = random.Random(7)
    long = [str(chance.randrange(50)) for _ in range(5000)]
    heard = [one for one in long if chance.random() > 0.05]
    found = score(["a b", " ".join(long), "c"], ["a", " ".join(heard), "c"])
    assert found[1].deletions - found[1].insertions == len(long) - len(heard)
    assert found[0].deletions == 1


def test_text_of_a_score_says_what_it_is() -> None:
    text = str(score(["a b"], ["a"], normalizer="en-US"))
    assert "WER 50.00%" in text
    assert "en-US" in text
