"""Microsoft's own samples: they break the documented rules in small ways, and pass with warnings.

They are not part of this repository: SPEECH_MLFLOW_SAMPLE_DATA names the folder that holds ``customspeech``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.corpus import read_corpus
from tests.tools import require_env

SAMPLES = [
    ("de-DE/testing/audio-and-trans.zip", "Acoustic", 1, set()),
    ("de-DE/testing/audio.zip", "AudioFiles", 2, set()),
    ("de-DE/training/audio-and-trans.zip", "Acoustic", 2, set()),
    ("de-DE/training/related-text.txt", "Language", 27, {"operator"}),
    ("en-US/biology/training/plain-text.txt", "Language", 116, set()),
    ("en-US/biology/training/pronunciation.txt", "Pronunciation", 6, set()),
    ("en-US/display formatting/training/data_display format.txt", "OutputFormatting", 45, set()),
    ("en-US/display formatting/training/data_text.txt", "Language", 4357, {"no-bom", "special-character"}),
    ("en-US/general/testing/audio-and-trans.zip", "Acoustic", 1, {"long-for-training"}),
    ("en-US/general/testing/audio.zip", "AudioFiles", 2, set()),
    ("en-US/general/training/audio-and-trans.zip", "Acoustic", 2, set()),
    ("en-US/general/training/pronunciation.txt", "Pronunciation", 3, set()),
    ("en-US/general/training/related-text.txt", "Language", 28, set()),
    ("en-US/general/training/structured-text.md", "LanguageMarkdown", 15, {"no-bom"}),
]


@pytest.mark.parametrize(("file", "kind", "utterances", "warnings"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_samples_pass_with_warnings(tmp_path: Path, file: str, kind: str, utterances: int, warnings: set[str]) -> None:
    path = Path(require_env("SPEECH_MLFLOW_SAMPLE_DATA")) / "customspeech" / file
    corpus = read_corpus(path, locale=file[:5])
    corpus.check()
    assert (corpus.kind, corpus.profile()["utterances"]) == (kind, utterances)
    assert {problem.code for problem in corpus.problems} == warnings
    again = read_corpus(corpus.write_upload(tmp_path), locale=file[:5])
    assert (again.kind, again.fingerprint) == (kind, corpus.fingerprint)
