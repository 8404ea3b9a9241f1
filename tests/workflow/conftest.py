"""The offline service, found through the settings as a user's program finds it, and small real data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from speech_mlflow.connection import connect
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.service import SpeechClient
from speech_mlflow.settings import Settings
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import Mlflow

CLINIC = Path(__file__).parents[2] / "examples" / "clinic"
TEXT = (
    "Start apixaban five milligrams twice daily.",
    "She was given apixaban for atelectasis.",
    "Hold azithromycin before the echocardiogram.",
    "Continue prednisone forty milligrams with meals.",
)


@pytest.fixture(scope="session")
def speech(emulator: RunningEmulator) -> Iterator[SpeechClient]:
    """The service of the session, found through the settings."""
    with connect(Settings(state_dir=emulator.state_dir)) as client:
        yield client


def excerpt(source: Path, target: Path, ids: list[str]) -> Path:
    """A folder with some of the recordings of an example."""
    target.mkdir(parents=True)
    texts = dict(line.split("\t", 1) for line in (source / "transcripts.txt").read_text("utf-8-sig").splitlines())
    for id_ in ids:
        shutil.copyfile(source / id_, target / id_)
    (target / "transcripts.txt").write_text("".join(f"{id_}\t{texts[id_]}\n" for id_ in ids), "utf-8")
    return target


@pytest.fixture(scope="session")
def testing(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Four recordings with transcripts, and who speaks."""
    ids = ["t01.wav", "t02.wav", "t03.wav", "t04.wav"]
    folder = excerpt(CLINIC / "testing", tmp_path_factory.mktemp("data") / "testing", ids)
    rows = "".join(f"{id_},{speaker}\n" for id_, speaker in zip(ids, "aabb", strict=True))
    (folder.parent / "testing.metadata.csv").write_text(f"id,speaker\n{rows}")
    return read_corpus(folder, locale="en-US", purpose="testing")


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Related text, the kind of data that is trained fastest."""
    path = tmp_path_factory.mktemp("text") / "related-text.txt"
    path.write_text("\n".join(TEXT) + "\n", "utf-8-sig")
    return path


@pytest.fixture
def mlflow(mlflow_store: object) -> Mlflow:
    return Mlflow(mlflow_store.uri)  # type: ignore[attr-defined]
