"""Alignment of many pairs at once: the edits that `speech_mlflow.scoring.alignment.align` gives, pair by pair, fast.

Three things make it fast. Equal pairs need no alignment. What a pair has in common at both ends is cut off, which
leaves most pairs with a single deletion, insertion or substitution. The rest goes through dynamic programming side by
side: pairs of similar length share one table whose last axis is the pair, so that numpy does the work of all of them
in one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import ne
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from speech_mlflow.scoring.alignment import DEL, INS, SUB, edit_path
from speech_mlflow.scoring.records import BoolArray, Edits, Int32Array, Int64Array
from speech_mlflow.scoring.wordnumbers import number_words

CHUNK = 8_192
"""Pairs looked at together; bounds the memory used beside the texts."""

_SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32)  # pairs are padded to the next of these lengths; longer ones go one by one
_ERROR = 64  # more than the longest padded length, see speech_mlflow.scoring.alignment
_SUBSTITUTION = _ERROR + 1
_CELLS = 1 << 22  # cells of 2 bytes in one table

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Aligned:
    """Number of reference words per pair, and all edits."""

    words: Int32Array
    edits: Edits


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cut an iterable into lists of at most `size`."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def align_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> Aligned:
    """Align two lists of texts of one length, whose words are separated by white space."""
    parts = [
        _align_chunk(references[start : start + CHUNK], hypotheses[start : start + CHUNK])
        for start in range(0, len(references), CHUNK)
    ]
    return join(parts)


def join(parts: Sequence[Aligned]) -> Aligned:
    """One result from those of consecutive chunks."""
    if not parts:
        return Aligned(np.zeros(0, dtype=np.int32), _no_edits())
    offsets = np.cumsum([0, *(len(part.words) for part in parts[:-1])])
    edits = [part.edits for part in parts]
    return Aligned(
        np.concatenate([part.words for part in parts]),
        Edits(
            np.concatenate([edit.utterance + np.int32(offset) for edit, offset in zip(edits, offsets, strict=True)]),
            np.concatenate([edit.operation for edit in edits]),
            np.concatenate([edit.reference for edit in edits]),
            np.concatenate([edit.hypothesis for edit in edits]),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of word number sequences: `ids` holds all words, the other arrays where each sequence lies in it."""

    ids: Int64Array
    reference: Int64Array
    reference_length: Int64Array
    hypothesis: Int64Array
    hypothesis_length: Int64Array

    def __len__(self) -> int:
        return len(self.reference)

    def take(self, rows: Int64Array) -> _Pairs:
        return _Pairs(
            self.ids,
            self.reference[rows],
            self.reference_length[rows],
            self.hypothesis[rows],
            self.hypothesis_length[rows],
        )


class _Collector:
    """Gathers edits found in any order."""

    def __init__(self) -> None:
        self._parts: list[tuple[Int64Array, Int64Array, Int64Array, Int64Array]] = []

    def add(self, pair: Int64Array, operation: int, reference: Int64Array, hypothesis: Int64Array) -> None:
        if len(pair):
            self._parts.append((pair, np.full(len(pair), operation, dtype=np.int64), reference, hypothesis))

    def edits(self) -> Edits:
        if not self._parts:
            return _no_edits()
        pair, operation, reference, hypothesis = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        # an alignment moves right in both texts, so position order is path order
        order = np.lexsort((hypothesis, reference, pair))
        return Edits(
            pair[order].astype(np.int32),
            operation[order].astype(np.uint8),
            reference[order].astype(np.int32),
            hypothesis[order].astype(np.int32),
        )


def _no_edits() -> Edits:
    none = np.zeros(0, dtype=np.int32)
    return Edits(none, none.astype(np.uint8), none, none)


def _align_chunk(references: Sequence[str], hypotheses: Sequence[str]) -> Aligned:
    unequal = np.fromiter(map(ne, references, hypotheses), dtype=np.bool_, count=len(references))
    words = np.zeros(len(references), dtype=np.int32)
    equal = np.flatnonzero(~unequal)
    words[equal] = [len(references[i].split()) for i in equal.tolist()]
    where = np.flatnonzero(unequal)
    if not len(where):
        return Aligned(words, _no_edits())
    different = where.tolist()
    pairs = _encode([references[i] for i in different], [hypotheses[i] for i in different])
    words[where] = pairs.reference_length
    edits = _align_encoded(pairs)
    return Aligned(words, Edits(where[edits.utterance].astype(np.int32), edits.operation, edits.reference, edits.hypothesis))


def _encode(references: list[str], hypotheses: list[str]) -> _Pairs:
    """Number the words of a chunk; equal words get equal numbers."""
    texts = references + hypotheses
    ids, lengths = number_words(texts)
    starts = np.cumsum(lengths) - lengths
    half = len(references)
    return _Pairs(ids, starts[:half], lengths[:half], starts[half:], lengths[half:])


