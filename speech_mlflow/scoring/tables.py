"""The dynamic programming of many pairs side by side; the work beneath `speech_mlflow.scoring.batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speech_mlflow.scoring.alignment import DEL, INS, SUB, edit_path
from speech_mlflow.scoring.records import Edits, Int64Array

_SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32)  # pairs are padded to the next of these lengths; longer ones go one by one
_ERROR = 64  # more than the longest padded length, see speech_mlflow.scoring.alignment
_SUBSTITUTION = _ERROR + 1
_CELLS = 1 << 22  # cells of 2 bytes in one table


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of sequences of word numbers.

    `ids` holds the words of all; per pair `reference` and `hypothesis` say where its sequences begin in it and how long
    they are, `row` which utterance it is of, and `offset` how many words were cut off at the front of both.
    """

    ids: Int64Array
    reference: Int64Array
    reference_length: Int64Array
    hypothesis: Int64Array
    hypothesis_length: Int64Array
    row: Int64Array
    offset: Int64Array

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Int64Array) -> Pairs:
        """Some of the pairs, over the same words."""
        return Pairs(
            self.ids,
            self.reference[rows],
            self.reference_length[rows],
            self.hypothesis[rows],
            self.hypothesis_length[rows],
            self.row[rows],
            self.offset[rows],
        )

    def compact(self) -> Pairs:
        """The same pairs with no more words than they need."""
        lengths = np.concatenate([self.reference_length, self.hypothesis_length])
        places = spread(np.concatenate([self.reference, self.hypothesis]), lengths)
        starts = np.cumsum(lengths) - lengths
        half = len(self)
        return Pairs(
            self.ids[places],
            starts[:half],
            self.reference_length,
            starts[half:],
            self.hypothesis_length,
            self.row,
            self.offset,
        )


class Collector:
    """Gathers edits found in any order."""

    def __init__(self) -> None:
        self._parts: list[tuple[Int64Array, Int64Array, Int64Array, Int64Array]] = []

    def add(self, row: Int64Array, operation: Int64Array, reference: Int64Array, hypothesis: Int64Array) -> None:
        if len(row):
            self._parts.append((row, operation, reference, hypothesis))

    def edits(self) -> Edits:
        """All of them, by utterance and from left to right."""
        if not self._parts:
            none = np.zeros(0, dtype=np.int32)
            return Edits(none, none.astype(np.uint8), none, none)
        row, operation, reference, hypothesis = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        # each step of an alignment moves right in at least one text, so the sum of both positions is path order
        place = reference + hypothesis
        order = np.argsort(row * (place.max() + 1) + place)
        return Edits(
            row[order].astype(np.int32),
            operation[order].astype(np.uint8),
            reference[order].astype(np.int32),
            hypothesis[order].astype(np.int32),
        )


def spread(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """The places of runs: `starts[k]`, `starts[k] + 1`, ... `lengths[k]` of them, for each k in a row."""
    before = np.cumsum(lengths) - lengths
    places: Int64Array = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
    return places


def gather(parts: Sequence[Pairs]) -> Pairs:
    """Compact pairs of several calls as one."""
    offsets = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])
    return Pairs(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.reference + offset for part, offset in zip(parts, offsets, strict=True)]),
        np.concatenate([part.reference_length for part in parts]),
        np.concatenate([part.hypothesis + offset for part, offset in zip(parts, offsets, strict=True)]),
        np.concatenate([part.hypothesis_length for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.offset for part in parts]),
    )


def trace(found: Collector, pairs: Pairs) -> None:
    """Find the edits of pairs, all of which have at least one word on either side."""
    longest = np.maximum(pairs.reference_length, pairs.hypothesis_length)
    shorter = 0
    for size in _SIZES:
        chosen = np.flatnonzero((longest > shorter) & (longest <= size))
        per_table = max(1, _CELLS // (size + 1) ** 2)
        for start in range(0, len(chosen), per_table):
            _trace_table(found, pairs.take(chosen[start : start + per_table]), size)
        shorter = size
    for index in np.flatnonzero(longest > shorter).tolist():
        _trace_long(found, pairs, index)


def _trace_long(found: Collector, pairs: Pairs, index: int) -> None:
    start, n = int(pairs.reference[index]), int(pairs.reference_length[index])
    words = pairs.ids[start : start + n].tolist()
    start, m = int(pairs.hypothesis[index]), int(pairs.hypothesis_length[index])
    words += pairs.ids[start : start + m].tolist()
    small: dict[int, int] = {}
    numbers = [small.setdefault(word, len(small)) for word in words]
    path = np.array(edit_path(numbers[:n], numbers[n:]), dtype=np.int64)
    offset = pairs.offset[index]
    found.add(np.full(len(path), pairs.row[index]), path[:, 0], path[:, 1] + offset, path[:, 2] + offset)


def _padded(ids: Int64Array, start: Int64Array, length: Int64Array, size: int, filler: int) -> Int64Array:
    """Sequences as the columns of a table of `size` rows."""
    row = np.arange(size)[:, None]
    inside = row < length
    return np.where(inside, ids[np.where(inside, start + row, 0)], filler)


def _table(reference: Int64Array, hypothesis: Int64Array) -> npt.NDArray[np.int16]:
    """Cost of aligning the first i with the first j words, for all pairs: shape (i, j, pair)."""
    size, pairs = reference.shape
    table = np.empty((size + 1, size + 1, pairs), dtype=np.int16)
    insertions = (np.arange(size + 1, dtype=np.int16) * _ERROR)[:, None]
    table[0] = insertions
    for i in range(1, size + 1):
        above, row = table[i - 1], table[i]
        row[0] = above[0] + np.int16(_ERROR)
        np.multiply(hypothesis != reference[i - 1], np.int16(_SUBSTITUTION), out=row[1:])
        row[1:] += above[:-1]
        np.minimum(row[1:], above[1:] + np.int16(_ERROR), out=row[1:])
        row -= insertions
        np.minimum.accumulate(row, axis=0, out=row)
        row += insertions
    return table


def _trace_table(found: Collector, pairs: Pairs, size: int) -> None:
    """Fill one table for all pairs and walk back through it, all at the same pace.

    The order of preference is that of `align`: a pair of words, then a deletion, then an insertion.
    """
    count = len(pairs)
    reference = _padded(pairs.ids, pairs.reference, pairs.reference_length, size, -1)
    hypothesis = _padded(pairs.ids, pairs.hypothesis, pairs.hypothesis_length, size, -2)
    costs, said, heard = _table(reference, hypothesis).ravel(), reference.ravel(), hypothesis.ravel()
    i, j = pairs.reference_length, pairs.hypothesis_length
    at = np.arange(count)
    down = (size + 1) * count  # one row of the table
    while len(at):
        cell = i * down + j * count + at
        here = costs[cell]
        # at the border these read some other cell; `both` and `i > 0` keep that from counting
        same = said[(i - 1) * count + at] == heard[(j - 1) * count + at]
        both = (i > 0) & (j > 0)
        pair = both & (costs[cell - down - count] + np.where(same, 0, _SUBSTITUTION) == here)
        deletion = ~pair & (i > 0) & (costs[cell - down] + _ERROR == here)
        i, j = i - (pair | deletion), j - ~deletion
        wrong = np.flatnonzero(~(pair & same))
        index = at[wrong]
        operation = np.where(pair[wrong], SUB, np.where(deletion[wrong], DEL, INS))
        offset = pairs.offset[index]
        found.add(pairs.row[index], operation, i[wrong] + offset, j[wrong] + offset)
        left = np.flatnonzero(i + j)
        at, i, j = at[left], i[left], j[left]
