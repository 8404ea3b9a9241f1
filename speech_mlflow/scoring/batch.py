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

from speech_mlflow.scoring.alignment import DEL, INS, SUB
from speech_mlflow.scoring.records import Edits, Int32Array, Int64Array
from speech_mlflow.scoring.tables import Collector, Pairs, gather, spread, trace
from speech_mlflow.scoring.wordnumbers import number_words

CHUNK = 32_768
"""Pairs whose edits are found together; bounds the memory used beside the texts."""

_AT_ONCE = 4_096  # pairs whose words are numbered together: as much text as stays in the processor's cache

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
        return Aligned(np.zeros(0, dtype=np.int32), Collector().edits())
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


def _align_chunk(references: Sequence[str], hypotheses: Sequence[str]) -> Aligned:
    words = np.zeros(len(references), dtype=np.int32)
    found, middles = Collector(), []
    for start in range(0, len(references), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        pairs = _different(references[rows], hypotheses[rows], words[rows], start)
        if pairs is not None:
            middles.append(_trim(found, pairs))
    if middles:
        trace(found, gather(middles))
    return Aligned(words, found.edits())


def _different(references: Sequence[str], hypotheses: Sequence[str], words: Int32Array, first: int) -> Pairs | None:
    """The pairs that are not equal, with their words numbered, None where there are none; counts words on the way."""
    unequal = np.fromiter(map(ne, references, hypotheses), dtype=np.bool_, count=len(references))
    equal = np.flatnonzero(~unequal)
    words[equal] = [len(references[i].split()) for i in equal.tolist()]
    where = np.flatnonzero(unequal)
    if not len(where):
        return None
    index = where.tolist()
    ids, lengths = number_words([*(references[i] for i in index), *(hypotheses[i] for i in index)])
    starts = np.cumsum(lengths) - lengths
    half = len(index)
    words[where] = lengths[:half]
    return Pairs(ids, starts[:half], lengths[:half], starts[half:], lengths[half:], where + first, np.zeros_like(where))


def _trim(found: Collector, pairs: Pairs) -> Pairs:
    """Cut off what a pair has in common at both ends; what remains is an edit itself or, if not, returned."""
    prefix, suffix = _common_ends(pairs)
    n = pairs.reference_length - prefix - suffix
    m = pairs.hypothesis_length - prefix - suffix
    inserted, deleted = np.flatnonzero(n == 0), np.flatnonzero(m == 0)
    _add_run(found, INS, pairs.row[inserted], m[inserted], prefix[inserted])
    _add_run(found, DEL, pairs.row[deleted], n[deleted], prefix[deleted])
    single = np.flatnonzero((n == 1) & (m == 1))
    found.add(pairs.row[single], np.full(len(single), SUB), prefix[single], prefix[single])
    rest = np.flatnonzero((n > 0) & (m > 0) & (n + m > 2))
    middles = Pairs(pairs.ids, pairs.reference + prefix, n, pairs.hypothesis + prefix, m, pairs.row, prefix)
    return middles.take(rest).compact()


def _common_ends(pairs: Pairs) -> tuple[Int64Array, Int64Array]:
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


def _add_run(found: Collector, operation: int, rows: Int64Array, lengths: Int64Array, prefix: Int64Array) -> None:
    """Runs of insertions or deletions that start at `prefix` in both texts."""
    row, start = np.repeat(rows, lengths), np.repeat(prefix, lengths)
    moving = spread(prefix, lengths)
    reference, hypothesis = (start, moving) if operation == INS else (moving, start)
    found.add(row, np.full(len(row), operation), reference, hypothesis)
