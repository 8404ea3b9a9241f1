from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.data.dataset_source_registry import _dataset_source_registry

from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.errors import DataError, NotFoundError, TrackingError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import File
from speech_mlflow.tracking import runs, tags
from speech_mlflow.tracking.dataset import SpeechDataset, digest, same_content
from speech_mlflow.tracking.loading import _content
from speech_mlflow.tracking.runs import Measured, Work
from speech_mlflow.tracking.sources import SpeechCorpusSource, SpeechDatasetSource, SpeechUrlSource
from speech_mlflow.tracking.store import Store, open_store
from speech_mlflow.workflow.data import upload
from tests.fixtures.mlflow import MlflowStore
from tests.workflow.conftest import CLINIC, excerpt

ID = "9c142230-a9e4-4dbb-8cc7-70ca43d5cc91"


@pytest.fixture
def store(mlflow_store: MlflowStore) -> Store:
    return open_store(mlflow_store.uri, experiment="speech")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = excerpt(CLINIC / "testing", tmp_path_factory.mktemp("data") / "testing", ["t01.wav", "t02.wav"])
    return read_corpus(folder, locale="en-US")


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """What the entry points of the installed package do; the tests also run from a checkout."""
    before = list(_dataset_source_registry.sources)
    known = {source._get_source_type() for source in before}
    for source in (SpeechCorpusSource, SpeechUrlSource, SpeechDatasetSource):
        if source._get_source_type() not in known:
            _dataset_source_registry.register(source)
    yield
    _dataset_source_registry.sources = before


def test_a_digest_names_content_and_service_data_set(corpus: Corpus) -> None:
    made = digest(corpus.fingerprint, ID)
    assert len(made) == 36
    assert made == f"{corpus.fingerprint[:23]}-9c142230a9e4"
    assert made != digest(corpus.fingerprint, ID.replace("9c", "00"))
    assert same_content(made, digest(corpus.fingerprint, "another"))
    assert not same_content(made, digest("0" * 64, ID))


