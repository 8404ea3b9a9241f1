"""What a file may declare, and what is said about a wrong one."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from speech_mlflow.errors import SettingsError
from speech_mlflow.pipeline.declared import Pipeline, anchored, read
from speech_mlflow.settings import Settings

GOOD = """
[pipeline.data]
a = "a.txt"
b = { path = "b", kind = "Acoustic" }
[pipeline.models.m]
train = ["a", "b"]
[pipeline.tests.b]
"""


def declared(tmp_path: Path, text: str) -> Pipeline:
    file = tmp_path / "speech-mlflow.toml"
    file.write_text(text, "utf-8")
    return read(file)


def said(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        declared(tmp_path, text)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_short_forms_and_defaults(tmp_path: Path) -> None:
    pipeline = declared(tmp_path, GOOD)
    assert pipeline.data["a"].path == "a.txt"
    assert pipeline.data["b"].kind == "Acoustic"
    assert pipeline.models["m"].base_model.id is None
    assert (pipeline.tested("b"), pipeline.testing_data("b"), pipeline.registered("m")) == (("m",), "b", "m")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"newest"', (None, (), None)),
        ('"0f3"', ("0f3", (), None)),
        ('{ adaptable_with = ["Acoustic"] }', (None, ("Acoustic",), None)),
        ("{ before = 2026-01-31 }", (None, (), datetime.date(2026, 1, 31))),
    ],
)
def test_ways_to_choose_a_base_model(text: str, expected: tuple[object, ...], tmp_path: Path) -> None:
    choice = declared(tmp_path, GOOD.replace("[pipeline.tests.b]", f"base_model = {text}")).models["m"].base_model
    assert (choice.id, choice.adaptable_with, choice.before) == expected


def test_all_problems_at_once_with_line_and_nearest_name(tmp_path: Path) -> None:
    text = GOOD.replace("kind", "kinds").replace("train =", "trian =") + "weight = 3\n[targets.m]\nmax_were = 0.2\n"
    problems = said(tmp_path, "experimnt = 'x'\n" + text)
    for expected in (
        "speech-mlflow.toml:1: experimnt: unknown (did you mean experiment?)",
        "speech-mlflow.toml:5: pipeline.data.b.kinds: unknown (did you mean kind?)",
        "speech-mlflow.toml:7: pipeline.models.m.trian: unknown (did you mean train?)",
        "speech-mlflow.toml:6: pipeline.models.m.train: Field required",
        "speech-mlflow.toml:9: pipeline.tests.b.weight: unknown",
        "speech-mlflow.toml:11: targets.m.max_were: unknown (did you mean max_wer?)",
    ):
        assert expected in problems


def test_names_that_nothing_has_are_told_with_their_line(tmp_path: Path) -> None:
    problems = said(tmp_path, GOOD.replace('"a", "b"', '"a", "bb"').replace("tests.b]", "tests.c]\nmodels = ['n']"))
    assert "speech-mlflow.toml:6: pipeline.models.m.train[1]: no data set 'bb' in [pipeline.data] (did you mean b?)" in problems
    assert "speech-mlflow.toml:7: pipeline.tests.c: no data set 'c'" in problems
    assert "speech-mlflow.toml:8: pipeline.tests.c.models[0]: no model 'n'" in problems


def test_two_models_cannot_be_promoted_to_one_registered_model(tmp_path: Path) -> None:
    two = GOOD + '[pipeline.models.n]\ntrain = ["a"]\nregistered_model = "m"\npromote = true\n'
    declared(tmp_path, two)
    problems = said(tmp_path, two.replace('train = ["a", "b"]', 'train = ["a", "b"]\npromote = true'))
    assert "'m' is promoted as 'm' already" in problems


def test_an_id_leaves_nothing_to_choose(tmp_path: Path) -> None:
    text = GOOD.replace("[pipeline.tests.b]", 'base_model = { id = "x", before = 2026-01-31 }')
    assert "speech-mlflow.toml:7: pipeline.models.m.base_model: an id leaves nothing to choose" in said(tmp_path, text)


def test_no_file_and_no_pipeline_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no") as caught:
        read(tmp_path / "speech-mlflow.toml")
    assert "speech-mlflow init" in str(caught.value.hint)
    assert "declares no [pipeline]" in said(tmp_path, "")


def test_recordings_of_a_probe_are_found_from_where_the_file_lies(tmp_path: Path) -> None:
    file = tmp_path / "ci.toml"
    file.write_text('[targets.m]\nprobe = { recordings = [{ audio = "a.wav", text = "x" }] }')
    settings = anchored(Settings.load(file=file, environ={}), tmp_path)
    assert settings.targets["m"]["probe"]["recordings"][0]["audio"] == str(tmp_path / "a.wav")


def test_what_the_readme_declares_is_taken(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    blocks = [block for block in re.findall(r"^```toml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL) if "[pipeline." in block]
    assert blocks
    for block in blocks:
        assert declared(tmp_path, block).models
