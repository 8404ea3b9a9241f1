from __future__ import annotations

import base64
import shutil
import warnings
from pathlib import Path

import pytest

from speech_mlflow import flavor, workflow
from speech_mlflow.corpus import Corpus
from speech_mlflow.errors import AudioError, DataError, TrackingError
from speech_mlflow.service import KeyCredential, SpeechClient
from speech_mlflow.service.entities import BaseModel
from speech_mlflow.tracking import registry, tags
from speech_mlflow.tracking.lineage import lineage
from speech_mlflow.workflow.transcribing import find_endpoint, transcribe
from tests.fixtures.emulator import RunningEmulator
from tests.workflow.tools import Mlflow

with warnings.catch_warnings():  # of types inside MLflow, at its import
    warnings.simplefilter("ignore")
    import mlflow.pyfunc


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, emulator: RunningEmulator, mlflow: Mlflow) -> None:
    """What a user's environment says."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", mlflow.uri)
    monkeypatch.setenv("SPEECH_MLFLOW_STATE_DIR", str(emulator.state_dir))


def train(speech: SpeechClient, text: Path, where: Mlflow) -> workflow.TrainResult:
    return workflow.train(speech, name="first", data=[text], registered_model="clinic", weight_percent=90, **where.where)


@pytest.mark.usefixtures("here")
def test_mlflow_loads_a_version_and_transcribes_with_its_model(
    speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow
) -> None:
    trained = train(speech, text, mlflow)
    registry.set_stage(mlflow.client, "clinic", "1", "Production")
    tested = workflow.test(speech, data=testing, models=[trained.model], **mlflow.where)
    expected = list(tested.scores["clinic v1"].texts()[1])
    paths = [str(testing.source / utterance.id) for utterance in testing.utterances]

    loaded = _pyfunc("models:/clinic/Production")
    assert find_endpoint(speech, trained.model.id) is None
    by_batch = loaded.predict(paths, params={"form": "lexical"})
    assert by_batch == expected, "what the evaluation heard"
    before = [one.id for one in speech.transcriptions.list()]
    display = loaded.predict(paths)
    assert [one.id for one in speech.transcriptions.list()] == before, "the same batch is transcribed once"
    assert display != by_batch
    assert display[0][0].isupper()

    endpoint = speech.wait(speech.endpoints.create(display_name="flavour", locale="en-US", model=trained.model))
    try:
        live = find_endpoint(speech, trained.model.id)
        assert live is not None
        assert live.id == endpoint.id
        assert loaded.predict(paths[:2], params={"form": "lexical"}) == expected[:2]
        assert [one.id for one in speech.transcriptions.list()] == before, "heard through the endpoint"
        base = speech.models.get_base(trained.model.base_model or "")
        speech.wait(speech.endpoints.update(endpoint, model=base))
        assert loaded.predict(paths, params={"form": "lexical"}) == expected, "the version's model, not what is served"
        with pytest.raises(TrackingError, match="no endpoint serves model"):
            transcribe(speech, trained.model.id, [Path(paths[0])], locale="en-US", via="endpoint")
    finally:
        speech.endpoints.delete(endpoint)


def _pyfunc(uri: str):  # type: ignore[no-untyped-def]
    return mlflow.pyfunc.load_model(uri, suppress_warnings=True)


class Switching(SpeechClient):
    """A connection during whose first recognition somebody gives the endpoint another model."""

    other: BaseModel

    def recognize(self, endpoint_id, wav, *, language, **more):  # type: ignore[no-untyped-def,override]
        heard = super().recognize(endpoint_id, wav, language=language, **more)
        self.wait(self.endpoints.update(endpoint_id, model=self.other))
        return heard


def test_an_endpoint_that_was_given_another_model_meanwhile_is_not_believed(
    speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow, emulator: RunningEmulator
) -> None:
    trained = train(speech, text, mlflow)
    recordings = [testing.source / utterance.id for utterance in testing.utterances]
    expected = transcribe(speech, trained.model.id, recordings, locale="en-US", via="batch")
    endpoint = speech.wait(speech.endpoints.create(display_name="switched", locale="en-US", model=trained.model))
    try:
        with Switching(emulator.url, KeyCredential(emulator.key), resource=emulator.resource) as switching:
            switching.other = speech.models.get_base(trained.model.base_model or "")
            assert transcribe(switching, trained.model.id, recordings, locale="en-US") == expected
            speech.wait(speech.endpoints.update(endpoint, model=trained.model))
            with pytest.raises(TrackingError, match="was given another model meanwhile"):
                transcribe(switching, trained.model.id, recordings[:1], locale="en-US", via="endpoint")
    finally:
        speech.endpoints.delete(endpoint)


@pytest.mark.usefixtures("here")
def test_the_flavour_loads_by_itself_and_takes_contents_and_texts(
    speech: SpeechClient, text: Path, testing: Corpus, mlflow: Mlflow
) -> None:
    trained = train(speech, text, mlflow)
    loaded = flavor.load_model("models:/clinic/1")
    assert loaded.described.model_id == trained.model.id
    content = testing.audio("t01.wav")
    encoded = "data:audio/wav;base64," + base64.b64encode(content).decode()
    first, second = loaded.transcribe([content, encoded], speech=speech, via="batch")
    assert first == second
    assert first.lexical
    assert loaded.predict([]) == []
    with pytest.raises(AudioError, match="not valid base64"):
        loaded.predict(["data:audio/wav;base64,!!"])
    with pytest.raises(DataError, match=r"nowhere\.wav cannot be read"):
        loaded.predict(["nowhere.wav"])
    with pytest.raises(DataError, match="is no form of a transcript"):
        loaded.predict([encoded], params={"form": "phonetic"})
    with pytest.raises(DataError, match="not int"):
        loaded.predict([3])


@pytest.mark.usefixtures("here")
def test_a_model_of_another_resource_is_not_asked_for_here(speech: SpeechClient, tmp_path: Path) -> None:
    flavor.save_model(tmp_path / "model", resource="another", model_id="m1", locale="en-US")
    loaded = _pyfunc(str(tmp_path / "model"))
    with pytest.raises(TrackingError, match="the model is in the speech resource 'another'"):
        loaded.predict(["data:audio/wav;base64,AAAA"])


@pytest.mark.usefixtures("here")
def test_logged_as_the_flavours_of_mlflow_are(
    speech: SpeechClient, text: Path, mlflow: Mlflow, tmp_path: Path, testing: Corpus, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow as fluent

    trained = train(speech, text, mlflow)
    with fluent.start_run():
        info = flavor.log_model(trained.model, resource=speech.resource, name="mine", registered_model_name="mine")
    version = mlflow.client.get_model_version("mine", "1")
    assert version.tags[tags.MODEL_ID] == trained.model.id, "by which it is tested, compared and promoted"
    assert lineage(mlflow.client, "mine/1").focus == "version mine/1"
    assert "WARNING" not in capfd.readouterr().err, "the input example is a name, which MLflow is not to try out"
    assert info.signature is not None
    assert info.signature.inputs is not None
    assert [column.type.name for column in info.signature.inputs.inputs] == ["string"]
    assert set(info.flavors) == {"python_function", "speech_mlflow"}
    folder = fluent.artifacts.download_artifacts("models:/mine/1", dst_path=str(tmp_path / "downloaded"))
    assert "speech-mlflow==" in Path(folder, "requirements.txt").read_text()
    copy = tmp_path / "a b.wav"
    shutil.copyfile(testing.source / "t01.wav", copy)
    loaded = _pyfunc("models:/mine/1")
    assert loaded.input_example == ["recording.wav"]
    assert loaded.predict([str(copy)], params={"form": "lexical"}) == _pyfunc("models:/clinic/1").predict(
        [str(testing.source / "t01.wav")], params={"form": "lexical"}
    )
