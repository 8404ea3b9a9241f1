"""Scoring of a Spark DataFrame: past one machine, with the same numbers to the last digit.

Needs the extra `spark`. Every utterance is scored where it lies, by the function that scores on one machine; what comes
back is the same DataFrame with integer columns of counts. Sums of integers do not depend on how Spark cut the data::

    scored = score_dataframe(frame, normalizer="en-US")
    totals(scored)                      # Totals over all
    totals(scored, by="speaker")        # by label
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, overload

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring.inputs import NO_LABEL
from speech_mlflow.scoring.normalize import Normalizer, as_normalizer
from speech_mlflow.scoring.records import Totals
from speech_mlflow.scoring.scores import NormalizerLike, score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COUNT_COLUMNS = ("words", "hits", "substitutions", "deletions", "insertions")


def score_dataframe(
    frame: DataFrame,
    *,
    reference: str = "reference",
    hypothesis: str = "hypothesis",
    normalizer: NormalizerLike = None,
) -> DataFrame:
    """Add the columns `words, hits, substitutions, deletions, insertions` to a DataFrame of texts.

    reference, hypothesis: the columns to compare; a null hypothesis is one in which nothing was heard.
    normalizer: as for `speech_mlflow.score`; it is sent to the workers, which must have this package.

    Raises ScoringError where a column is missing or a count column is there already. A null reference fails the job.
    """
    missing = [name for name in (reference, hypothesis) if name not in frame.columns]
    taken = [name for name in COUNT_COLUMNS if name in frame.columns]
    if missing or taken:
        wrong = [f"columns that are missing: {', '.join(missing)}"] * bool(missing)
        wrong += [f"columns that would be overwritten: {', '.join(taken)}"] * bool(taken)
        raise ScoringError("; ".join(wrong), hint=f"it has {', '.join(frame.columns)}")
    from pyspark.sql.types import IntegerType, StructField, StructType

    counts = [StructField(name, IntegerType(), nullable=False) for name in COUNT_COLUMNS]
    schema = StructType([*frame.schema.fields, *counts])
    return frame.mapInPandas(_scorer(reference, hypothesis, as_normalizer(normalizer)), schema)


@overload
def totals(scored: DataFrame) -> Totals: ...
@overload
def totals(scored: DataFrame, by: str) -> dict[str, Totals]: ...
def totals(scored: DataFrame, by: str | None = None) -> Totals | dict[str, Totals]:
    """Sum the counts of a scored DataFrame, over all or by the labels of a column."""
    from pyspark.sql import functions

    wrong = functions.expr("cast(substitutions + deletions + insertions > 0 as int)")
    sums = [functions.sum(name).alias(name) for name in COUNT_COLUMNS]
    columns = [*sums, functions.count("*").alias("utterances"), functions.sum(wrong).alias("wrong_utterances")]
    if by is None:
        return _totals(scored.agg(*columns).collect()[0])
    rows = scored.groupBy(by).agg(*columns).collect()
    return {NO_LABEL if row[by] is None else str(row[by]): _totals(row) for row in rows}


def _totals(row: Any) -> Totals:
    # the sum over nothing is null
    return Totals(**{name: int(row[name] or 0) for name in (*COUNT_COLUMNS, "utterances", "wrong_utterances")})


def _scorer(reference: str, hypothesis: str, normalizer: Normalizer) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """What a worker does with its pandas DataFrames."""

    def scored(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            found = score(batch[reference], batch[hypothesis].fillna(""), normalizer=normalizer)
            yield batch.assign(**{name: getattr(found.arrays, name) for name in COUNT_COLUMNS})

    return scored
