"""``mlflow server --app-name speech-mlflow``: real servers, real clients. They start slowly, so the tests are marked slow."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import SecretStr

from speech_mlflow.promotion.listening import listening
from speech_mlflow.promotion.receiver import Receiver
from speech_mlflow.tracking import tags
from speech_mlflow.workflow.testing import test as run_test
from speech_mlflow.workflow.training import train
from tests.fixtures.mlflow_server import MlflowServer, free_port, serve
from tests.promotion.conftest import service
from tests.promotion.test_receiver import Told
from tests.promotion.world import Service
from tests.waiting import until

__all__ = ["service"]

pytestmark = pytest.mark.slow

SECRET = "a secret of the server"
TARGETS = """
[targets.clinic]
test_dataset = "calls"
max_wer = 0.3

[targets.aliased]
trigger = "alias"
max_wer = 0.3

[targets.tagged]
trigger = "tag"
max_wer = 0.3

[targets.refused]
max_wer = 0.3
"""
AUTH = {
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of the test",
    "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "a long password 1234",
}


@dataclass
class Guarded:
    """A server with our app, and who is woken by it."""

    server: MlflowServer
    told: Told

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.server.uri, self.server.uri)

    def post(self, path: str, method: str = "POST", **body: str) -> httpx.Response:
        """As the pages do it, without MLflow's client."""
        return httpx.request(method, f"{self.server.uri}/ajax-api/2.0/mlflow/{path}", json=body, trust_env=False)

    def stage(self, name: str, version: str = "1") -> str:
        return str(self.client.get_model_version(name, version).current_stage)

    @property
    def log(self) -> str:
        return (self.server.folder / "server.log").read_text()


def register(client: MlflowClient, *names: str, **more: str) -> None:
    for name in names:
        client.create_registered_model(name, tags={tags.UID: name, tags.LOCALE: "en-US", **more})
        for number in (1, 2):
            client.create_model_version(name, source=f"azure-speech://models/{number}", tags={tags.MODEL_ID: f"{name}{number}"})


def move(client: MlflowClient, name: str, version: str = "1", stage: str = "Production") -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        client.transition_model_version_stage(name, version, stage)


