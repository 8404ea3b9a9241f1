"""A score as jiwer's own record of alignments."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import jiwer

from speech_mlflow.scoring.alignment import AlignedWord, Operation

if TYPE_CHECKING:
    from speech_mlflow.scoring.scores import Score

_TYPES: dict[Operation, str] = {"hit": "equal", "sub": "substitute", "del": "delete", "ins": "insert"}


def word_output(score: Score) -> jiwer.WordOutput:
    """All alignments of a score with its counts and rates."""
    size = range(len(score))
    return jiwer.WordOutput(
        references=[score.reference_words(index) for index in size],
        hypotheses=[score.hypothesis_words(index) for index in size],
        alignments=[_chunks(score.alignment(index)) for index in size],
        wer=score.wer,
        mer=score.mer,
        wil=score.wil,
        wip=score.wip,
        hits=score.hits,
        substitutions=score.substitutions,
        insertions=score.insertions,
        deletions=score.deletions,
    )


def _chunks(steps: tuple[AlignedWord, ...]) -> list[jiwer.AlignmentChunk]:
    """Runs of the same operation, with where they begin and end in both texts."""
    chunks, i, j = [], 0, 0
    for op, run in groupby(steps, key=lambda step: step.op):
        count = len(list(run))
        end_i, end_j = i + count * (op != "ins"), j + count * (op != "del")
        chunks.append(jiwer.AlignmentChunk(_TYPES[op], i, end_i, j, end_j))
        i, j = end_i, end_j
    return chunks
