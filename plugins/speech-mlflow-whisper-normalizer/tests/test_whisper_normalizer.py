"""The normalisers through the hook, and what their rules make of known sentences."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import speech_mlflow_whisper_normalizer as plugin

from speech_mlflow.plugins import create_manager, registered
from speech_mlflow.scoring.normalize import Normalizer

# compiling the package's files says so once, where they were not compiled at installation
pytestmark = pytest.mark.filterwarnings("ignore:.*invalid escape sequence")


@pytest.fixture
def normalizers() -> dict[str, Normalizer]:
    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(plugin, name="whisper-normalizer")
    return registered("register_normalizers", lambda normalizer: normalizer.name, manager=manager)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("whisper-english", "I've taken twenty milligrams, um, of it.", "i have taken 20 milligrams of it"),
        ("whisper-english", "The colour [noise] of Mr. Smith's   car", "the color of mister smith is car"),
        ("whisper-basic", "  Äpfel, (leise) und Birnen! ", "äpfel und birnen"),
        ("whisper-basic", "हिन्दी", "ह न द"),
        ("whisper-basic-marks", "हिन्दी।", "हिन्दी"),
        ("whisper-english", "", ""),
    ],
)
def test_rules(normalizers: dict[str, Normalizer], name: str, text: str, expected: str) -> None:
    assert normalizers[name](text) == expected


def test_label_carries_the_version_of_the_rules(normalizers: dict[str, Normalizer]) -> None:
    assert normalizers["whisper-english"].label == f"whisper-english ({version('whisper-normalizer')})"


def test_installing_it_changes_no_locale(normalizers: dict[str, Normalizer]) -> None:
    ours = [normalizer for name, normalizer in normalizers.items() if name.startswith("whisper-")]
    assert len(ours) == 3
    assert all(normalizer.languages == () for normalizer in ours)
