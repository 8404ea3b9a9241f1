"""What gates decide on, read from real tests: trained, tested and promoted through the whole path."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.errors import GateError
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.evidence import EvidenceUnreadable
from speech_mlflow.promotion.evidence_reading import tests_of as read_tests
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import promote
from speech_mlflow.tracking import tags
from speech_mlflow.workflow.testing import test as run_test
from speech_mlflow.workflow.training import train
from tests.promotion.world import World

NAME = "pharmacy"
SENTENCES = 12


@pytest.fixture
def tested(world: World, tmp_path: Path) -> World:
    """Two versions: the first knows the word that is tested, the second does not."""
    from tests.emulator.tone_plugin.tone_engine import speak

    for word in ("aspirin", "ibuprofen"):
        text = tmp_path / f"{word}.txt"
        text.write_text(f"please call {word}\nstop the {word}\n", "utf-8-sig")
        train(world.speech, name=word, data=[text], registered_model=NAME, tracking_uri=world.client.tracking_uri)
    folder = tmp_path / "calls"
    folder.mkdir()
    lines = []
    for number in range(SENTENCES):
        sentence = f"please call aspirin {('one', 'two', 'three')[number % 3]}"
        (folder / f"c{number:02}.wav").write_bytes(speak(sentence))
        lines.append(f"c{number:02}.wav\t{sentence}\n")
    (folder / "trans.txt").write_text("".join(lines), "utf-8-sig")
    for version in ("1", "2"):
        run_test(world.speech, data=folder, models=["base", f"{NAME}/{version}"], tracking_uri=world.client.tracking_uri)
    return world


def test_tests_are_read_with_their_numbers_and_utterances(tested: World) -> None:
    model = registry.read(tested.client, NAME)
    for number, wer in (("1", 0.0), ("2", 0.25)):
        version = model.version(number)
        assert version is not None
        (evidence,) = read_tests(tested.client, version)
        assert evidence.wer == wer
        assert evidence.words == 4 * SENTENCES
        assert evidence.contaminated == 0
        assert evidence.is_of("calls")
        assert evidence.score is not None
        assert evidence.score.wer == wer


def test_a_worse_version_is_refused_on_measured_evidence_and_a_move_back_is_not(tested: World) -> None:
    target = Target(test_dataset="calls", max_wer=0.3)
    assert promote(tested.speech, tested.client, NAME, "2", target).served  # the first: there is nothing to compare it with
    assert promote(tested.speech, tested.client, NAME, "1", target).served  # better
    tested.client.delete_model_version_tag(NAME, "2", "speech.promotion_run_id")  # as if it had never been served
    with pytest.raises(GateError, match="worse than version 1"):
        promote(tested.speech, tested.client, NAME, "2", target)
    tested.client.set_model_version_tag(NAME, "2", "speech.promotion_run_id", "an earlier run")
    assert promote(tested.speech, tested.client, NAME, "2", target).served
    recorded = tested.runs()[-1].data
    assert recorded.params["gate.champion"].startswith("passed: version 2 was served before")
    assert recorded.metrics["gate.tested.wer"] == 0.25


def test_the_controllers_way_holds_a_worse_version_back(tested: World) -> None:
    promote(tested.speech, tested.client, NAME, "1")
    tested.move("2", name=NAME)
    version = registry.read(tested.client, NAME).version("2")
    assert version is not None
    (evidence,) = read_tests(tested.client, version)
    table = Path(tested.client.get_run(evidence.run_id).info.artifact_uri.removeprefix("file://")) / "utterances.json"
    kept = table.rename(table.with_suffix(".kept"))
    table.mkdir()
    with pytest.raises(EvidenceUnreadable, match=evidence.run_id):
        tested.apply(NAME)
    assert tested.tag(tags.HOLD, "2", NAME) is None, "nobody said no: it is tried again"
    table.rmdir()
    kept.rename(table)
    applied = tested.apply(NAME)
    assert applied.result == "refused"
    assert "worse" in applied.reason
    endpoint = tested.endpoint(NAME)
    assert tested.hears(endpoint.id) == 0
    numbers = tested.runs()[-1].data.metrics
    assert numbers["gate.champion.difference"] == 0.25
