"""``doctor`` in healthy and in broken surroundings, all of them real."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import SecretStr

from speech_mlflow.cli import checks, checks_mlflow, checks_speech
from speech_mlflow.cli.checks import Finding, run_checks
from speech_mlflow.emulator.faults import Fault
from speech_mlflow.settings import Settings
from tests.cli.test_cli import run
from tests.fixtures.emulator import RunningEmulator, StartEmulator
from tests.fixtures.mlflow import MlflowStore
from tests.fixtures.mlflow_server import serve

CANARY = "canary-key-0815-4711"
NOBODY = "http://127.0.0.1:9"


def by_check(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def diagnosed(*arguments: str, cwd: Path, code: int, **environ: str) -> dict[str, Finding]:
    done = run("doctor", *arguments, "--json", cwd=cwd, code=code, **environ)
    assert CANARY not in done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["healthy"] == (code == 0)
    findings = [Finding(**line) for line in document["checks"]]
    assert all(finding.fix for finding in findings if finding.state != "ok")
    return by_check(findings)


def test_an_empty_directory_is_healthy_and_stays_empty(tmp_path: Path) -> None:
    found = diagnosed(cwd=tmp_path, code=0)
    assert {"python", "packages", "settings", "mlflow", "speech", "plugins", "audio"} <= set(found)
    assert {finding.state for finding in found.values()} <= {"ok", "warn"}
    assert "starts by itself" in found["speech"].text
    assert list(tmp_path.iterdir()) == []


def test_a_store_and_a_resource_that_work_are_healthy(
    emulator: RunningEmulator, mlflow_store: MlflowStore, tmp_path: Path
) -> None:
    options = ("--endpoint", emulator.url, "--tracking-uri", mlflow_store.uri)
    found = diagnosed(*options, cwd=tmp_path, code=0, SPEECH_MLFLOW_KEY=emulator.key.get_secret_value())
    assert "API version 2025-10-15" in found["speech"].text
    assert found["locale"].text == "en-US can be trained"
    assert "of 50 endpoints" in found["quota"].text
    assert "opened directly with MLflow" in found["mlflow"].text
    assert {found[name].state for name in ("mlflow", "experiment", "registry", "logged models", "webhooks")} == {"ok"}


def test_a_wrong_key_fails_with_what_to_do_and_is_not_shown(emulator: RunningEmulator, tmp_path: Path) -> None:
    found = diagnosed("--endpoint", emulator.url, cwd=tmp_path, code=1, SPEECH_MLFLOW_KEY=CANARY)
    assert found["speech"].state == "fail"
    assert "does not accept the key" in found["speech"].text
    assert "KEY 1 or KEY 2" in (found["speech"].fix or "")
    assert found["mlflow"].state == "ok"


def test_what_cannot_be_reached_fails_alone(tmp_path: Path) -> None:
    found = diagnosed("--endpoint", NOBODY, "--tracking-uri", NOBODY, cwd=tmp_path, code=1, SPEECH_MLFLOW_KEY=CANARY)
    assert {name for name, finding in found.items() if finding.state == "fail"} == {"speech", "mlflow"}
    assert all("127.0.0.1:9" in found[name].text for name in ("speech", "mlflow"))


def test_people_read_a_line_each_and_the_fix_below(tmp_path: Path) -> None:
    lines = run("doctor", "--tracking-uri", NOBODY, cwd=tmp_path, code=1).stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("fail  mlflow ")]
    assert lines[at + 1].strip() == "→ start the server, or correct --tracking-uri"


@pytest.mark.parametrize(
    ("values", "check", "state", "said"),
    [
        ({"endpoint": "https://westus.api.cognitive.microsoft.com"}, "domain", "fail", "no Microsoft Entra tokens"),
        ({"endpoint": "https://westus.api.cognitive.microsoft.com", "key": "k" * 32}, "region", "ok", "westus"),
        (
            {
                "endpoint": "https://clinic.cognitiveservices.azure.com",
                "recognition_host": "https://westus.stt.speech.microsoft.com",
            },
            "domain",
            "warn",
            "westus.stt.speech.microsoft.com does not take the tokens",
        ),
        ({"endpoint": "https://clinic.cognitiveservices.azure.com"}, "domain", "ok", "custom domain"),
        (
            {
                "endpoint": "https://westus.api.cognitive.microsoft.com",
                "key": "k" * 32,
                "recognition_host": "https://eastus.stt.speech.microsoft.com",
            },
            "region",
            "fail",
            "in westus and the recognition host in eastus",
        ),
    ],
)
def test_names_of_hosts_tell_domain_and_region(values: dict[str, str], check: str, state: str, said: str) -> None:
    found = by_check(checks_speech._domain(Settings.model_validate(values)))[check]
    assert (found.state, said in found.text) == (state, True)


def test_a_locale_that_cannot_be_trained_and_a_full_quota_are_named(emulator: RunningEmulator) -> None:
    settings = Settings(endpoint=emulator.url, key=emulator.key, locale="xx-XX")
    assert by_check(checks_speech.speech(settings))["locale"].state == "fail"


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "Cognitive Services Speech Contributor"), (400, "upgrade speech-mlflow"), (404, "Speech or Foundry")],
)
def test_what_the_service_refuses_with_tells_what_to_do(start_emulator: StartEmulator, status: int, said: str) -> None:
    service = start_emulator(faults=[Fault("status", path="/models/locales", times=None, status=status)])
    (found,) = checks_speech.speech(Settings(endpoint=service.url, key=service.key))
    assert found.state == "fail"
    assert said in (found.fix or "")


def test_a_database_of_an_older_mlflow_is_told_how_to_be_upgraded(mlflow_store: MlflowStore) -> None:
    with sqlite3.connect(mlflow_store.database) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    (found,) = run_checks([("mlflow", checks_mlflow.mlflow)], Settings(tracking_uri=mlflow_store.uri))
    assert found.state == "fail"
    assert "mlflow db upgrade" in (found.fix or "")


def test_a_deleted_experiment_and_a_registry_without_stages_are_named(mlflow_store: MlflowStore) -> None:
    client = mlflow_store.client
    client.delete_experiment(client.create_experiment("gone"))
    found = by_check(checks_mlflow.mlflow(Settings(tracking_uri=mlflow_store.uri, experiment="gone")))
    assert "experiments restore" in (found["experiment"].fix or "")
    settings = Settings(tracking_uri=mlflow_store.uri, registry_uri="databricks-uc")
    (found_trigger,) = checks_mlflow._trigger(client, settings)
    assert (found_trigger.state, found_trigger.fix) == ("fail", 'set trigger = "alias" in speech-mlflow.toml')


def add_webhook_of_another_key(path: Path) -> None:
    """What a server process leaves behind that encrypted with a key of its own."""
    from cryptography.fernet import Fernet

    secret = Fernet(Fernet.generate_key()).encrypt(b"hush").decode()
    wanted = {
        "webhook_id": "w-1",
        "name": "hook",
        "url": "https://example.org/hook",
        "status": "ACTIVE",
        "secret": secret,
        "creation_timestamp": 1,
        "last_updated_timestamp": 1,
        "workspace": "default",
    }
    with sqlite3.connect(path) as database:
        known = {row[1] for row in database.execute("PRAGMA table_info(webhooks)")}
        row = {name: value for name, value in wanted.items() if name in known}
        marks = ", ".join("?" for _ in row)
        database.execute(f"INSERT INTO webhooks ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    database.close()


def test_webhooks_whose_secrets_another_key_encrypted_are_a_fail(mlflow_store: MlflowStore) -> None:
    add_webhook_of_another_key(mlflow_store.database)
    found = by_check(checks_mlflow.mlflow(Settings(tracking_uri=mlflow_store.uri)))
    assert found["webhooks"].state == "fail"
    assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in (found["webhooks"].fix or "")


@pytest.mark.slow
def test_a_server_tells_its_version_and_whether_its_webhooks_can_be_read(mlflow_database: Path, tmp_path: Path) -> None:
    from mlflow import __version__

    with serve(mlflow_database, tmp_path / "server") as server:
        settings = Settings(tracking_uri=server.uri)
        found = by_check(checks_mlflow.mlflow(settings))
        assert {finding.state for finding in found.values()} == {"ok"}
        assert f"runs MLflow {__version__}" in found["mlflow"].text
        assert "before one with a secret is made" in found["webhooks"].text
        add_webhook_of_another_key(server.folder / "mlflow.db")
        webhooks = by_check(checks_mlflow.mlflow(settings))["webhooks"]
    assert webhooks.state == "fail"
    assert webhooks.text.startswith(f"{checks_mlflow.READS} of {checks_mlflow.READS} lists of webhooks failed")


def test_a_key_in_the_file_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "speech-mlflow.toml").write_text(f'key = "{CANARY}"\n')
    settings = Settings.load(environ={}, directory=tmp_path)
    (warned, _) = checks.settings_file(settings)
    assert warned.state == "warn"


def test_a_check_that_raises_or_hangs_is_a_finding_and_stops_no_other() -> None:
    never = threading.Event()

    def raises(settings: Settings) -> Iterable[Finding]:
        yield Finding("raises", "ok", "so far")
        raise OSError("disk on fire")

    def hangs(settings: Settings) -> Iterable[Finding]:
        never.wait()
        yield Finding("hangs", "ok", "at last")

    def works(settings: Settings) -> Iterable[Finding]:
        yield Finding("works", "ok", "fine")

    settings = Settings(key=SecretStr(CANARY))
    found = run_checks([("raises", raises), ("hangs", hangs), ("works", works)], settings, seconds=0.5)
    never.set()
    assert [(one.check, one.state) for one in found] == [
        ("raises", "ok"),
        ("raises", "fail"),
        ("hangs", "fail"),
        ("works", "ok"),
    ]
    assert found[1].text == "OSError: disk on fire"
    assert "no answer within" in found[2].text
