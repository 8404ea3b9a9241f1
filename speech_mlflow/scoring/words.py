"""Which words go wrong: confusions, missed and inserted words, recall of keywords, words outside a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from speech_mlflow.scoring.alignment import DEL, INS, SUB, Edit
from speech_mlflow.scoring.inputs import read_words
from speech_mlflow.scoring.records import rate

T = TypeVar("T", str, tuple[str, str])

if TYPE_CHECKING:
    from speech_mlflow.scoring.scores import Score


@dataclass(frozen=True)
class Confusion:
    """A reference word that was recognised as another word, and how often."""

    reference: str
    hypothesis: str
    count: int


@dataclass(frozen=True)
class MissedWord:
    """A reference word and how often it occurs, was substituted and was deleted."""

    word: str
    occurrences: int
    substituted: int
    deleted: int

    @property
    def missed(self) -> int:
        return self.substituted + self.deleted

    @property
    def recall(self) -> float:
        """The share of its occurrences that were recognised."""
        return 1.0 - self.missed / self.occurrences


@dataclass(frozen=True)
class InsertedWord:
    """A word that was recognised where nothing was said, and how often."""

    word: str
    count: int


@dataclass(frozen=True)
class KeywordRecall:
    """How a keyword or phrase fared.

    `occurrences` in the references, of which `found` were recognised word for word; `false_alarms` are occurrences
    in the hypotheses that match none in the reference.
    """

    keyword: str
    occurrences: int
    found: int
    false_alarms: int

    @property
    def recall(self) -> float | None:
        """None where the keyword does not occur in the references."""
        return self.found / self.occurrences if self.occurrences else None

    @property
    def precision(self) -> float | None:
        """None where the keyword does not occur in the hypotheses."""
        heard = self.found + self.false_alarms
        return self.found / heard if heard else None


@dataclass(frozen=True)
class KeywordReport(KeywordRecall):
    """All keywords of one kind (an entity type, or just "keywords") together, and each by itself."""

    keywords: tuple[KeywordRecall, ...] = ()


@dataclass(frozen=True)
class OovReport:
    """Words of the references that are not in a vocabulary.

    `words` counts all running words, `oov` those outside the vocabulary; `oov_hits` and `known_hits` are how many of
    either kind were recognised; `most_common` holds the words outside with their counts, most frequent first.
    """

    words: int
    oov: int
    oov_hits: int
    known_hits: int
    most_common: tuple[tuple[str, int], ...] = field(repr=False)

    @property
    def rate(self) -> float:
        """The share of running words that are outside the vocabulary."""
        return rate(self.oov, self.words)

    @property
    def recall(self) -> float | None:
        """The share of words outside the vocabulary that were recognised; None where there are none."""
        return self.oov_hits / self.oov if self.oov else None

    @property
    def known_recall(self) -> float | None:
        """The share of the other words that were recognised; None where there are none."""
        known = self.words - self.oov
        return self.known_hits / known if known else None


@dataclass(frozen=True, eq=False)
class WordErrors:
    """How often each word was confused, missed and inserted over a whole score."""

    occurrences: Counter[str] = field(repr=False)
    substitutions: Counter[tuple[str, str]] = field(repr=False)
    deletions: Counter[str] = field(repr=False)
    insertions: Counter[str] = field(repr=False)

    def confusions(self, count: int | None = 20) -> list[Confusion]:
        """The most frequent pairs of words confused."""
        return [Confusion(said, heard, times) for (said, heard), times in _ordered(self.substitutions)[:count]]

    def missed(self, count: int | None = 20) -> list[MissedWord]:
        """The reference words most often not recognised, whether substituted or deleted."""
        substituted: Counter[str] = Counter()
        for (reference, _), times in self.substitutions.items():
            substituted[reference] += times
        words = _ordered(substituted + self.deletions)[:count]
        return [MissedWord(word, self.occurrences[word], substituted[word], self.deletions[word]) for word, _ in words]

    def inserted(self, count: int | None = 20) -> list[InsertedWord]:
        """The words most often inserted."""
        return [InsertedWord(word, times) for word, times in _ordered(self.insertions)[:count]]


def word_errors(score: Score) -> WordErrors:
    """Count the words behind all errors of a score, in one pass over its texts."""
    occurrences: Counter[str] = Counter()
    for text in score.texts()[0]:
        occurrences.update(score.normalizer(text).split())
    errors = WordErrors(occurrences, Counter(), Counter(), Counter())
    for index, edits in score.edits.by_utterance():
        reference, hypothesis = score.reference_words(index), score.hypothesis_words(index)
        for op, i, j in edits:
            if op == SUB:
                errors.substitutions[reference[i], hypothesis[j]] += 1
            elif op == DEL:
                errors.deletions[reference[i]] += 1
            else:
                errors.insertions[hypothesis[j]] += 1
    return errors


def keyword_recall(score: Score, keywords: Iterable[str] | Mapping[str, Iterable[str]]) -> dict[str, KeywordReport]:
    """Recall and precision of words or phrases, by kind.

    keywords: a list of words and phrases (reported as the kind "keywords"), or such lists by kind, as in
        `{"drug": ["amoxicillin", ...], "place": [...]}`. They go through the score's normaliser.

    A phrase counts as found where all of its words are hits, side by side, in the alignment.
    """
    given = keywords if isinstance(keywords, Mapping) else {"keywords": keywords}
    kinds = {kind: read_words(f"keywords {kind!r}", members) for kind, members in given.items()}
    phrases = {word: tuple(score.normalizer(word).split()) for words in kinds.values() for word in words}
    counts: dict[tuple[str, ...], list[int]] = {words: [0, 0, 0] for words in phrases.values() if words}
    by_first: dict[str, list[tuple[str, ...]]] = {}
    for words in counts:
        by_first.setdefault(words[0], []).append(words)
    edits = dict(score.edits.by_utterance())
    for index in range(len(score)):
        _count_keywords(score, index, edits.get(index, []), by_first, counts)
    report = {}
    for kind, members in kinds.items():
        each = tuple(KeywordRecall(word, *counts.get(phrases[word], (0, 0, 0))) for word in dict.fromkeys(members))
        # those that the normaliser makes one count once
        together = [counts[words] for words in {phrases[word] for word in members} if words]
        occurrences, found, false_alarms = (sum(count[place] for count in together) for place in range(3))
        report[kind] = KeywordReport(kind, occurrences, found, false_alarms, each)
    return report


def _count_keywords(
    score: Score,
    index: int,
    edits: list[Edit],
    by_first: Mapping[str, list[tuple[str, ...]]],
    counts: Mapping[tuple[str, ...], list[int]],
) -> None:
    reference, hypothesis = score.reference_words(index), score.hypothesis_words(index)
    in_reference = list(_occurrences(reference, by_first))
    in_hypothesis = list(_occurrences(hypothesis, by_first))
    if not in_reference and not in_hypothesis:
        return
    place = hit_positions(len(reference), edits)
    found = set()
    for start, words in in_reference:
        counts[words][0] += 1
        first = place[start]
        if first is not None and place[start : start + len(words)] == list(range(first, first + len(words))):
            counts[words][1] += 1
            found.add((first, words))
    for occurrence in in_hypothesis:
        if occurrence not in found:
            counts[occurrence[1]][2] += 1


def _occurrences(text: list[str], by_first: Mapping[str, list[tuple[str, ...]]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for start, word in enumerate(text):
        for words in by_first.get(word, ()):
            if tuple(text[start : start + len(words)]) == words:
                yield start, words


def hit_positions(words: int, edits: Iterable[Edit]) -> list[int | None]:
    """For each reference word the position of the hypothesis word that hits it, None where it was missed."""
    place: list[int | None] = []
    shift = 0
    for op, i, j in edits:
        place.extend(range(len(place) + shift, i + shift))
        if op != INS:
            place.append(None)
        shift = j + (op != DEL) - len(place)
    place.extend(range(len(place) + shift, words + shift))
    return place


def out_of_vocabulary(score: Score, vocabulary: Iterable[str]) -> OovReport:
    """How words outside a vocabulary fared. The vocabulary goes through the score's normaliser."""
    known = {word for entry in read_words("the vocabulary", vocabulary) for word in score.normalizer(entry).split()}
    errors = score.word_errors
    outside = Counter({word: count for word, count in errors.occurrences.items() if word not in known})
    missed = {word.word: word.missed for word in errors.missed(None)}
    total, oov = errors.occurrences.total(), outside.total()
    oov_missed = sum(missed.get(word, 0) for word in outside)
    return OovReport(
        total,
        oov,
        oov - oov_missed,
        total - oov - (sum(missed.values()) - oov_missed),
        tuple(_ordered(outside)),
    )


def _ordered(counter: Counter[T]) -> list[tuple[T, int]]:
    """Most frequent first, equal counts in alphabetical order."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))
