from __future__ import annotations

import numpy
import pytest

from speech_mlflow.tracking import runs, tables, tags
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import open_store
from tests.fixtures.mlflow import MlflowStore


def test_mlflow_itself_reads_the_table(mlflow_store: MlflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store.uri)  # load_table looks there, whatever client it is called on
    store = open_store(mlflow_store.uri, experiment="speech")
    run_id = runs.begin(store, Work(tags.KIND_TEST, "k", "test")).id
    text = tables.table({"id": ["a.wav", "b.wav"], "reference": ["Größe", 'say "yes"'], "wer": [0.5, None], "words": [2, 0]})
    runs.log_files(store, run_id, {"utterances.json": text})
    runs.log(store, run_id, run_tags={tables.LOGGED_ARTIFACTS: tables.mark(None, ["utterances.json"])})
    frame = store.client.load_table(store.experiment_id, "utterances.json", [run_id])
    assert list(frame.columns) == ["id", "reference", "wer", "words"]
    assert frame["reference"].tolist() == ["Größe", 'say "yes"']
    assert frame["wer"].isna().tolist() == [False, True]
    assert tables.read_table(text)["wer"] == [0.5, None]


def test_a_table_that_mlflow_logged_is_marked_beside_ours(mlflow_store: MlflowStore) -> None:
    store = open_store(mlflow_store.uri, experiment="speech")
    run_id = runs.begin(store, Work(tags.KIND_TEST, "k", "test")).id
    store.client.log_table(run_id, {"a": [1]}, "theirs.json")
    known = store.client.get_run(run_id).data.tags[tables.LOGGED_ARTIFACTS]
    marked = tables.mark(known, ["ours.json", "ours.json"])
    assert marked == '[{"path": "theirs.json", "type": "table"}, {"path": "ours.json", "type": "table"}]'


def test_numbers_of_numpy_stay_numbers() -> None:
    columns = {"count": [numpy.int64(3)], "right": [numpy.bool_(True)], "rate": [numpy.float32(0.5)]}
    assert tables.read_table(tables.table(columns)) == {"count": [3], "right": [True], "rate": [0.5]}


def test_a_lone_surrogate_can_be_written_and_read() -> None:
    text = tables.table({"heard": ["\ud800 größe"]})
    assert tables.read_table(text.encode().decode()) == {"heard": ["\ud800 größe"]}


def test_uneven_columns_and_empty_tables() -> None:
    with pytest.raises(ValueError, match="different length"):
        tables.table({"a": [1], "b": []})
    assert tables.read_table(tables.table({"a": [], "b": []})) == {"a": [], "b": []}
    assert tables.read_table(tables.table({"a": [float("inf"), float("nan")]})) == {"a": [None, None]}
