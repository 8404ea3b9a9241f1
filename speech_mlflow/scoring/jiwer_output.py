"""Our alignments as jiwer's own record of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import jiwer

from speech_mlflow.scoring.alignment import AlignedWord, Operation
from speech_mlflow.scoring.records import Counts

if TYPE_CHECKING:
    from speech_mlflow.scoring.scores import Score

_TYPES: dict[Operation, str] = {"hit": "equal", "sub": "substitute", "del": "delete", "ins": "insert"}


def word_output(score: Score) -> jiwer.WordOutput:
    """All alignments of a score with its counts and rates."""
    return of_alignments(score.alignment(index) for index in range(len(score)))


def of_alignments(alignments: Iterable[Sequence[AlignedWord]]) -> jiwer.WordOutput:
    """Alignments of many utterances, with the counts and rates that they add up to."""
    given = list(alignments)
    operations = Counter(step.op for steps in given for step in steps)
    hits, substitutions = operations["hit"], operations["sub"]
    deletions, insertions = operations["del"], operations["ins"]
    counts = Counts(hits + substitutions + deletions, hits, substitutions, deletions, insertions)
    return jiwer.WordOutput(
        references=[[step.reference for step in steps if step.reference is not None] for steps in given],
        hypotheses=[[step.hypothesis for step in steps if step.hypothesis is not None] for steps in given],
        alignments=[_chunks(steps) for steps in given],
        wer=counts.wer,
        mer=counts.mer,
        wil=counts.wil,
        wip=counts.wip,
        hits=hits,
        substitutions=substitutions,
        insertions=insertions,
        deletions=deletions,
    )


def _chunks(steps: Sequence[AlignedWord]) -> list[jiwer.AlignmentChunk]:
    """Runs of the same operation, with where they begin and end in both texts."""
    chunks, i, j = [], 0, 0
    for op, run in groupby(steps, key=lambda step: step.op):
        count = len(list(run))
        end_i, end_j = i + count * (op != "ins"), j + count * (op != "del")
        chunks.append(jiwer.AlignmentChunk(_TYPES[op], i, end_i, j, end_j))
        i, j = end_i, end_j
    return chunks
