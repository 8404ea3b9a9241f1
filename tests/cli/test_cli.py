"""The command line: what it prints, and with which code it exits. Each command runs in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest


def run(*arguments: str, cwd: Path, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``speech-mlflow`` in ``cwd`` and check its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "speech_mlflow", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of two short recordings with transcripts."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        with wave.open(str(folder / name), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes(os.urandom(32000))
    (folder / "transcripts.txt").write_text("a.wav\thello there\nb.wav\tgood morning\n", "utf-8")
    return folder


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    assert "No such command" in run("trian", cwd=tmp_path, code=2).stderr


def test_a_wrong_setting_is_named_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "speech-mlflow.toml").write_text('trakcing_uri = "x"', "utf-8")
    assert "did you mean tracking_uri?" in run("config", "show", cwd=tmp_path, code=2).stderr


def test_what_is_wrong_anywhere_in_the_file_is_told_at_once(tmp_path: Path) -> None:
    wrong = ['poll_seconds = "often"', "[targets.m]", "max_were = 1", "[pipeline.models.m]", "train = []"]
    (tmp_path / "speech-mlflow.toml").write_text("\n".join(wrong), "utf-8")
    for command in (("config", "show"), ("run",), ("models", "list")):
        said = run(*command, cwd=tmp_path, code=2).stderr
        assert all(f"speech-mlflow.toml:{line}: " in said for line in (1, 3, 5))


def test_a_file_that_is_no_toml_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "speech-mlflow.toml").write_text("locale = \n", "utf-8")
    assert "mend that line" in run("config", "show", cwd=tmp_path, code=2).stderr


def test_the_demo_does_not_overwrite_the_settings_of_a_project(tmp_path: Path) -> None:
    file = tmp_path / "speech-mlflow.toml"
    file.write_text('endpoint = "https://name.cognitiveservices.azure.com"\n', "utf-8")
    assert "--dir" in run("demo", "--dir", str(tmp_path), cwd=tmp_path, code=2).stderr
    assert file.read_text("utf-8").startswith("endpoint")
    assert [path.name for path in tmp_path.iterdir()] == ["speech-mlflow.toml"]


def test_a_second_demo_in_a_directory_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    from speech_mlflow.cli.demo import LOCK
    from speech_mlflow.emulator.address import StateLock

    lock = StateLock(tmp_path, LOCK)
    assert lock.take()
    try:
        assert "another demo is at work" in run("demo", "--dir", str(tmp_path), cwd=tmp_path, code=1).stderr
    finally:
        lock.release()
    assert not (tmp_path / "speech").exists()


def test_config_show_masks_the_key_and_names_origins(tmp_path: Path) -> None:
    done = run("config", "show", "--json", "--locale", "de-DE", cwd=tmp_path, SPEECH_MLFLOW_KEY="canary-77")
    shown = json.loads(done.stdout)
    assert shown["locale"] == {"value": "de-DE", "origin": "flag"}
    assert shown["key"]["origin"] == "environment"
    assert "canary-77" not in done.stdout + done.stderr


def test_good_data_passes_the_check(recordings: Path, tmp_path: Path) -> None:
    (checked,) = json.loads(run("data", "check", str(recordings), "--json", cwd=tmp_path).stdout)
    assert (checked["kind"], checked["profile"]["utterances"]) == ("Acoustic", 2)
    assert not [problem for problem in checked["problems"] if problem["severity"] == "error"]


def test_bad_data_shows_all_problems_with_file_and_line_and_exits_with_3(recordings: Path, tmp_path: Path) -> None:
    (recordings / "transcripts.txt").write_text("a.wav hello there\nc.wav\tnot there\n", "utf-8")
    done = run("data", "check", str(recordings), cwd=tmp_path, code=3)
    said = done.stdout + done.stderr
    assert "transcripts.txt:1" in said
    assert "c.wav" in said


def test_data_that_cannot_be_read_do_not_hide_what_is_wrong_with_others(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK")
    (recordings / "transcripts.txt").write_text("c.wav\tnot there\n", "utf-8")
    done = run("data", "check", "broken.zip", str(recordings), cwd=tmp_path, code=3)
    assert "broken.zip is broken" in done.stdout
    assert "c.wav" in done.stdout
    unread, read = json.loads(run("data", "check", "broken.zip", str(recordings), "--json", cwd=tmp_path, code=3).stdout)
    assert (unread["path"], unread["problems"][0]["code"]) == ("broken.zip", "unreadable")
    assert read["kind"] == "Acoustic"
    assert set(unread) == set(read)


def test_what_is_neither_a_path_nor_a_web_address_is_a_usage_error(tmp_path: Path) -> None:
    for source in ("nope.zip", "ftp://host/x.zip"):
        assert f"'{source}' does not exist" in run("data", "upload", source, cwd=tmp_path, code=2).stderr


def test_plugins_are_listed(tmp_path: Path) -> None:
    listed = json.loads(run("plugins", "--json", cwd=tmp_path).stdout)
    assert "speech_mlflow.corpus.builtin" in {plugin["name"] for plugin in listed}


def test_a_real_resource_is_not_charged_without_a_word(recordings: Path, tmp_path: Path) -> None:
    done = run(
        *("train", str(recordings), "--name", "m", "--endpoint", "https://name.cognitiveservices.azure.com"),
        cwd=tmp_path,
        code=2,
        SPEECH_MLFLOW_KEY="k",
    )
    assert "costs money" in done.stderr
    assert "--yes" in done.stderr


def test_the_offline_service_starts_by_itself_and_is_found_and_stopped(recordings: Path, tmp_path: Path) -> None:
    try:
        first = json.loads(run("data", "upload", str(recordings), "--json", cwd=tmp_path).stdout)
        again = json.loads(run("data", "upload", str(recordings), "--json", cwd=tmp_path).stdout)
        assert first["status"] == "Succeeded"
        assert again["id"] == first["id"]
        listed = json.loads(run("data", "list", "--json", cwd=tmp_path).stdout)
        assert [dataset["id"] for dataset in listed] == [first["id"]]
        shown = json.loads(run("data", "show", first["id"], "--json", cwd=tmp_path).stdout)
        assert shown["properties"]["acceptedLineCount"] == 2
        assert {file["kind"] for file in shown["files"]} >= {"AcousticDataArchive"}
        assert re.search(r"^accepted +2$", run("data", "show", first["id"], cwd=tmp_path).stdout, re.MULTILINE)
        assert "needs --kind" in run("data", "upload", "http://127.0.0.1:9/x.zip?sig=canary", cwd=tmp_path, code=2).stderr
        refused = run("data", "upload", "http://127.0.0.1:9/x.zip?sig=canary", "--kind", "Acoustic", cwd=tmp_path, code=1)
        assert "canary" not in refused.stdout + refused.stderr
        assert run("evaluations", "list", cwd=tmp_path).stdout.startswith("no evaluations yet")
        status = json.loads(run("emulator", "status", "--json", cwd=tmp_path).stdout)
        assert status["running"]
        bases = json.loads(run("models", "base", "--json", cwd=tmp_path).stdout)
        assert {base["locale"] for base in bases} == {"en-US"}
        assert run("endpoints", "list", cwd=tmp_path).stdout == "no endpoints yet\n"
    finally:
        run("emulator", "stop", cwd=tmp_path)
    assert not json.loads(run("emulator", "status", "--json", cwd=tmp_path).stdout)["running"]
