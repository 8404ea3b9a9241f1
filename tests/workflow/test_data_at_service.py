"""Data that never was on this machine: the service reads it from a URL, and models are trained and tested on it there."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow.data import get_source

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import NotFoundError, OperationFailedError
from speech_mlflow.service import SpeechClient
from speech_mlflow.tracking import tags
from tests.workflow.tools import Mlflow

SIGNATURE = "sig=canary-of-a-signed-url"


class Storage(http.server.ThreadingHTTPServer):
    """A server of files that asks for a signature in the query, like blob storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, name: str, query: str = SIGNATURE) -> str:
        return f"http://127.0.0.1:{self.server_port}/container/{name}?{query}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Storage)
        address = urlsplit(self.path)
        file = self.server.folder / address.path.rpartition("/")[2]
        allowed = address.query == SIGNATURE and file.is_file()
        body = file.read_bytes() if allowed else b""
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    folder = tmp_path / "blobs"
    folder.mkdir()
    server = Storage(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_data_read_from_a_url_is_trained_and_tested_on_where_it_is(
    speech: SpeechClient, testing: Corpus, text: Path, storage: Storage, mlflow: Mlflow, tmp_path: Path
) -> None:
    text_file = storage.folder / "terms.txt"
    text_file.write_bytes(text.read_bytes() + b"He takes warfarin for the fibrillation.\n")
    archive = testing.write_upload(storage.folder)
    where = {"locale": "en-US", "kind": "Acoustic", "name": "calls"}
    with pytest.raises(OperationFailedError):
        workflow.import_url(speech, storage.url(archive.name, "sig=expired"), **where)
    recordings = workflow.import_url(speech, storage.url(archive.name), **where)
    assert recordings.status == "Succeeded", "an expired signature is no obstacle to the next try"
    again = workflow.import_url(speech, storage.url(archive.name, "sig=another"), **where)
    assert again.id == recordings.id, "the same address is imported once, whatever its signature"
    sentences = workflow.import_url(speech, storage.url(text_file.name), locale="en-US", kind="Language", name="terms")

    before = {dataset.id for dataset in speech.datasets.list()}
    trained = workflow.train(
        speech, name="remote", data=[f"dataset:{sentences.id}"], registered_model="remote", weight_percent=90, **mlflow.where
    )
    tested = workflow.test(speech, data=f"dataset:{recordings.id}", models=[trained.model], **mlflow.where)
    assert {dataset.id for dataset in speech.datasets.list()} == before, "nothing was uploaded again"
    assert tested.scores["remote v1"].ids == tuple(utterance.id for utterance in testing.utterances)

    (train_run,) = mlflow.runs("train")
    assert train_run.data.tags[tags.DATASET_IDS] == sentences.id
    (given,) = train_run.inputs.dataset_inputs
    assert given.dataset.source_type == "speech_dataset"
    (fingerprint,) = (tag.value for tag in given.tags if tag.key == tags.FINGERPRINT)
    source: Any = get_source(given.dataset)
    assert source.load(speech, tmp_path / "loaded").fingerprint == fingerprint
    kept = json.dumps([run.to_dictionary() for run in mlflow.runs()])
    assert "canary" not in kept

    same = workflow.test(speech, data=testing, models=[trained.model], **mlflow.where)
    assert same.reused, "the same recordings on disk are the same test"


def test_a_data_set_that_is_not_there_is_named(speech: SpeechClient, mlflow: Mlflow) -> None:
    with pytest.raises(NotFoundError):
        workflow.train(speech, name="m", data=["dataset:00000000-0000-0000-0000-000000000000"], **mlflow.where)
    assert mlflow.runs() == []
