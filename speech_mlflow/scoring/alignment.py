"""Word alignment: the fewest errors, and among those the most hits.

This is the only definition of an error in the package. Minimum errors alone leaves the split into substitutions,
deletions and insertions open (tools differ in it by several per cent); asking for the most hits as well fixes all
counts, and they are those of NIST ``sclite`` in practice. `align` shows one alignment, `speech_mlflow.scoring.batch`
aligns many at once; both take the same choice where several alignments are equally good, so what is counted is what
is shown.

With ``n`` reference words, ``m`` hypothesis words, ``E`` errors and ``S`` substitutions, ``2 * hits = n + m - E - S``:
for a given ``E`` the most hits means the fewest substitutions. Both wishes are therefore one cost, ``E * K + S`` with
``K`` larger than any ``S``, and one pass of dynamic programming serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isqrt
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

Operation = Literal["hit", "sub", "del", "ins"]

HIT, SUB, DEL, INS = 0, 1, 2, 3
OPERATIONS: tuple[Operation, ...] = ("hit", "sub", "del", "ins")

_ERROR = 1 << 24  # K of the module docstring: more than the substitutions of any utterance
_SUBSTITUTION = _ERROR + 1
_UNREACHABLE = 1 << 60
_CELLS_KEPT = 1 << 20  # rows of the table kept at once, 8 bytes a cell

IntArray = npt.NDArray[np.int64]


class AlignedWord(NamedTuple):
    """One step of an alignment; the side that has no word is None."""

    op: Operation
    reference: str | None
    hypothesis: str | None


class Edit(NamedTuple):
    """One error: the operation and the positions in the reference and the hypothesis at which it happens.

    A deletion stands before hypothesis word `hypothesis`, an insertion before reference word `reference`.
    """

    op: int
    reference: int
    hypothesis: int


def align(reference_words: Sequence[str], hypothesis_words: Sequence[str]) -> tuple[AlignedWord, ...]:
    """Align two word sequences with the fewest errors and, among those alignments, the most hits.

    Any strings do, so characters are aligned by passing characters. Memory grows with ``(n + m) ** 1.5`` at most,
    time with ``n * errors``.
    """
    vocabulary: dict[str, int] = {}
    reference = [vocabulary.setdefault(word, len(vocabulary)) for word in reference_words]
    hypothesis = [vocabulary.setdefault(word, len(vocabulary)) for word in hypothesis_words]
    return expand(edit_path(reference, hypothesis), reference_words, hypothesis_words)


def expand(edits: Iterable[Edit], reference_words: Sequence[str], hypothesis_words: Sequence[str]) -> tuple[AlignedWord, ...]:
    """Spell out the alignment that `edits` (in order) stand for: the words between two edits are hits."""
    steps: list[AlignedWord] = []
    position = 0
    for op, i, j in edits:
        steps.extend(AlignedWord("hit", word, word) for word in reference_words[position:i])
        steps.append(
            AlignedWord(
                OPERATIONS[op],
                None if op == INS else reference_words[i],
                None if op == DEL else hypothesis_words[j],
            )
        )
        position = i if op == INS else i + 1
    steps.extend(AlignedWord("hit", word, word) for word in reference_words[position:])
    return tuple(steps)


def edit_path(reference: Sequence[int], hypothesis: Sequence[int]) -> list[Edit]:
    """The errors between two sequences of word numbers (not negative), from left to right."""
    n, m = len(reference), len(hypothesis)
    start = 0
    while start < n and start < m and reference[start] == hypothesis[start]:
        start += 1
    while n > start and m > start and reference[n - 1] == hypothesis[m - 1]:
        n, m = n - 1, m - 1
    if n == start:
        return [Edit(INS, start, j) for j in range(start, m)]
    if m == start:
        return [Edit(DEL, i, start) for i in range(start, n)]
    table = _Band(reference[start:n], hypothesis[start:m])
    return [Edit(op, i + start, j + start) for op, i, j in table.trace()]


class _Band:
    """The part of the dynamic programming table that a minimum-error alignment can touch.

    With ``E`` errors in the best case, deletions plus insertions are at most ``E`` and their difference is
    ``n - m``: the path stays within ``E + 1`` diagonals. Row ``i`` of the band holds column ``j = i - deletions + k``
    at ``k``. Rows are computed once to save every ``step``-th one, and again block by block on the way back.
    """

    def __init__(self, reference: Sequence[int], hypothesis: Sequence[int]) -> None:
        self.reference, self.hypothesis = reference, hypothesis
        n, m = len(reference), len(hypothesis)
        errors = Levenshtein.distance(reference, hypothesis)
        self.deletions = (errors + n - m) // 2
        self.width = self.deletions + (errors + m - n) // 2 + 1
        self.step = n if n * self.width <= _CELLS_KEPT else isqrt(n)
        nowhere = [-1]
        self._padded = np.array(nowhere * self.deletions + list(hypothesis) + nowhere * self.width, dtype=np.int64)
        self._insertions = np.arange(self.width, dtype=np.int64) * _ERROR

    def first_row(self) -> IntArray:
        row: IntArray = self._insertions - self.deletions * _ERROR
        row[: self.deletions] = _UNREACHABLE
        return row

    def next_row(self, row: IntArray, i: int) -> IntArray:
        """Row `i` from row `i - 1`."""
        wrong = self._padded[i - 1 : i - 1 + self.width] != self.reference[i - 1]
        new: IntArray = row + wrong * np.int64(_SUBSTITUTION)
        np.minimum(new[:-1], row[1:] + _ERROR, out=new[:-1])
        new -= self._insertions
        np.minimum.accumulate(new, out=new)
        new += self._insertions
        return new

    def block(self, row: IntArray, first: int, last: int) -> list[IntArray]:
        rows = [row]
        for i in range(first + 1, last + 1):
            rows.append(self.next_row(rows[-1], i))
        return rows

    def trace(self) -> list[Edit]:
        n = len(self.reference)
        starts = list(range(0, n, self.step))
        saved = [self.first_row()]
        for first, last in pairwise(starts):
            row = saved[-1]
            for i in range(first + 1, last + 1):
                row = self.next_row(row, i)
            saved.append(row)
        path: list[Edit] = []
        i, k = n, len(self.hypothesis) - n + self.deletions
        for first, row in zip(reversed(starts), reversed(saved), strict=True):
            i, k = self._trace_block(self.block(row, first, i), first, i, k, path)
        path.extend(Edit(INS, 0, j) for j in range(k - self.deletions - 1, -1, -1))
        path.reverse()
        return path

    def _trace_block(self, rows: list[IntArray], first: int, i: int, k: int, path: list[Edit]) -> tuple[int, int]:
        """Walk back from row `i` to row `first`; prefer a pair of words, then a deletion, then an insertion."""
        while i > first:
            j = i - self.deletions + k
            here, above = int(rows[i - first][k]), rows[i - first - 1]
            same = j > 0 and self.reference[i - 1] == self.hypothesis[j - 1]
            if j > 0 and int(above[k]) + (0 if same else _SUBSTITUTION) == here:
                i -= 1
                if not same:
                    path.append(Edit(SUB, i, j - 1))
            elif k + 1 < self.width and int(above[k + 1]) + _ERROR == here:
                i, k = i - 1, k + 1
                path.append(Edit(DEL, i, j))
            else:
                k -= 1
                path.append(Edit(INS, i, j - 1))
        return i, k
