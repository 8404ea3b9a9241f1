"""Structured text through the whole service: a class in a sentence stands for all its items."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.corpus import read_corpus
from speech_mlflow.service import KeyCredential, SpeechClient
from speech_mlflow.service.choose import choose_base_model
from speech_mlflow.workflow import upload
from tests.emulator.engine.material import CLINIC, sentences
from tests.fixtures.emulator import RunningEmulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DRUGS = ("apixaban", "metoprolol", "doxycycline", "warfarin", "lisinopril", "amlodipine", "clopidogrel", "atorvastatin")


def structured(path: Path) -> Path:
    """The training sentences that name one of a few drugs, with the drug's class in the place of its name."""
    patterns = {
        sentence.lower().replace(drug, "{@drug}")
        for sentence in sentences("training")
        for drug in DRUGS
        if sentence.lower().count(drug) == 1
    }
    listed = "".join(f"- {drug}\n" for drug in DRUGS)
    lines = "".join(f"- {pattern}\n" for pattern in sorted(patterns))
    path.write_text(f"@ list drug =\n{listed}\n# Orders\n{lines}", "utf-8-sig")
    return path


def test_structured_text_lowers_the_error_rate(emulator: RunningEmulator, tmp_path: Path) -> None:
    with SpeechClient(emulator.url, KeyCredential(emulator.key), resource=emulator.resource) as speech:
        markdown = read_corpus(structured(tmp_path / "orders.md"), locale="en-US", kind="LanguageMarkdown")
        learnt = upload(speech, markdown)
        tested = upload(speech, read_corpus(CLINIC / "testing", locale="en-US"))
        base = choose_base_model(speech, "en-US", ["LanguageMarkdown"])
        made = speech.models.create(display_name="orders", locale="en-US", base_model=base, datasets=[learnt])
        model = speech.wait(made)
        evaluation = speech.wait(
            speech.evaluations.create(display_name="orders", locale="en-US", model1=base, model2=model, dataset=tested)
        )
    assert evaluation.properties is not None
    before, after = evaluation.properties.counts(1), evaluation.properties.counts(2)
    assert before is not None
    assert after is not None
    assert after.errors < before.errors