def test_mlflow_keeps_everything_and_rebuilds_the_source(store: Store, corpus: Corpus) -> None:
    dataset = SpeechDataset.of_corpus(corpus, dataset_id=ID, resource="r1")
    begun = runs.begin(store, Work(tags.KIND_TEST, "k", "test"))
    runs.log_inputs(store, begun.id, [dataset], tags.CONTEXT_TESTING)
    (given,) = store.client.get_run(begun.id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("testing", dataset.digest)
    assert {tag.key: tag.value for tag in given.tags} == {
        "mlflow.data.context": "testing",
        tags.FINGERPRINT: corpus.fingerprint,
        tags.DATASET_ID: ID,
        tags.DATASET_KIND: "Acoustic",
    }
    profile = json.loads(given.dataset.profile)
    assert profile["utterances"] == 2
    assert profile["words"] == sum(len(utterance.text.split()) for utterance in corpus.utterances)
    assert profile["service data set"] == ID
    assert profile["resource"] == "r1"
    columns = json.loads(given.dataset.schema)["mlflow_colspec"]
    assert [(column["name"], column["type"]) for column in columns] == [("audio", "binary"), ("text", "string")]
    source = mlflow.data.get_source(given)
    assert isinstance(source, SpeechCorpusSource)
    assert source.load().fingerprint == corpus.fingerprint


def test_the_same_content_in_two_resources_is_two_data_sets(store: Store, corpus: Corpus) -> None:
    begun = runs.begin(store, Work(tags.KIND_TEST, "k", "test"))
    for id_ in ("aaaa", "bbbb"):
        runs.log_inputs(store, begun.id, [SpeechDataset.of_corpus(corpus, dataset_id=id_)], tags.CONTEXT_TESTING)
    stored = [json.loads(given.dataset.profile) for given in store.client.get_run(begun.id).inputs.dataset_inputs]
    assert sorted(profile["service data set"] for profile in stored) == ["aaaa", "bbbb"]


def test_the_best_model_on_a_data_set_is_one_query_of_mlflow(store: Store, corpus: Corpus) -> None:
    easy = SpeechDataset.of_corpus(corpus, dataset_id=ID)
    hard = SpeechDataset(
        easy.source, name="hard", fingerprint="f" * 64, dataset_id=ID, kind="Acoustic", locale="en-US", profile={}
    )
    begun = runs.begin(store, Work(tags.KIND_TEST, "k", "test"))
    runs.log_inputs(store, begun.id, [easy, hard], tags.CONTEXT_TESTING)
    made = {name: store.client.create_logged_model(store.experiment_id, name=name).model_id for name in ("a", "b")}
    figures = {("a", "testing"): 0.3, ("b", "testing"): 0.1, ("a", "hard"): 0.4, ("b", "hard"): 0.6}
    runs.log(
        store,
        begun.id,
        measured=[
            Measured({"wer": wer}, made[model], easy if data == "testing" else hard, step)
            for step, ((model, data), wer) in enumerate(figures.items())
        ],
    )
    best = {}
    for name in ("testing", "hard"):
        order = [{"field_name": "metrics.wer", "ascending": True, "dataset_name": name}]
        found = store.client.search_logged_models(
            [store.experiment_id], "metrics.wer < 1", datasets=[{"dataset_name": name}], order_by=order, max_results=1
        )
        best[name] = found[0].name
    assert best == {"testing": "b", "hard": "a"}


def test_a_data_set_of_the_service_loads_from_there(speech: SpeechClient, corpus: Corpus) -> None:
    dataset = upload(speech, corpus)
    source = SpeechDatasetSource(speech.resource, dataset.id, "en-US", "Acoustic")
    again = SpeechDatasetSource.from_json(source.to_json())
    loaded = again.load(speech)
    assert {utterance.id: utterance.text for utterance in loaded.utterances} == {
        utterance.id: utterance.text for utterance in corpus.utterances
    }
    assert loaded.fingerprint == corpus.fingerprint
    elsewhere = SpeechDatasetSource("another", dataset.id, "en-US", "Acoustic")
    with pytest.raises(TrackingError, match="is in the speech resource 'another', not in"):
        elsewhere.load(speech)
    with pytest.raises(NotFoundError):
        SpeechDatasetSource(speech.resource, ID, "en-US", "Acoustic").load(speech)


def test_text_of_the_service_loads_as_it_was_uploaded(speech: SpeechClient, tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("Start apixaban.\nHold it at 5.\n", "utf-8-sig")
    written = read_corpus(path, locale="en-US")
    dataset = upload(speech, written)
    loaded = SpeechDatasetSource(speech.resource, dataset.id, "en-US", "Language").load(speech)
    assert [line.text for line in loaded.lines] == ["Start apixaban.", "Hold it at 5."]
    assert loaded.fingerprint == written.fingerprint


def test_what_the_service_made_of_a_text_is_not_the_text() -> None:
    listed = [File(name=name, kind="LanguageData") for name in ("normalized.txt", "languagedata")]
    listed.insert(0, File(name="report.json", kind="DatasetReport"))
    found = _content(listed, "Language")
    assert found is not None
    assert found.name == "languagedata"
    assert _content(listed[:2], "Language") is None


@pytest.fixture
def web(tmp_path: Path, corpus: Corpus) -> Iterator[str]:
    """A server that gives the data to whoever has the signature."""
    folder = tmp_path / "web"
    folder.mkdir()
    shutil.move(corpus.write_upload(folder), folder / "testing.zip")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if self.path.endswith("?sig=secret"):
                super().do_GET()
            else:
                self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/testing.zip"
        server.shutdown()


def test_a_signed_url_is_kept_without_its_signature(web: str, corpus: Corpus) -> None:
    source = SpeechUrlSource(f"{web}?sig=secret", "en-US", "Acoustic")
    assert "secret" not in source.to_json()
    again = SpeechUrlSource.from_json(source.to_json())
    assert again.load("sig=secret").fingerprint == corpus.fingerprint
    with pytest.raises(DataError, match="answered 403") as raised:
        again.load()
    assert "without its signature" in str(raised.value.hint)
    with pytest.raises(DataError, match="not loaded from file"):
        SpeechUrlSource("file:///etc/passwd", "en-US", "Language").load()
