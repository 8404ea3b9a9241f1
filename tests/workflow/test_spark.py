"""A version's model as a Spark function, in a local Spark with worker processes of its own."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.service import SpeechClient
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import Mlflow

sql = pytest.importorskip("pyspark.sql", reason="needs the extra spark")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
    pytest.mark.filterwarnings("default"),  # Spark and MLflow warn of each other
]


def test_spark_transcribes_a_column_of_recordings(
    emulator: RunningEmulator,
    speech: SpeechClient,
    text: Path,
    testing: Corpus,
    mlflow: Mlflow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", mlflow.uri)
    monkeypatch.setenv("SPEECH_MLFLOW_STATE_DIR", str(emulator.state_dir))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    trained = workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **mlflow.where)
    tested = workflow.test(speech, data=testing, models=[trained.model], **mlflow.where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc as pyfunc

    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    # the workers' environment is that of the Java process, which another test may have started: each variable is named, as on a cluster
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "SPEECH_MLFLOW_STATE_DIR"):
        builder = builder.config(f"spark.executorEnv.{name}", os.environ[name])
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    try:
        transcribe = pyfunc.spark_udf(session, "models:/clinic/1", result_type="string", params={"form": "lexical"})
        rows = [(utterance.id, str(testing.source / utterance.id)) for utterance in testing.utterances]
        frame = session.createDataFrame(rows, ["id", "path"]).withColumn("heard", transcribe("path"))
        heard = {row["id"]: row["heard"] for row in frame.collect()}
    finally:
        session.stop()
    scored = tested.scores["clinic v1"]
    assert heard == dict(zip(scored.ids, scored.texts()[1], strict=True))
