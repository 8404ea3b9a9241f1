"""Settings: which source wins, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.errors import SettingsError
from speech_mlflow.settings import Settings

CANARY = "canary-5b1c9f"


def load(tmp_path: Path, file: str = "", environ: dict[str, str] | None = None, **flags: object) -> Settings:
    (tmp_path / "speech-mlflow.toml").write_text(file, "utf-8")
    return Settings.load(flags, environ=environ or {}, directory=tmp_path)


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    environ = {"SPEECH_MLFLOW_LOCALE": "de-DE", "SPEECH_MLFLOW_EXPERIMENT": "from-environment"}
    settings = load(
        tmp_path, 'locale = "fr-FR"\nexperiment = "from-file"\nproject = "p"', environ, locale="ja-JP", project=None
    )
    assert (settings.locale, settings.experiment, settings.project) == ("ja-JP", "from-environment", "p")
    origins = [settings.origin(name) for name in ("locale", "experiment", "project", "trigger")]
    assert origins == ["flag", "environment", "file", "default"]


def test_mlflows_own_variables_count_below_ours(tmp_path: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    assert load(tmp_path, environ=environ).tracking_uri == "http://127.0.0.1:1"
    environ["SPEECH_MLFLOW_TRACKING_URI"] = "http://127.0.0.1:2"
    assert load(tmp_path, environ=environ).tracking_uri == "http://127.0.0.1:2"


def test_all_unknown_keys_are_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, 'trakcing_uri = "x"\ncolour = "red"')
    assert "did you mean tracking_uri?" in str(caught.value)
    assert "colour in" in str(caught.value)


def test_a_wrong_value_names_its_source_and_never_prints_a_secret(tmp_path: Path) -> None:
    environ = {"SPEECH_MLFLOW_POLL_SECONDS": CANARY, "SPEECH_MLFLOW_KEY": CANARY}
    with pytest.raises(SettingsError, match="SPEECH_MLFLOW_POLL_SECONDS") as caught:
        load(tmp_path, environ=environ)
    assert CANARY not in str(caught.value)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"speech-mlflow\.toml"):
        load(tmp_path, "locale = ")


def test_the_key_stays_secret(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"SPEECH_MLFLOW_KEY": CANARY})
    assert settings.key is not None
    assert settings.key.get_secret_value() == CANARY
    assert CANARY not in repr(settings) + str(settings) + settings.model_dump_json()
