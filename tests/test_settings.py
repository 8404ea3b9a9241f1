"""Settings: which source wins, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech_mlflow.errors import SettingsError
from speech_mlflow.settings import Settings
from speech_mlflow.toml_file import line_of

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
        load(tmp_path, '# settings\ntrakcing_uri = "x"\ncolour = "red"\npoll_seconds = -1')
    said = str(caught.value)
    assert "speech-mlflow.toml:2: trakcing_uri: unknown (did you mean tracking_uri?)" in said
    assert "speech-mlflow.toml:3: colour: unknown" in said
    assert "speech-mlflow.toml:4: poll_seconds: " in said


def test_a_misspelt_variable_is_named_and_other_variables_of_the_prefix_are_not(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"SPEECH_MLFLOW_TRAKCING_URI: unknown \(did you mean SPEECH_MLFLOW_TRACKING_URI\?\)"
    ):
        load(tmp_path, environ={"SPEECH_MLFLOW_TRAKCING_URI": CANARY})
    for swapped, meant in (("LOCLAE", "LOCALE"), ("KYE", "KEY")):
        with pytest.raises(SettingsError, match=rf"did you mean SPEECH_MLFLOW_{meant}\?"):
            load(tmp_path, environ={f"SPEECH_MLFLOW_{swapped}": CANARY})
    load(tmp_path, environ={"SPEECH_MLFLOW_DISABLED_PLUGINS": "*", "SPEECH_MLFLOW_LIVE": "1"})


def test_azures_own_variable_names_the_tenant_and_the_source_is_told(tmp_path: Path) -> None:
    settings = load(tmp_path, 'locale = "de-DE"', environ={"AZURE_TENANT_ID": "contoso"})
    assert settings.tenant == "contoso"
    assert [settings.source(name) for name in ("tenant", "locale", "project")] == [
        "AZURE_TENANT_ID",
        str(tmp_path / "speech-mlflow.toml"),
        None,
    ]


def test_paths_of_a_named_file_are_meant_from_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "ci.toml"
    file.write_text('tracking_uri = "sqlite:///runs.db"\nartifact_location = "s3://bucket/x"')
    settings = Settings.load(file=file, environ={"SPEECH_MLFLOW_STATE_DIR": "here"}).anchored(tmp_path)
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/runs.db"
    assert settings.artifact_location == "s3://bucket/x"
    assert settings.state_dir == Path("here")
    assert settings.origin("tracking_uri") == "file"


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("a",), 1),
        (("pipeline", "models", "x y", "train", 1), 5),
        (("pipeline", "models", "x y", "weight"), 3),
        (("pipeline", "tests", "t", "data"), 7),
        (("nowhere",), None),
    ],
)
def test_a_key_is_found_in_the_file(key: tuple[str | int, ...], line: int | None) -> None:
    text = 'a = 1\n# b\n[pipeline.models."x y"]\n\ntrain = [\n"nope = 1"]\npipeline.tests = 2'
    text = text.replace("pipeline.tests = 2", "[pipeline.tests]")
    assert line_of(text, key) == line


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
