"""The records of a score: counts, rates and edits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from speech_mlflow.scoring.alignment import DEL, INS, SUB, Edit

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def rate(errors: float, words: float) -> float:
    """Errors per word: 0 where there are neither, infinite for errors without a reference word, of the sign that they have."""
    if words:
        return errors / words
    return math.copysign(math.inf, errors) if errors else 0.0


@dataclass(frozen=True)
class Counts:
    """What an alignment counts. `words` are those of the reference; all rates are fractions, not per cent."""

    words: int = 0
    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def hypothesis_words(self) -> int:
        return self.hits + self.substitutions + self.insertions

    @property
    def wer(self) -> float:
        """Word error rate, `errors / words`; above 1 with many insertions, infinite without reference words."""
        return rate(self.errors, self.words)

    @property
    def mer(self) -> float:
        """Match error rate: the share of aligned positions that are wrong (Morris, Maier and Green, 2004)."""
        return rate(self.errors, self.hits + self.errors)

    @property
    def wip(self) -> float:
        """Word information preserved, `hits / words * hits / hypothesis_words` (Morris, Maier and Green, 2004)."""
        if not self.words or not self.hypothesis_words:
            return 0.0 if self.errors else 1.0
        return (self.hits / self.words) * (self.hits / self.hypothesis_words)

    @property
    def wil(self) -> float:
        """Word information lost, `1 - wip`."""
        return 1.0 - self.wip


@dataclass(frozen=True)
class Totals(Counts):
    """Counts summed over utterances."""

    utterances: int = 0
    wrong_utterances: int = 0

    @property
    def ser(self) -> float:
        """Sentence error rate: the share of utterances with at least one error."""
        return rate(self.wrong_utterances, self.utterances)


@dataclass(frozen=True, eq=False)
class Edits:
    """All errors of a list of utterances, from left to right, one entry each in arrays of equal length.

    `utterance`: index of the utterance; `operation`: SUB, DEL or INS of `speech_mlflow.scoring.alignment`;
    `reference`, `hypothesis`: positions as in `speech_mlflow.scoring.alignment.Edit`.
    """

    utterance: Int32Array
    operation: npt.NDArray[np.uint8]
    reference: Int32Array
    hypothesis: Int32Array

    def __len__(self) -> int:
        return len(self.utterance)

    def of(self, utterance: int) -> Iterator[Edit]:
        """The errors of one utterance."""
        first, last = np.searchsorted(self.utterance, [utterance, utterance + 1])
        rows = slice(int(first), int(last))
        return map(Edit, self.operation[rows].tolist(), self.reference[rows].tolist(), self.hypothesis[rows].tolist())

    def by_utterance(self) -> Iterator[tuple[int, list[Edit]]]:
        """Each utterance that has errors, with these errors."""
        columns = (self.utterance, self.operation, self.reference, self.hypothesis)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for index, part in groupby(rows, key=itemgetter(0)):
            yield index, [Edit(op, i, j) for _, op, i, j in part]


@dataclass(frozen=True, eq=False)
class CountArrays:
    """Counts per utterance, as arrays over the utterances."""

    words: Int32Array
    substitutions: Int32Array
    deletions: Int32Array
    insertions: Int32Array

    @staticmethod
    def from_edits(words: Int32Array, edits: Edits) -> CountArrays:
        size = len(words)

        def count(operation: int) -> Int32Array:
            return np.bincount(edits.utterance[edits.operation == operation], minlength=size).astype(np.int32)

        return CountArrays(words, count(SUB), count(DEL), count(INS))

    @property
    def errors(self) -> Int32Array:
        return self.substitutions + self.deletions + self.insertions

    @property
    def hits(self) -> Int32Array:
        return self.words - self.substitutions - self.deletions

    def at(self, index: int) -> Counts:
        """The counts of one utterance."""
        words, substitutions = int(self.words[index]), int(self.substitutions[index])
        deletions, insertions = int(self.deletions[index]), int(self.insertions[index])
        return Counts(words, words - substitutions - deletions, substitutions, deletions, insertions)

    def total(self, rows: BoolArray | Int64Array | None = None) -> Totals:
        """The sum over all utterances, or over those that `rows` selects."""
        part = (
            self
            if rows is None
            else CountArrays(self.words[rows], self.substitutions[rows], self.deletions[rows], self.insertions[rows])
        )
        words, substitutions, deletions, insertions = (
            int(array.sum(dtype=np.int64)) for array in (part.words, part.substitutions, part.deletions, part.insertions)
        )
        return Totals(
            words=words,
            hits=words - substitutions - deletions,
            substitutions=substitutions,
            deletions=deletions,
            insertions=insertions,
            utterances=len(part.words),
            wrong_utterances=int(np.count_nonzero(part.errors)),
        )
