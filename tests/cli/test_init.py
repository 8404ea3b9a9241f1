"""The file that ``init`` writes, the schema that editors check it by, and what ``config show`` says of it."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from speech_mlflow.cli.main import cli
from speech_mlflow.errors import SettingsError
from speech_mlflow.pipeline import SettingsFile, read
from speech_mlflow.pipeline.schema import schema
from speech_mlflow.promotion.target import Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = json.loads(files("speech_mlflow").joinpath("speech-mlflow.schema.json").read_text("utf-8"))


def invoke(*arguments: str, **environ: str) -> Result:
    done = CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "200", **environ}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def as_json(text: str) -> Any:
    """TOML as a validator sees it: dates are strings."""
    return json.loads(json.dumps(tomllib.loads(text), default=str))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_a_file_that_is_valid_by_its_schema_and_to_the_program(here: Path) -> None:
    written = json.loads(invoke("init", "--json").stdout)["written"]
    assert written == ["speech-mlflow.toml", "speech-mlflow.schema.json"]
    text = (here / "speech-mlflow.toml").read_text("utf-8")
    assert text.splitlines()[0] == "#:schema ./speech-mlflow.schema.json"
    jsonschema.validate(as_json(text), json.loads((here / "speech-mlflow.schema.json").read_text("utf-8")))
    assert list(read().models) == ["clinic-en-us"]


def test_what_the_file_has_in_comments_is_valid_too(here: Path) -> None:
    invoke("init")
    text = (here / "speech-mlflow.toml").read_text("utf-8")
    commented = [
        line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and " = " in line.partition("#")[2]
    ]
    assert len(commented) >= 10
    for line in commented:
        name = line.partition(" = ")[0]
        swapped = [line if one.partition(" = ")[0] == name else one for one in text.splitlines()]
        swapped = [line if one == f"# {line}" and line not in swapped else one for one in swapped]
        assert line in swapped
        (here / "speech-mlflow.toml").write_text("\n".join(swapped), "utf-8")
        read()
        jsonschema.validate(as_json("\n".join(swapped)), SHIPPED)


def test_init_overwrites_nothing_without_force(here: Path) -> None:
    (here / "speech-mlflow.toml").write_text("# mine\n")
    with pytest.raises(SettingsError, match="exists already"):
        CliRunner().invoke(cli, ["init"], catch_exceptions=False)
    assert (here / "speech-mlflow.toml").read_text() == "# mine\n"
    assert not (here / "speech-mlflow.schema.json").exists()
    invoke("init", "--force")
    assert read().models


def test_init_says_how_to_go_on_in_a_way_that_a_shell_takes(here: Path) -> None:
    said = invoke("init", "first try [v1]").stdout
    assert (here / "first try [v1]" / "speech-mlflow.toml").is_file()
    assert "next: " in said
    assert "cd 'first try [v1]' && " in invoke("init", "first try [v1]", "--example", "--force").stdout


def test_init_with_the_example_has_all_data_that_the_file_names(here: Path) -> None:
    invoke("init", "clinic", "--example")
    pipeline = read(Path("clinic/speech-mlflow.toml"))
    for data in pipeline.data.values():
        assert (here / "clinic" / data.path).exists()


def test_the_shipped_schema_is_the_one_that_is_made() -> None:
    assert schema() == SHIPPED, "write it again: speech-mlflow config schema > speech_mlflow/speech-mlflow.schema.json"
    assert json.loads(invoke("config", "schema").stdout) == SHIPPED
    jsonschema.Draft202012Validator.check_schema(SHIPPED)


@pytest.mark.parametrize(
    "wrong", ["locle = 'x'", "[targets.m]\nmax_were = 1", "[pipeline.models.m]\ntrain = []", "poll_seconds = 0"]
)
def test_the_schema_refuses_what_the_program_refuses(wrong: str, here: Path) -> None:
    (here / "speech-mlflow.toml").write_text(wrong)
    with pytest.raises(SettingsError):
        SettingsFile.load(environ={})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(wrong), SHIPPED)


def test_every_key_of_the_schema_is_explained() -> None:
    settings = SHIPPED["properties"]
    assert [name for name, one in settings.items() if not one.get("description")] == []
    assert set(settings) == set(SettingsFile.model_fields)
    assert set(SHIPPED["$defs"]["Target"]["properties"]) == set(Target.model_fields)


def test_config_show_names_each_source_and_checks_the_whole_file(here: Path) -> None:
    invoke("init")
    shown = json.loads(
        invoke("config", "show", "--json", AZURE_TENANT_ID="contoso", MLFLOW_TRACKING_URI="http://me:canary-77@h").stdout
    )
    assert shown["tenant"] == {"value": "contoso", "origin": "environment", "source": "AZURE_TENANT_ID"}
    assert shown["tracking_uri"]["source"] == "MLFLOW_TRACKING_URI"
    assert "canary-77" not in str(shown)
    assert shown["experiment"] == {"value": "clinic", "origin": "file", "source": str(here / "speech-mlflow.toml")}
    assert shown["state_dir"]["origin"] == "default"
    assert "AZURE_TENANT_ID" in invoke("config", "show", AZURE_TENANT_ID="contoso").stdout
    file = here / "speech-mlflow.toml"
    file.write_text(file.read_text("utf-8").replace("max_wer", "max_were"), "utf-8")
    with pytest.raises(SettingsError, match="did you mean max_wer"):
        CliRunner().invoke(cli, ["config", "show"], catch_exceptions=False)
