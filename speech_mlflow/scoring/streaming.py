"""Scoring pairs that come one by one and need not fit into memory together."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from speech_mlflow.errors import ScoringError
from speech_mlflow.progress import Progress, ProgressEvent, silent
from speech_mlflow.scoring.batch import Aligned, chunks, join
from speech_mlflow.scoring.inputs import listed, read_groups, read_ids
from speech_mlflow.scoring.normalize import as_normalizer
from speech_mlflow.scoring.records import CountArrays
from speech_mlflow.scoring.scores import NormalizerLike, Score, align_texts


def score_stream(
    pairs: Iterable[tuple[str, ...]],
    *,
    normalizer: NormalizerLike = None,
    keep_texts: bool = False,
    progress: Progress | None = None,
) -> Score:
    """Score pairs from an iterator that need not fit into memory.

    pairs: `(reference, hypothesis)`, `(id, reference, hypothesis)` or `(id, reference, hypothesis, group)`, all alike.
    keep_texts: whether the result can show utterances; without, it holds about 30 bytes per utterance, plus ids.

    Raises ScoringError for an entry that is not such a tuple of texts.
    """
    rule = as_normalizer(normalizer)
    tell = progress or silent
    parts: list[Aligned] = []
    kept: list[list[tuple[str, ...]]] = [[], [], [], []]
    done = 0
    for chunk in chunks(pairs):
        ids, references, hypotheses, labels = _columns(chunk, done)
        parts.append(align_texts(rule, references, hypotheses))
        for store, column in zip(kept, (ids, references, hypotheses, labels), strict=True):
            if column and (keep_texts or column is ids or column is labels):
                store.append(column)
        done += len(chunk)
        tell(ProgressEvent("score", done, None, "utterances"))
    aligned = join(parts)
    ids, references, hypotheses, labels = (tuple(chain.from_iterable(store)) for store in kept)
    return Score(
        rule,
        CountArrays.from_edits(aligned.words, aligned.edits),
        aligned.edits,
        references if keep_texts else None,
        hypotheses if keep_texts else None,
        read_ids(ids, done) if ids else None,
        read_groups(labels, done) if labels else {},
    )


def _columns(chunk: list[tuple[str, ...]], first: int) -> tuple[tuple[str, ...], ...]:
    """Ids, references, hypotheses and labels of a chunk; empty where the entries have none."""
    sizes = set(map(len, chunk)) if all(isinstance(entry, (tuple, list)) for entry in chunk) else set()
    if len(sizes) == 1 and sizes <= {2, 3, 4}:
        columns = tuple(zip(*chunk, strict=True))
        ids, labels = (columns[:1] if len(columns) > 2 else ()), columns[3:]
        references, hypotheses = columns[-2:] if len(columns) < 4 else columns[1:3]
        if set(map(type, references)) | set(map(type, hypotheses)) <= {str}:
            return (ids[0] if ids else ()), references, hypotheses, (labels[0] if labels else ())
    size = next((len(entry) for entry in chunk if isinstance(entry, (tuple, list)) and len(entry) in {2, 3, 4}), 0)
    wrong = [first + offset for offset, entry in enumerate(chunk) if not _is_pair(entry, size)]
    raise ScoringError(
        f"{len(wrong)} entries are not pairs of texts: {listed(wrong)}",
        hint="each entry is (reference, hypothesis), (id, reference, hypothesis) or (id, reference, hypothesis, group)",
    )


def _is_pair(entry: object, size: int) -> bool:
    if not isinstance(entry, (tuple, list)) or len(entry) != size:
        return False
    return all(isinstance(text, str) for text in (entry[1:3] if size == 4 else entry[-2:]))
