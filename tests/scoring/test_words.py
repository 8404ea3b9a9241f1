from __future__ import annotations

import random
from collections import Counter

import pytest

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import score
from speech_mlflow.scoring.words import Confusion, InsertedWord, KeywordRecall, MissedWord, hit_positions
from tests.scoring.oracle import corpus


def test_confusions_missed_and_inserted_words() -> None:
    found = score(["the cat sat", "a cat is", "the dog"], ["the cut sat", "a cut is uh", "dog"])
    assert found.confusions() == [Confusion("cat", "cut", 2)]
    assert found.missed() == [MissedWord("cat", 2, 2, 0), MissedWord("the", 2, 0, 1)]
    assert found.missed()[1].recall == 0.5
    assert found.inserted() == [InsertedWord("uh", 1)]
    assert found.confusions(0) == []


def test_counts_of_words_are_those_of_the_alignments() -> None:
    references, hypotheses = corpus(500, seed=8, rate=0.3)
    found = score(references, hypotheses)
    steps = [step for utterance in found for step in utterance.alignment]
    errors = found.word_errors
    assert errors.substitutions == Counter((s.reference, s.hypothesis) for s in steps if s.op == "sub")
    assert errors.deletions == Counter(s.reference for s in steps if s.op == "del")
    assert errors.insertions == Counter(s.hypothesis for s in steps if s.op == "ins")
    assert errors.occurrences == Counter(word for text in references for word in text.split())
    counts = [one.count for one in found.confusions(None)]
    assert counts == sorted(counts, reverse=True)


def test_hit_positions_follow_the_alignment() -> None:
    references, hypotheses = corpus(200, seed=9, rate=0.4)
    found = score(references, hypotheses)
    for index, utterance in enumerate(found):
        expected: list[int | None] = []
        position = 0
        for step in utterance.alignment:
            if step.reference is not None:
                expected.append(position if step.op == "hit" else None)
            position += step.hypothesis is not None
        assert hit_positions(utterance.words, found.edits.of(index)) == expected


def test_keywords() -> None:
    found = score(
        ["take amoxicillin in new york", "new york and new york", "no drug"],
        ["take a moxie in new york", "new and york and new york", "no amoxicillin drug"],
    )
    report = found.keywords({"drug": ["Amoxicillin", "aspirin"], "place": ["New York"]})
    assert report["drug"].keywords[1] == KeywordRecall("aspirin", 0, 0, 0)
    # as given, without a normaliser, capitals match nothing
    assert report["drug"].occurrences == 0
    report = found.rescore("en-US").keywords({"drug": ["Amoxicillin", "aspirin"], "place": ["New York"]})
    drug, place = report["drug"], report["place"]
    assert (drug.occurrences, drug.found, drug.false_alarms) == (1, 0, 1)
    assert (drug.recall, drug.precision) == (0.0, 0.0)
    # a word between its words and the phrase is not found
    assert (place.occurrences, place.found, place.false_alarms) == (3, 2, 0)
    assert place.recall == pytest.approx(2 / 3)
    assert drug.keywords[1].recall is None
    assert drug.keywords[1].precision is None


def test_keywords_by_plain_counting() -> None:
    """Single words: found is the number of hits of the word, false alarms what else of it was heard."""
    references, hypotheses = corpus(400, seed=10, rate=0.3)
    found = score(references, hypotheses)
    steps = [step for utterance in found for step in utterance.alignment]
    words = ["w0", "w1", "w7", "w1999", "never"]
    for one in found.keywords(words)["keywords"].keywords:
        hits = sum(step.op == "hit" and step.reference == one.keyword for step in steps)
        heard = sum(step.hypothesis == one.keyword for step in steps)
        said = sum(step.reference == one.keyword for step in steps)
        assert (one.occurrences, one.found, one.false_alarms) == (said, hits, heard - hits)


def test_keywords_from_an_iterator_and_twice_the_same() -> None:
    found = score(["an e-mail came"], ["an e mail came"], normalizer="en-US")
    report = found.keywords({"kind": iter(["e-mail", "e mail", "came"])})["kind"]
    assert (report.occurrences, report.found, report.false_alarms) == (2, 2, 0)
    assert [one.occurrences for one in report.keywords] == [1, 1, 1]
    for wrong in (lambda: found.keywords("mail"), lambda: found.keywords({"kind": "mail"}), lambda: found.oov("mail")):
        with pytest.raises(ScoringError, match="list of words"):
            wrong()


def test_an_empty_keyword_occurs_nowhere() -> None:
    assert score(["a"], ["a"]).keywords(["", "a"])["keywords"].occurrences == 1


def test_words_outside_a_vocabulary() -> None:
    found = score(["the zorgle and the blip", "the end"], ["the zorgle and the clip", "end"])
    report = found.oov(["the and", "end"])
    assert (report.words, report.oov, report.oov_hits, report.known_hits) == (7, 2, 1, 4)
    assert report.rate == 2 / 7
    assert report.recall == 0.5
    assert report.known_recall == 4 / 5
    assert report.most_common == (("blip", 1), ("zorgle", 1))
    assert found.oov(["the and end zorgle blip"]).recall is None


def test_random_vocabulary() -> None:
    references, hypotheses = corpus(300, seed=11, rate=0.3)
    found = score(references, hypotheses)
    vocabulary = {word for text in references for word in text.split() if random.Random(word).random() < 0.5}
    report = found.oov(vocabulary)
    steps = [step for utterance in found for step in utterance.alignment if step.reference is not None]
    outside = [step for step in steps if step.reference not in vocabulary]
    assert report.oov == len(outside)
    assert report.oov_hits == sum(step.op == "hit" for step in outside)
    assert report.known_hits + report.oov_hits == found.hits
