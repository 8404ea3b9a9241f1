from __future__ import annotations

import random

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.scoring import batch
from speech_mlflow.scoring.alignment import edit_path
from speech_mlflow.scoring.batch import align_pairs
from speech_mlflow.scoring.wordnumbers import number_words
from tests.scoring.oracle import corpus, corrupted

SPACES = [" ", "  ", "\t", "\n", "\u00a0", "\u3000", "\x85", "\u2003", "\x1c"]
ODD = ["a", "abcdefg", "abcdefgh", "abcdefgi", "ß", "日本語", "a\x00", "\x00", "é", "e\u0301", "\ud800", "😀", "x" * 300]


def same_as_one_by_one(references: list[str], hypotheses: list[str]) -> None:
    aligned = align_pairs(references, hypotheses)
    for index, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        numbers: dict[str, int] = {}
        said = [numbers.setdefault(word, len(numbers)) for word in reference.split()]
        heard = [numbers.setdefault(word, len(numbers)) for word in hypothesis.split()]
        assert aligned.words[index] == len(said)
        assert list(aligned.edits.of(index)) == edit_path(said, heard), (reference, hypothesis)


def test_the_alignment_is_the_one_of_align() -> None:
    """Not only the counts: every edit, for short and long and equal and empty texts, in one batch."""
    chance = random.Random(1)
    references, hypotheses = [], []
    for _ in range(1200):
        vocabulary = "abcdefghijkl"[: chance.choice([2, 3, 6, 12])]
        reference = [chance.choice(vocabulary) for _ in range(chance.randrange(45))]
        heard = corrupted(reference, vocabulary, chance.choice([0, 0.1, 0.5, 1]), chance)
        references.append(" ".join(reference))
        hypotheses.append(" ".join(heard))
    same_as_one_by_one(references, hypotheses)


def test_several_chunks_join() -> None:
    references, hypotheses = corpus(2 * batch.CHUNK + 5, seed=2, words=1)
    aligned = align_pairs(references, hypotheses)
    assert len(aligned.words) == len(references)
    assert (np.diff(aligned.edits.utterance) >= 0).all()
    last = len(references) - 1
    tail = align_pairs(references[batch.CHUNK :], hypotheses[batch.CHUNK :])
    assert list(aligned.edits.of(last)) == list(tail.edits.of(last - batch.CHUNK))


def test_total_errors_are_those_of_jiwer() -> None:
    references, hypotheses = corpus(400, seed=3)
    theirs = jiwer.process_words(references, hypotheses)
    assert len(align_pairs(references, hypotheses).edits) == theirs.substitutions + theirs.deletions + theirs.insertions


def test_odd_words_and_spaces() -> None:
    chance = random.Random(5)

    def text() -> str:
        return "".join(chance.choice(ODD) + chance.choice(SPACES) for _ in range(chance.randrange(12)))

    same_as_one_by_one([text() for _ in range(400)], [text() for _ in range(400)])


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_text(pairs: list[tuple[str, str]]) -> None:
    same_as_one_by_one([first for first, _ in pairs], [second for _, second in pairs])


@given(st.lists(st.text(max_size=30), max_size=5))
@settings(max_examples=80, deadline=None)
def test_equal_words_and_only_they_have_equal_numbers(texts: list[str]) -> None:
    numbers, lengths = number_words(texts)
    words = [word for text in texts for word in text.split()]
    assert lengths.tolist() == [len(text.split()) for text in texts]
    assert len(numbers) == len(words)
    assert len(set(zip(numbers.tolist(), words, strict=True))) == len(set(numbers.tolist())) == len(set(words))


@pytest.mark.parametrize("length", [1, 2, 3, 12, 13, 31, 32, 33, 40])
def test_lengths_around_the_sizes_of_tables(length: int) -> None:
    chance = random.Random(length)
    references = [" ".join(chance.choice("ab") for _ in range(length)) for _ in range(60)]
    hypotheses = [" ".join(chance.choice("ab") for _ in range(length)) for _ in range(60)]
    same_as_one_by_one(references, hypotheses)


def test_nothing() -> None:
    aligned = align_pairs([], [])
    assert len(aligned.words) == len(aligned.edits) == 0