def _align_encoded(pairs: _Pairs) -> Edits:
    prefix, suffix = _common_ends(pairs)
    n = pairs.reference_length - prefix - suffix
    m = pairs.hypothesis_length - prefix - suffix
    found = _Collector()
    inserted, deleted = np.flatnonzero(n == 0), np.flatnonzero(m == 0)
    _add_run(found, INS, inserted, m[inserted], prefix[inserted])
    _add_run(found, DEL, deleted, n[deleted], prefix[deleted])
    single = np.flatnonzero((n == 1) & (m == 1))
    found.add(single, SUB, prefix[single], prefix[single])
    middles = _Pairs(pairs.ids, pairs.reference + prefix, n, pairs.hypothesis + prefix, m)
    longest = np.maximum(n, m)
    general = (n > 0) & (m > 0) & (longest > 1)
    shorter = 1
    for size in _SIZES:
        rows = np.flatnonzero(general & (longest > shorter) & (longest <= size))
        per_table = max(1, _CELLS // (size + 1) ** 2)
        for start in range(0, len(rows), per_table):
            part = rows[start : start + per_table]
            _trace_table(found, middles.take(part), size, part, prefix[part])
        shorter = size
    for row in np.flatnonzero(general & (longest > shorter)):
        _trace_long(found, middles, int(row), int(prefix[row]))
    return found.edits()


def _common_ends(pairs: _Pairs) -> tuple[Int64Array, Int64Array]:
    """How many words each pair shares at the start, and how many of the rest at the end."""
    ids = pairs.ids
    shorter = np.minimum(pairs.reference_length, pairs.hypothesis_length)
    prefix = _common_run(ids, pairs.reference, pairs.hypothesis, shorter, 1)
    reference_end = pairs.reference + pairs.reference_length - 1
    hypothesis_end = pairs.hypothesis + pairs.hypothesis_length - 1
    return prefix, _common_run(ids, reference_end, hypothesis_end, shorter - prefix, -1)


def _common_run(ids: Int64Array, first: Int64Array, second: Int64Array, limit: Int64Array, step: int) -> Int64Array:
    run = np.zeros(len(first), dtype=np.int64)
    active = np.flatnonzero(limit > 0)
    length = 0
    while len(active):
        same = ids[first[active] + step * length] == ids[second[active] + step * length]
        active = active[same]
        length += 1
        run[active] = length
        active = active[limit[active] > length]
    return run


def _add_run(found: _Collector, operation: int, rows: Int64Array, lengths: Int64Array, prefix: Int64Array) -> None:
    """Runs of insertions or deletions that start at `prefix` in both texts."""
    pair = np.repeat(rows, lengths)
    start = np.repeat(prefix, lengths)
    moving = start + np.arange(len(pair)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    reference, hypothesis = (start, moving) if operation == INS else (moving, start)
    found.add(pair, operation, reference, hypothesis)


def _trace_long(found: _Collector, middles: _Pairs, row: int, prefix: int) -> None:
    start, n = int(middles.reference[row]), int(middles.reference_length[row])
    words = middles.ids[start : start + n].tolist()
    start, m = int(middles.hypothesis[row]), int(middles.hypothesis_length[row])
    words += middles.ids[start : start + m].tolist()
    small: dict[int, int] = {}
    numbers = [small.setdefault(word, len(small)) for word in words]
    for op, i, j in edit_path(numbers[:n], numbers[n:]):
        found.add(np.array([row]), op, np.array([i + prefix]), np.array([j + prefix]))


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


def _trace_table(found: _Collector, middles: _Pairs, size: int, rows: Int64Array, prefix: Int64Array) -> None:
    """Fill one table for all `middles` and walk back through it, all at the same pace.

    The order of preference is that of `align`: a pair of words, then a deletion, then an insertion.
    """
    reference = _padded(middles.ids, middles.reference, middles.reference_length, size, -1)
    hypothesis = _padded(middles.ids, middles.hypothesis, middles.hypothesis_length, size, -2)
    table = _table(reference, hypothesis)
    i, j = middles.reference_length.copy(), middles.hypothesis_length.copy()
    at = np.arange(len(middles))
    while len(at):
        here = table[i, j, at]
        # index -1 reads the far end of the table; `both` and `i > 0` keep that from counting
        same = reference[i - 1, at] == hypothesis[j - 1, at]
        both = (i > 0) & (j > 0)
        pair = both & (table[i - 1, j - 1, at] + np.where(same, 0, _SUBSTITUTION) == here)
        deletion = ~pair & (i > 0) & (table[i - 1, j, at] + _ERROR == here)
        insertion = ~(pair | deletion)
        i, j = i - (pair | deletion), j - (pair | insertion)
        for operation, chosen in ((SUB, pair & ~same), (DEL, deletion), (INS, insertion)):
            _record(found, operation, chosen, at, (rows, prefix), (i, j))
        left = (i > 0) | (j > 0)
        at, i, j = at[left], i[left], j[left]


def _record(
    found: _Collector,
    operation: int,
    chosen: BoolArray,
    at: Int64Array,
    origin: tuple[Int64Array, Int64Array],
    position: tuple[Int64Array, Int64Array],
) -> None:
    index = at[chosen]
    rows, prefix = origin
    start = prefix[index]
    found.add(rows[index], operation, position[0][chosen] + start, position[1][chosen] + start)
