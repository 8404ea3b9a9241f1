"""Microsoft's own sample data is taken: what it breaks of the rules costs single lines at most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.conftest import files_of, upload
from tests.fixtures.emulator import RunningEmulator, StartEmulator
from tests.tools import require_env

GENERAL, BIOLOGY = "customspeech/en-US/general", "customspeech/en-US/biology"


@pytest.fixture(scope="module")
def service(emulator_factory: StartEmulator) -> Iterator[RunningEmulator]:
    started = emulator_factory()
    yield started
    started.stop()


@pytest.mark.parametrize(
    ("kind", "name", "least"),
    [
        ("Acoustic", f"{GENERAL}/training/audio-and-trans.zip", 1.0),
        ("Acoustic", f"{GENERAL}/testing/audio-and-trans.zip", 1.0),
        ("AudioFiles", f"{GENERAL}/testing/audio.zip", 1.0),
        ("Language", f"{GENERAL}/training/related-text.txt", 0.95),
        ("LanguageMarkdown", f"{GENERAL}/training/structured-text.md", 0.95),
        ("Pronunciation", f"{GENERAL}/training/pronunciation.txt", 0.95),
        ("Language", f"{BIOLOGY}/training/plain-text.txt", 0.9),
        ("Pronunciation", f"{BIOLOGY}/training/pronunciation.txt", 0.95),
        ("LanguageMarkdown", "structured-text.example.md", 1.0),
        ("Pronunciation", "pronunciation.example.txt", 0.75),
        ("OutputFormatting", "output-format.example.md", 1.0),
    ],
)
def test_a_sample_is_imported(service: RunningEmulator, kind: str, name: str, least: float) -> None:
    path = Path(require_env("SPEECH_MLFLOW_SAMPLE_DATA")) / name
    done = upload(service, kind, path.read_bytes())
    properties = done["properties"]
    assert done["status"] == "Succeeded", properties
    accepted, rejected = properties["acceptedLineCount"], properties["rejectedLineCount"]
    report = service.web.get(files_of(service, done)["report.json"]["links"]["contentUrl"]).text
    assert accepted / (accepted + rejected) >= least, report
