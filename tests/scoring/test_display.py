from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.scoring import score
from speech_mlflow.scoring.characters import count_edits
from speech_mlflow.scoring.display import CLASSES, token_errors
from tests.scoring.oracle import corpus, fewest

texts = st.text(alphabet="abc ,.A1", max_size=24)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("Hello, John.", "Hello John.", {"punctuation": 1}),
        ("Hello John.", "hello john.", {"capitalization": 2}),
        ("Hello.", "hello", {"others": 1}),
        ("It is 21 now", "It is twenty one now", {"itn": 2}),
        ("It costs $5 today", "It costs five dollars today", {"itn": 2}),
        ("The cat sat", "The cut sat", {"lexical": 1}),
        ("The cat sat", "The sat", {"lexical": 1}),
        ("Yes , we do", "Yes we do", {"punctuation": 1}),
        ("an e-mail came", "an email came", {"punctuation": 1}),
        ("a well-known man", "a well known man", {"itn": 2}),
        ("Mr. Smith, 21", "mister Smith 21", {"itn": 1, "punctuation": 1}),
        ("same", "same", {}),
        ("", "so", {"lexical": 1}),
    ],
)
def test_classes(reference: str, hypothesis: str, expected: dict[str, int]) -> None:
    found = token_errors([reference], [hypothesis], normalizer="en-US")
    assert {name: getattr(found, name) for name in CLASSES if getattr(found, name)} == expected


@given(st.lists(st.tuples(texts, texts), max_size=5))
@settings(max_examples=120, deadline=None)
def test_the_classes_add_up_to_the_errors(pairs: list[tuple[str, str]]) -> None:
    found = token_errors([first for first, _ in pairs], [second for _, second in pairs], normalizer="en-US")
    assert sum(getattr(found, name) for name in CLASSES) == found.totals.errors
    assert found.totals.errors == sum(fewest(first.split(), second.split())[0] for first, second in pairs)
    if found.totals.errors:
        assert sum(found.shares().values()) == pytest.approx(1)
    else:
        assert found.shares() == {}


@pytest.mark.parametrize(
    ("locale", "reference", "hypothesis"),
    [
        ("hi-IN", "कि", "की"),
        ("ar-EG", "كَتَبَ", "كُتِبَ"),
        ("th-TH", "ที่", "ที"),
        ("fa-IR", "می\u200cروم", "میروم"),
    ],
)
def test_marks_are_no_punctuation(locale: str, reference: str, hypothesis: str) -> None:
    """Another vowel makes another word, as it does for the word error rate."""
    assert score([reference], [hypothesis], normalizer=locale).errors == 1
    found = token_errors([reference], [hypothesis], normalizer=locale)
    assert (found.lexical, found.totals.errors) == (1, 1)


def test_rate_counts_tokens_as_written() -> None:
    found = score(["Hello, World. Bye"], ["hello, World. Bye"], normalizer="en-US")
    assert found.wer == 0
    assert found.tokens.ter == pytest.approx(1 / 3)
    assert found.tokens.capitalization == 1


def test_chinese_by_character() -> None:
    found = token_errors(["你吃饭了吗?"], ["你吃饭了吗"], normalizer="zh-CN")
    assert (found.totals.words, found.punctuation, found.totals.errors) == (6, 1, 1)


@given(st.text(alphabet="abcd", max_size=12), st.text(alphabet="abcd", max_size=12))
@settings(max_examples=150, deadline=None)
def test_character_counts(reference: str, hypothesis: str) -> None:
    substitutions, deletions, insertions = count_edits(reference, hypothesis)
    errors, hits = fewest(reference, hypothesis)
    assert substitutions + deletions + insertions == errors
    assert len(reference) - substitutions - deletions == hits
    assert len(hypothesis) - substitutions - insertions == hits


def test_long_texts_take_the_band() -> None:
    """Beyond a size the counts come from the alignment's band; they are the same."""
    reference = "abcab" * 1000
    hypothesis = "abcb" * 1100
    from rapidfuzz.distance import Levenshtein

    weighted = Levenshtein.distance(reference, hypothesis, weights=(1 << 32, 1 << 32, (1 << 32) + 1))
    substitutions, deletions, insertions = count_edits(reference, hypothesis)
    assert substitutions == weighted % (1 << 32)
    assert substitutions + deletions + insertions == weighted >> 32
    assert insertions - deletions == len(hypothesis) - len(reference)


def test_character_error_rate_is_that_of_jiwer() -> None:
    references, hypotheses = corpus(200, seed=12)
    assert score(references, hypotheses).cer == jiwer.cer(references, hypotheses)


def test_character_error_rate_without_spaces() -> None:
    found = score(["你吃饭了吗?"], ["你吃饭了"], normalizer="zh-CN")
    assert (found.characters.words, found.characters.deletions) == (5, 1)
    assert found.cer == found.wer
