"""The engine on a small double of Vosk's interface, and on Vosk itself where it and a model are there."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import shutil
import subprocess
import wave
from pathlib import Path

import pytest
import speech_mlflow_vosk as plugin

from speech_mlflow.emulator.engine import Engine
from speech_mlflow.errors import EngineError, PluginError

SECOND = b"\0" * 32_000


def word(text: str, start: float, end: float, conf: float) -> dict[str, object]:
    return {"word": text, "start": start, "end": end, "conf": conf}


class Double:
    """The part of Vosk that is used: a segment ends with each loud piece; a model is a folder without a file "broken"."""

    def Model(self, path: str) -> str:
        if (Path(path) / "broken").exists():
            raise Exception("Failed to create a model")
        return path

    class KaldiRecognizer:
        def __init__(self, model: str, rate: int) -> None:
            assert rate == 16_000
            self.pieces, self.words = 0, False

        def SetWords(self, on: bool) -> None:
            self.words = on

        def AcceptWaveform(self, piece: bytes) -> bool:
            self.pieces += 1
            return any(piece)

        def Result(self) -> str:
            return json.dumps({"result": [word("hello", self.pieces / 2, self.pieces / 2 + 0.25, 0.5)], "text": "hello"})

        def FinalResult(self) -> str:
            end = {"result": [word("there", 2.0, 2.5, 1.0)], "text": "there"} if self.pieces > 2 else {"text": ""}
            return json.dumps(end if self.words else {"text": end["text"]})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "vosk-model-small-xx"
    (path / "am").mkdir(parents=True)
    (path / "am" / "final.mdl").write_bytes(b"x")
    os.utime(path / "am" / "final.mdl", (0, datetime.datetime(2024, 5, 6, 12, tzinfo=datetime.timezone.utc).timestamp()))
    return path


@pytest.fixture
def engine(model: Path) -> plugin.VoskEngine:
    return plugin.VoskEngine({"de-DE": model}, Double)


def test_each_model_is_a_base_model_that_cannot_be_trained(engine: plugin.VoskEngine) -> None:
    assert isinstance(engine, Engine)
    (base,) = engine.base_models()
    assert (base.locale, base.display_name, base.created) == ("de-DE", "vosk vosk-model-small-xx", datetime.date(2024, 5, 6))
    assert base.adapts_with == ()
    with pytest.raises(EngineError, match="cannot be trained"):
        engine.train()


def test_segments_are_joined_with_times_and_confidence(engine: plugin.VoskEngine) -> None:
    heard = engine.load("de-DE", None).transcribe(b"\1" * 16_000 + SECOND)
    assert heard.lexical == "hello there"
    assert heard.audio_seconds == 1.5
    (best,) = heard.nbest
    assert best.confidence == 0.75
    assert [(w.text, w.offset, w.duration) for w in best.words] == [("hello", 0.5, 0.25), ("there", 2.0, 0.5)]


def test_silence_has_no_reading_and_no_recording_hears_the_one_before(engine: plugin.VoskEngine) -> None:
    recognizer = engine.load("de-DE", None)
    assert recognizer.transcribe(b"\1" * 16_000).nbest
    assert recognizer.transcribe(SECOND).nbest == ()


def test_a_model_that_does_not_load_is_named(engine: plugin.VoskEngine, model: Path) -> None:
    (model / "broken").touch()
    with pytest.raises(EngineError, match=r"vosk-model-small-xx is not a model that Vosk can load"):
        engine.load("de-DE", None)
    with pytest.raises(EngineError, match="Vosk has no model 'en-US'"):
        engine.load("en-US", None)


def test_models_are_read_from_the_environment(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Engine] = []
    monkeypatch.delenv(plugin.VARIABLE, raising=False)
    plugin.register_recognizers(registered.append)
    assert registered == []
    monkeypatch.setenv(plugin.VARIABLE, f" en-US={model}, de-DE={model} ,")
    plugin.register_recognizers(registered.append)
    assert [engine.locales for engine in registered] == [("en-US", "de-DE")]


@pytest.mark.parametrize("wrong", ["en-US", "en-US=/nowhere", "/only/a/path"])
def test_a_wrong_setting_is_named(wrong: str) -> None:
    with pytest.raises(PluginError, match=r"VOSK_MODELS: .* is not LOCALE=DIRECTORY"):
        plugin.read_models(wrong)


@pytest.fixture(scope="module")
def real() -> plugin.VoskEngine:
    if importlib.util.find_spec("vosk") is None:
        pytest.skip("vosk is not installed")
    if not os.environ.get(plugin.VARIABLE):
        pytest.skip(f"{plugin.VARIABLE} is not set: no Vosk model")
    return plugin.VoskEngine(plugin.read_models(os.environ[plugin.VARIABLE]))


def test_vosk_itself_hears_speech_the_same_twice_and_nothing_in_silence(real: plugin.VoskEngine, tmp_path: Path) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    locale = real.locales[0]
    path = tmp_path / "speech.wav"
    subprocess.run(["espeak-ng", "-v", locale.partition("-")[0], "-w", path, "1 2 3 4 5 6 7 8 9"], check=True)
    with wave.open(str(path), "rb") as file:
        rate, frames = file.getframerate(), file.readframes(file.getnframes())
    from speech_mlflow.emulator.audio import to_pcm16k

    pcm = to_pcm16k(path.read_bytes(), name="speech.wav")
    recognizer = real.load(locale, None)
    first = recognizer.transcribe(pcm)
    assert first.audio_seconds == pytest.approx(len(frames) / 2 / rate, abs=0.01)
    words = first.nbest[0].words
    assert len(words) >= 3
    assert all(one.offset >= 0 and one.offset + one.duration <= first.audio_seconds + 0.1 for one in words)
    assert [one.offset for one in words] == sorted(one.offset for one in words)
    assert recognizer.transcribe(pcm).nbest == first.nbest
    assert recognizer.transcribe(SECOND).nbest == ()
