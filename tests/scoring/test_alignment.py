from __future__ import annotations

import random

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from speech_mlflow.scoring import align
from speech_mlflow.scoring.alignment import AlignedWord, Edit, edit_path, expand
from tests.scoring.oracle import fewest

words = st.lists(st.sampled_from("abcd"), max_size=14)
anything = st.lists(st.text(min_size=1, max_size=4), max_size=8)


def check(reference: list[str], hypothesis: list[str]) -> tuple[AlignedWord, ...]:
    steps = align(reference, hypothesis)
    assert [step.reference for step in steps if step.reference is not None] == reference
    assert [step.hypothesis for step in steps if step.hypothesis is not None] == hypothesis
    for op, said, heard in steps:
        assert {
            "hit": said == heard and said is not None,
            "sub": said != heard and said is not None and heard is not None,
            "del": said is not None and heard is None,
            "ins": said is None and heard is not None,
        }[op]
    return steps


@given(words, words)
@settings(max_examples=150, deadline=None)
def test_fewest_errors_then_most_hits(reference: list[str], hypothesis: list[str]) -> None:
    steps = check(reference, hypothesis)
    errors = sum(step.op != "hit" for step in steps)
    assert (errors, len(steps) - errors) == fewest(reference, hypothesis)


@given(anything, anything)
@settings(max_examples=80, deadline=None)
def test_any_unicode(reference: list[str], hypothesis: list[str]) -> None:
    steps = check(reference, hypothesis)
    assert sum(step.op != "hit" for step in steps) == Levenshtein.distance(reference, hypothesis)


@given(words.filter(bool), words)
@settings(max_examples=80, deadline=None)
def test_total_errors_are_those_of_jiwer(reference: list[str], hypothesis: list[str]) -> None:
    theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    ours = sum(step.op != "hit" for step in align(reference, hypothesis))
    assert ours == theirs.substitutions + theirs.deletions + theirs.insertions


def test_more_hits_win_over_fewer_substitutions_in_a_row() -> None:
    # two substitutions, or a deletion and an insertion around a hit: equally many errors
    steps = align(["a", "b"], ["b", "c"])
    assert [step.op for step in steps] == ["del", "hit", "ins"]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "ops"),
    [
        ("", "", []),
        ("a", "", ["del"]),
        ("", "a b", ["ins", "ins"]),
        ("a b c", "a b c", ["hit"] * 3),
        ("a a a", "a a", ["hit", "hit", "del"]),
        ("the cat sat", "the cat sat down", ["hit", "hit", "hit", "ins"]),
        ("the cat sat", "the hat sat", ["hit", "sub", "hit"]),
    ],
)
def test_small_cases(reference: str, hypothesis: str, ops: list[str]) -> None:
    assert [step.op for step in check(reference.split(), hypothesis.split())] == ops


def test_blocks_give_what_one_table_gives() -> None:
    """Beyond a size the table is computed twice, block by block; the errors stay minimal and the path consistent."""
    chance = random.Random(3)
    reference = [chance.choice("abcdefgh") for _ in range(2600)]
    hypothesis = [word if chance.random() > 0.3 else chance.choice("abcdefgh") for word in reference][: 2600 - 40]
    steps = check(reference, hypothesis)
    assert sum(step.op != "hit" for step in steps) == Levenshtein.distance(reference, hypothesis)
    weighted = Levenshtein.distance(reference, hypothesis, weights=(1 << 20, 1 << 20, (1 << 20) + 1))
    assert sum(step.op == "sub" for step in steps) == weighted % (1 << 20)


def test_twenty_thousand_words() -> None:
    chance = random.Random(4)
    reference = [str(chance.randrange(3000)) for _ in range(20_000)]
    hypothesis = [word for word in reference if chance.random() > 0.02]
    hypothesis = [word if chance.random() > 0.02 else "x" for word in hypothesis]
    steps = check(reference, hypothesis)
    assert sum(step.op != "hit" for step in steps) == Levenshtein.distance(reference, hypothesis)


def test_edits_spell_out_the_alignment() -> None:
    reference, hypothesis = ["a", "b", "c", "d"], ["x", "b", "d", "e"]
    edits = edit_path([0, 1, 2, 3], [9, 1, 3, 5])
    assert edits == [Edit(1, 0, 0), Edit(2, 2, 2), Edit(3, 4, 3)]
    assert expand(edits, reference, hypothesis) == align(reference, hypothesis)
