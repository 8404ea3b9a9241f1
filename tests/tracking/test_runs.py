from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from speech_mlflow.hookspecs import hookimpl
from speech_mlflow.plugins import plugin_manager
from speech_mlflow.tracking import runs, tags, values
from speech_mlflow.tracking.runs import Measured, Work
from speech_mlflow.tracking.store import Store, open_store
from tests.fixtures.mlflow import MlflowStore


@pytest.fixture
def store(mlflow_store: MlflowStore) -> Store:
    return open_store(mlflow_store.uri, experiment="speech")


def work(key: str = "k1", **more: object) -> Work:
    return Work(tags.KIND_TRAIN, key, "clinic", **more)  # type: ignore[arg-type]


def test_a_run_says_what_it_is_and_which_code_made_it(store: Store) -> None:
    begun = runs.begin(store, work(tags={tags.RESOURCE: "r1"}, description="for the clinic"))
    run = store.client.get_run(begun.id)
    assert begun.state == "new"
    assert run.info.run_name == "clinic"
    assert run.data.tags[tags.KIND] == "train"
    assert run.data.tags[tags.RESOURCE] == "r1"
    assert run.data.tags["mlflow.note.content"] == "for the clinic"
    assert run.data.tags[tags.VERSION]
    assert '"mlflow": "3.' in run.data.tags[tags.PACKAGES]
    assert run.data.tags["mlflow.user"]
    assert run.info.status == "RUNNING"


def test_an_open_run_is_resumed_and_a_finished_one_found(store: Store) -> None:
    first = runs.begin(store, work())
    again = runs.begin(store, work())
    assert (again.id, again.state) == (first.id, "resumed")
    runs.finish(store, first.id)
    found = runs.begin(store, work())
    assert (found.id, found.state) == (first.id, "finished")
    other = runs.begin(store, work("k2"))
    assert other.state == "new"


def test_failed_forced_and_gone_work_is_begun_anew_and_counted(store: Store) -> None:
    first = runs.begin(store, work())
    runs.finish(store, first.id, "FAILED")
    second = runs.begin(store, work())
    assert (second.state, second.attempt) == ("new", 2)
    runs.finish(store, second.id)
    forced = runs.begin(store, work(), force=True)
    assert (forced.state, forced.attempt) == ("new", 3)
    runs.finish(store, forced.id)
    assert runs.begin(store, work()).id == forced.id, "of several finished runs the newest counts"
    assert runs.begin(store, work(), without=[forced.id]).id == second.id
    assert runs.begin(store, work(), without=[forced.id, second.id]).attempt == 4


def test_of_two_that_began_at_once_the_older_goes_on(store: Store) -> None:
    ours = runs.begin(store, work())
    rival = store.client.create_run(
        store.experiment_id,
        start_time=ours.run.info.start_time - 5,
        tags={tags.KIND: tags.KIND_TRAIN, tags.KEY: "k1", tags.ATTEMPT: "1"},
    )
    settled = runs.settle(store, ours)
    assert (settled.id, settled.state) == (rival.info.run_id, "resumed")
    assert [run.info.run_id for run in runs.find(store, "train", "k1")] == [rival.info.run_id]


