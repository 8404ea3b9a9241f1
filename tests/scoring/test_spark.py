"""Scoring in local Spark: real workers, same numbers."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import score
from tests.scoring.oracle import corpus

pytestmark = [
    pytest.mark.slow,
    # said by Spark of itself, whatever is asked of it
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (extra spark)")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("there is no java on this machine")
    folder = tmp_path_factory.mktemp("spark")
    # the workers are processes of their own: the same Python, with the same packages
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Spark says of its own parts
        session = (
            sql.SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.warehouse.dir", str(folder))
            .config("spark.sql.execution.arrow.maxRecordsPerBatch", "97")
            .config("spark.pyspark.python", sys.executable)
            .config("spark.executorEnv.PYTHONPATH", path)
            .getOrCreate()
        )
        yield session
        session.stop()


def test_same_numbers_to_the_last_digit(spark: Any) -> None:
    from speech_mlflow.scoring.spark import score_dataframe, totals

    references, hypotheses = corpus(1000, seed=31)
    references = [text.title() + "!" for text in references]
    labels = [None if index % 5 == 0 else f"s{index % 7}" for index in range(1000)]
    rows = [(index, *row) for index, row in enumerate(zip(references, hypotheses, labels, strict=True))]
    frame = spark.createDataFrame(rows, "number int, reference string, hypothesis string, speaker string").repartition(5)
    scored = score_dataframe(frame, normalizer="en-US").cache()
    expected = score(references, hypotheses, groups={"speaker": labels}, normalizer="en-US")
    assert totals(scored) == expected.totals
    assert totals(scored).wer == expected.wer
    assert totals(scored, by="speaker") == expected.by_group()
    for row in scored.collect():
        utterance = expected[row["number"]]
        assert (row["words"], row["hits"], row["substitutions"], row["deletions"], row["insertions"]) == (
            utterance.words, utterance.hits, utterance.substitutions, utterance.deletions, utterance.insertions,
        )  # fmt: skip


def test_nothing_heard_and_nothing_there(spark: Any) -> None:
    from speech_mlflow.scoring.spark import score_dataframe, totals

    frame = spark.createDataFrame([("a b", None), ("c", "c")], "said string, heard string")
    found = totals(score_dataframe(frame, reference="said", hypothesis="heard"))
    assert (found.words, found.deletions, found.wrong_utterances) == (3, 2, 1)
    assert totals(score_dataframe(frame.limit(0), reference="said", hypothesis="heard")).utterances == 0


def test_columns_that_do_not_fit(spark: Any) -> None:
    from speech_mlflow.scoring.spark import score_dataframe

    frame = spark.createDataFrame([("a", 1)], "reference string, words int")
    with pytest.raises(ScoringError, match="missing: hypothesis; columns that would be overwritten: words"):
        score_dataframe(frame)