@pytest.fixture(scope="module")
def guarded(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with two workers, whose receiver is this process."""
    folder, told = tmp_path_factory.mktemp("guarded"), Told()
    (folder / "speech-mlflow.toml").write_text(TARGETS)
    with listening(Receiver(told, [SecretStr(SECRET)]).app(), "127.0.0.1:0") as url:
        environment = {"SPEECH_MLFLOW_RECEIVER_URL": url, "SPEECH_MLFLOW_RECEIVER_SECRET": SECRET}
        with serve(mlflow_database, folder, "--app-name", "speech-mlflow", workers=2, environment=environment) as server:
            made = Guarded(server, told)
            register(made.client, "clinic", "aliased", "tagged", "free", "refused", "told")
            yield made
    assert SECRET not in made.log


def test_a_move_without_evidence_is_refused_with_the_reason(guarded: Guarded) -> None:
    started = time.monotonic()
    with pytest.raises(MlflowException, match="version 1 was not tested on calls") as raised:
        move(guarded.client, "clinic")
    assert time.monotonic() - started < 90  # a refusal is not tried again: MLflow's client does so for four minutes
    assert raised.value.error_code == "BAD_REQUEST"
    assert guarded.stage("clinic") == "None"


def test_the_pages_and_old_clients_are_refused_too(guarded: Guarded) -> None:
    for stage in ("Production", "production"):
        for _ in range(4):  # whichever worker answers
            answer = guarded.post("model-versions/transition-stage", name="clinic", version="1", stage=stage)
            assert answer.status_code == 400
            assert "no word error rate of version 1 is known" in answer.json()["message"]
            assert answer.json()["error_code"] == "BAD_REQUEST"
    twice = '"{\\"name\\": \\"clinic\\", \\"version\\": \\"1\\", \\"stage\\": \\"Production\\"}"'
    url = f"{guarded.server.uri}/api/2.0/mlflow/model-versions/transition-stage"
    answer = httpx.post(url, content=twice, headers={"Content-Type": "application/json"}, trust_env=False)
    assert answer.status_code == 400
    assert guarded.stage("clinic") == "None"


def test_the_alias_is_guarded_where_it_deploys(guarded: Guarded) -> None:
    with pytest.raises(MlflowException, match="gate max_wer"):
        guarded.client.set_registered_model_alias("aliased", "production", "1")
    assert guarded.client.get_registered_model("aliased").aliases == {}
    guarded.client.set_registered_model_alias("aliased", "champion", "1")
    guarded.client.set_registered_model_alias("clinic", "production", "1")


def test_the_tag_is_guarded_where_it_deploys(guarded: Guarded) -> None:
    with pytest.raises(MlflowException, match="gate max_wer"):
        guarded.client.set_registered_model_tag("tagged", tags.PRODUCTION, "1")
    assert tags.PRODUCTION not in guarded.client.get_registered_model("tagged").tags
    guarded.client.set_registered_model_tag("tagged", "note", "1")
    guarded.client.set_registered_model_tag("clinic", tags.PRODUCTION, "1")


def test_what_is_not_to_be_guarded_passes_and_mlflows_own_answers_stay(guarded: Guarded) -> None:
    move(guarded.client, "free")
    move(guarded.client, "clinic", stage="Staging")
    assert (guarded.stage("free"), guarded.stage("clinic")) == ("Production", "Staging")
    assert guarded.post("model-versions/transition-stage", name="nobody", version="1", stage="Production").status_code == 404
    assert guarded.post("model-versions/transition-stage", name="clinic", version="1", stage="Heaven").status_code == 400
    assert guarded.post("model-versions/transition-stage").status_code == 400
    assert httpx.get(f"{guarded.server.uri}/health", trust_env=False).text == "OK"


def test_an_override_passes(guarded: Guarded) -> None:
    guarded.client.set_model_version_tag("clinic", "2", "speech.override", "new microphones (by ann)")
    move(guarded.client, "clinic", "2")
    assert guarded.stage("clinic", "2") == "Production"


def test_the_controller_is_woken_by_what_happened_and_not_by_what_was_refused(guarded: Guarded) -> None:
    client, heard = guarded.client, guarded.told.woken
    for _ in range(4):  # whichever worker answers
        answer = guarded.post("model-versions/transition-stage", name="refused", version="1", stage="Production")
        assert answer.status_code == 400
    client.set_registered_model_tag("refused", "note", "x")
    changes: list[Callable[[], object]] = [
        lambda: move(client, "told", stage="Staging"),
        lambda: client.set_registered_model_alias("told", "champion", "2"),
        lambda: client.delete_registered_model_alias("told", "champion"),
        lambda: client.set_registered_model_tag("told", tags.PRODUCTION, "2"),
        lambda: client.delete_registered_model_tag("told", tags.PRODUCTION),
    ]
    for count, change in enumerate(changes, 1):
        change()
        until(lambda count=count: heard.count("told") >= count)  # type: ignore[misc]
    assert "refused" not in heard


def test_settings_are_read_anew_and_a_broken_file_lets_pass(guarded: Guarded) -> None:
    file = guarded.server.folder / "speech-mlflow.toml"
    try:
        file.write_text("[targets.clinic]\nmax_wer = 'a lot'\n")
        move(guarded.client, "clinic", "1")
        assert "lets the move pass" in guarded.log
        move(guarded.client, "clinic", "1", stage="Archived")
        file.write_text("guard = false\n" + TARGETS)
        move(guarded.client, "clinic", "1")
        move(guarded.client, "clinic", "1", stage="Archived")
    finally:
        file.write_text(TARGETS)
    with pytest.raises(MlflowException, match="not moved to Production"):
        move(guarded.client, "clinic", "1")


def test_measured_evidence_decides(guarded: Guarded, service: Service, tmp_path: Path) -> None:
    """Tested through this server, whose artifacts it holds itself: the utterances are compared by the guard, too."""
    from tests.emulator.tone_plugin.tone_engine import speak

    where = {"tracking_uri": guarded.server.uri}
    folder = tmp_path / "calls"
    folder.mkdir()
    lines = [f"c{number:02}.wav\tplease call aspirin {('one', 'two', 'three')[number % 3]}\n" for number in range(12)]
    for line in lines:
        name, _, sentence = line.strip().partition("\t")
        (folder / name).write_bytes(speak(sentence))
    (folder / "trans.txt").write_text("".join(lines), "utf-8-sig")
    with service.connect() as speech:
        for word in ("aspirin", "ibuprofen"):
            text = tmp_path / f"{word}.txt"
            text.write_text(f"please call {word}\nstop the {word}\n", "utf-8-sig")
            train(speech, name=word, data=[text], registered_model="pharmacy", **where)
        for version in ("1", "2"):
            run_test(speech, data=folder, models=["base", f"pharmacy/{version}"], **where)
    file = guarded.server.folder / "speech-mlflow.toml"
    file.write_text('[targets.pharmacy]\ntest_dataset = "calls"\nmax_wer = 0.2\n' + TARGETS)
    move(guarded.client, "pharmacy", "1")
    with pytest.raises(MlflowException, match=r"WER 25\.00% on calls, at most 20\.00%"):
        move(guarded.client, "pharmacy", "2")
    file.write_text('[targets.pharmacy]\ntest_dataset = "calls"\n' + TARGETS)
    guarded.client.set_registered_model_tag("pharmacy", tags.SERVED_VERSION, "1")
    with pytest.raises(MlflowException, match="version 2 is worse than version 1 on calls"):
        move(guarded.client, "pharmacy", "2")
    assert guarded.stage("pharmacy", "2") == "None"
    file.write_text(TARGETS)


def test_a_receiver_that_is_not_there_and_wrong_settings_break_no_server(mlflow_database: Path, tmp_path: Path) -> None:
    environment = {
        "SPEECH_MLFLOW_RECEIVER_URL": f"http://127.0.0.1:{free_port()}",
        "SPEECH_MLFLOW_RECEIVER_SECRET": SECRET,
        "SPEECH_MLFLOW_POLL_SECONDS": "often",
    }
    with serve(mlflow_database, tmp_path / "server", "--app-name", "speech-mlflow", environment=environment) as server:
        made = Guarded(server, Told())
        register(made.client, "clinic")
        move(made.client, "clinic")
        assert made.stage("clinic") == "Production"
        assert "will not be woken" in made.log


def test_under_gunicorn_a_move_is_guarded_as_well(mlflow_database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "speech-mlflow.toml").write_text(TARGETS)
    with serve(mlflow_database, folder, "--app-name", "speech-mlflow", "--gunicorn-opts", "--timeout 60") as server:
        made = Guarded(server, Told())
        register(made.client, "clinic")
        with pytest.raises(MlflowException, match="not tested on calls"):
            move(made.client, "clinic")


def test_stacked_on_basic_auth_who_may_not_is_told_so_first(
    mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flask_wtf", reason="MLflow's basic auth is not installed: mlflow[auth]")
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "speech-mlflow.toml").write_text(TARGETS)
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///auth.db\nadmin_username = admin\n"
        f"admin_password = {AUTH['MLFLOW_AUTH_ADMIN_PASSWORD']}\nauthorization_function = "
        "mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {**AUTH, "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini")}
    with serve(mlflow_database, folder, "--app-name", "speech-mlflow-basic-auth", environment=environment) as server:
        asked: dict[str, Any] = {"json": {"name": "clinic", "version": "1", "stage": "Production"}, "trust_env": False}
        url = f"{server.uri}/api/2.0/mlflow/model-versions/transition-stage"
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", AUTH["MLFLOW_AUTH_ADMIN_USERNAME"])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", AUTH["MLFLOW_AUTH_ADMIN_PASSWORD"])
        register(MlflowClient(server.uri, server.uri), "clinic")
        assert httpx.post(url, **asked).status_code == 401
        refused = httpx.post(url, **asked, auth=("admin", AUTH["MLFLOW_AUTH_ADMIN_PASSWORD"]))
        assert refused.status_code == 400
        assert "not tested on calls" in refused.json()["message"]