def _begin_and_settle(uri: str, ready: object, results: object) -> None:
    store = open_store(uri, experiment="speech")
    ready.wait()  # type: ignore[attr-defined]
    results.put(runs.settle(store, runs.begin(store, work())).id)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_four_processes_at_once_do_one_run(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(4), context.Queue()
    started = [context.Process(target=_begin_and_settle, args=(store.tracking_uri, ready, results)) for _ in range(4)]
    for process in started:
        process.start()
    chosen = {results.get(timeout=120) for _ in started}
    for process in started:
        process.join()
    assert len(chosen) == 1
    assert [run.info.run_id for run in runs.find(store, "train", "k1")] == list(chosen)


def test_a_new_run_waits_until_everybody_could_see_it(store: Store) -> None:
    begun = runs.begin(store, work())
    assert runs.settle(store, begun).id == begun.id
    assert time.time() - begun.run.info.start_time / 1000 >= runs.SETTLE_SECONDS


def test_who_goes_on_with_a_young_run_lets_its_maker_be_first(store: Store) -> None:
    """Two processes that begin the same a moment apart would both find nothing at the service, and both train."""
    first = runs.begin(store, work())
    started = time.monotonic()
    second = runs.begin(store, work())
    assert runs.settle(store, second).id == first.id
    assert time.monotonic() - started >= runs.SETTLE_SECONDS
    an_hour_ago = int(1000 * (time.time() - 3600))
    runs.begin(store, work("old", started=an_hour_ago))
    old = runs.begin(store, work("old"))
    assert (old.state, runs.settle(store, old).state) == ("resumed", "resumed")


def test_metrics_parameters_and_tags_go_together_and_a_resumed_run_keeps_its_parameters(store: Store) -> None:
    begun = runs.begin(store, work())
    runs.log(
        store,
        begun.id,
        measured=[Measured({"hours": 1.5, "not yet": None, "nan": float("nan")})],
        params={"weight_percent": 30, "data": ["a", "b"], "project": None},
        run_tags={tags.MODEL_ID: "m1"},
    )
    run = store.client.get_run(begun.id)
    assert run.data.metrics == {"hours": 1.5}, "what was not measured is not logged"
    assert run.data.params == {"weight_percent": "30", "data": '["a", "b"]'}
    assert run.data.tags[tags.MODEL_ID] == "m1"
    runs.log(store, begun.id, params={"weight_percent": 40, "more": 1}, known=run)
    assert store.client.get_run(begun.id).data.params == {"weight_percent": "30", "data": '["a", "b"]', "more": "1"}
    runs.log(store, begun.id, measured=[Measured({"hours": 1.5, "words": 3})], known=run)
    assert store.client.get_run(begun.id).data.metrics == {"hours": 1.5, "words": 3}
    assert len(store.client.get_metric_history(begun.id, "hours")) == 1, "a resumed run draws no metric twice"


def test_what_mlflow_would_cut_is_whole_in_an_artifact(store: Store) -> None:
    begun = runs.begin(store, work())
    long = "x" * 10_000
    runs.log(store, begun.id, params={"words": long}, run_tags={"notes": long})
    run = store.client.get_run(begun.id)
    assert len(run.data.params["words"]) == values.PARAM_LIMIT
    assert run.data.params["words"].endswith("[10000 characters in all, whole in the artifact speech/long/params/words.txt]")
    assert run.data.tags["notes"].endswith("speech/long/tags/notes.txt]")
    runs.log(store, begun.id, params={"more words": long + "y"}, run_tags={"words": long + "z"})  # takes the place of nothing
    kept = {"params/words": long, "tags/notes": long, "params/more words": long + "y", "tags/words": long + "z"}
    for name, whole in kept.items():
        assert Path(store.client.download_artifacts(begun.id, f"speech/long/{name}.txt")).read_text() == whole


def test_a_long_tag_of_the_beginning_and_a_long_name_are_kept_too(store: Store) -> None:
    begun = runs.begin(store, work(description="d" * 9000))
    note = store.client.get_run(begun.id).data.tags["mlflow.note.content"]
    assert (len(note), note.startswith("ddd")) == (values.TAG_LIMIT, True)
    path = note.partition("whole in the artifact ")[2].rstrip("]")
    assert Path(store.client.download_artifacts(begun.id, path)).read_text() == "d" * 9000
    long = "n" * 300
    runs.log(store, begun.id, measured=[Measured({f"wer/{long}1": 0.1, f"wer/{long}2": 0.2})])
    metrics = store.client.get_run(begun.id).data.metrics
    assert sorted(metrics.values()) == [0.1, 0.2], "two long names are two"
    assert metrics[values.name(f"wer/{long}1")] == 0.1


def test_a_hundred_and_one_tags_and_names_with_odd_characters_are_taken(store: Store) -> None:
    begun = runs.begin(store, work())
    runs.log(
        store,
        begun.id,
        measured=[Measured({f"wer/{values.label('clinic-en-us/3 (neu) %')}": 0.1})],
        params={f"p{n}": n for n in range(101)},
        run_tags={f"t{n}": n for n in range(101)},
    )
    run = store.client.get_run(begun.id)
    assert len(run.data.params) == 101
    assert run.data.tags["t100"] == "100"
    assert run.data.metrics == {"wer/clinic-en-us v3 _neu_ _": 0.1}


def test_plugins_add_tags_and_one_that_raises_stops_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    class Good:
        @hookimpl
        def run_tags(self, kind: str) -> dict[str, str]:
            return {"team": f"clinic {kind}"}

    class Bad:
        @hookimpl
        def run_tags(self, kind: str) -> dict[str, str]:
            raise RuntimeError("no git here")

    manager = plugin_manager()
    good, bad = Good(), Bad()
    manager.register(good, name="good")
    manager.register(bad, name="bad")
    try:
        begun = runs.begin(store, work())
    finally:
        manager.unregister(good)
        manager.unregister(bad)
    assert store.client.get_run(begun.id).data.tags["team"] == "clinic train"
    assert "plugin bad failed in run_tags: RuntimeError: no git here" in caplog.text


def test_artifacts_of_a_new_experiment_lie_beside_the_database(store: Store, mlflow_store: MlflowStore) -> None:
    begun = runs.begin(store, work())
    runs.log_files(store, begun.id, {"report.html": "<p>", "service/a.json": b"{}"})
    folder = mlflow_store.database.parent / "mlartifacts" / "speech"
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["a.json", "report.html"]


def test_a_child_run_is_shown_below_its_parent(store: Store) -> None:
    parent = runs.begin(store, work("parent"))
    child = runs.begin(store, work("child", parent_run_id=parent.id))
    assert child.run.data.tags["mlflow.parentRunId"] == parent.id
