"""Keys and tokens: what is sent, when a token is renewed, what is refused and explained."""

from __future__ import annotations

import base64
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from pydantic import SecretStr

from speech_mlflow.errors import AuthenticationError, SettingsError, TransportError
from speech_mlflow.service import KeyCredential, SpeechClient, TokenCredential
from speech_mlflow.service.entities import Dataset
from tests.service.conftest import JumpingClock
from tests.service.scripted import Reply, Request, ScriptedServer

ID = "11111111-2222-3333-4444-555555555555"


@dataclass
class Token:
    token: str


@dataclass
class Identity:
    """Gives a new token each time and remembers what it was asked for."""

    asked: list[tuple[tuple[str, ...], dict[str, Any]]] = field(default_factory=list)

    def get_token(self, *scopes: str, **options: Any) -> Token:
        self.asked.append((scopes, options))
        return Token(f"token-{len(self.asked)}")


def project(server: ScriptedServer) -> Reply:
    return Reply(200, {"self": server.api(f"/projects/{ID}"), "displayName": "p", "locale": "en-US"})


def test_a_key_is_sent_in_its_header(server: ScriptedServer) -> None:
    server.script(project(server))
    for credential in (KeyCredential("my-key"), KeyCredential(SecretStr("my-key")), "my-key", SecretStr("my-key")):
        with SpeechClient(server.url, credential) as speech:
            speech.projects.get(ID)
    assert [request.headers["ocp-apim-subscription-key"] for request in server.requests] == ["my-key"] * 4


@pytest.mark.parametrize("key", ["", "with space", "line\n", "tab\tkey", "schlüssel", "quote\x00"])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="the key of the speech resource") as caught:
        KeyCredential(key)
    assert not key or key not in str(caught.value) + str(caught.value.hint)


def test_a_token_is_asked_for_before_each_request(server: ScriptedServer) -> None:
    identity = Identity()
    server.script(project(server))
    with SpeechClient(server.url, identity) as speech:
        speech.projects.get(ID)
        speech.projects.get(ID)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]
    assert identity.asked[0] == (("https://cognitiveservices.azure.com/.default",), {})
    assert "ocp-apim-subscription-key" not in server.requests[0].headers


def test_a_tenant_is_passed_on(server: ScriptedServer) -> None:
    identity = Identity()
    server.script(project(server))
    with SpeechClient(server.url, TokenCredential(identity, tenant_id="my-tenant")) as speech:
        speech.projects.get(ID)
    assert identity.asked[0][1] == {"tenant_id": "my-tenant"}


def test_a_token_is_renewed_once_after_a_401(server: ScriptedServer) -> None:
    claims = '{"access_token": {"nbf": {"essential": true}}}'
    challenge = f'Bearer realm="", claims="{base64.b64encode(claims.encode()).decode()}"'
    identity = Identity()
    server.script(Reply(401, None, {"WWW-Authenticate": challenge}), project(server))
    with SpeechClient(server.url, identity) as speech:
        assert speech.projects.get(ID).display_name == "p"
        speech.projects.get(ID)
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer token-{n}" for n in (1, 2, 3)]
    # asked for each time, the claims would have a token made anew for every request
    assert [options for _, options in identity.asked] == [{}, {"claims": claims}, {}]


def test_a_token_that_stays_refused_is_an_error(server: ScriptedServer) -> None:
    server.script(Reply(401, {"error": {"code": "401", "message": "no"}}))
    with SpeechClient(server.url, Identity()) as speech, pytest.raises(AuthenticationError, match="no"):
        speech.projects.get(ID)
    assert len(server.requests) == 2


def test_a_body_is_sent_again_with_the_new_token(server: ScriptedServer) -> None:
    server.script(Reply(401), Reply(201))
    with SpeechClient(server.url, Identity()) as speech:
        speech.datasets.put_block(ID, "AAA=", b"x" * 700_000)
    assert [request.body for request in server.requests] == [b"x" * 700_000] * 2


def test_a_key_is_not_sent_twice(server: ScriptedServer) -> None:
    server.script(Reply(401, {"error": {"code": "401", "message": "Access denied"}}))
    with SpeechClient(server.url, "wrong") as speech, pytest.raises(AuthenticationError) as caught:
        speech.projects.get(ID)
    assert len(server.requests) == 1
    assert "key belongs to this endpoint" in str(caught.value.hint)


@pytest.mark.parametrize("cloud", ["microsoft.com", "azure.cn", "azure.us"])
def test_a_regional_endpoint_takes_no_token_and_the_way_out_is_named(cloud: str) -> None:
    with pytest.raises(SettingsError, match="takes keys but no Microsoft Entra tokens") as caught:
        SpeechClient(f"https://westus.api.cognitive.{cloud}", TokenCredential(Identity()))
    assert "custom domain" in str(caught.value.hint)
    with SpeechClient(f"https://westus.api.cognitive.{cloud}", "a-key"):
        pass


@pytest.mark.parametrize(
    ("endpoint", "scope"),
    [
        ("https://name.cognitiveservices.azure.com", "https://cognitiveservices.azure.com/.default"),
        ("https://name.cognitiveservices.azure.us", "https://cognitiveservices.azure.us/.default"),
        ("https://name.cognitiveservices.azure.cn", "https://cognitiveservices.azure.cn/.default"),
    ],
)
def test_each_cloud_has_an_audience_of_its_own(endpoint: str, scope: str) -> None:
    identity = Identity()
    credential = TokenCredential(identity)
    credential.check_endpoint(endpoint)
    credential.headers()
    assert identity.asked[0][0] == (scope,)


def test_an_identity_that_gives_no_token_is_explained(server: ScriptedServer) -> None:
    class Broken:
        def get_token(self, *scopes: str, **options: Any) -> Token:
            raise RuntimeError("EnvironmentCredential: not configured\nand forty lines more")

    with SpeechClient(server.url, Broken()) as speech, pytest.raises(AuthenticationError) as caught:
        speech.projects.get(ID)
    assert "EnvironmentCredential: not configured" in str(caught.value)
    assert "forty lines" not in str(caught.value)
    assert "az login" in str(caught.value.hint)
    assert server.requests == []


def test_an_outage_of_the_sign_in_is_survived(server: ScriptedServer, clock: JumpingClock) -> None:
    class Away(Identity):
        def get_token(self, *scopes: str, **options: Any) -> Token:
            token = super().get_token(*scopes, **options)
            if clock.monotonic() < 300:
                raise ServiceRequestError("login.microsoftonline.com: Name or service not known")
            return token

    server.script(Reply(200, {"self": server.api(f"/datasets/{ID}"), "status": "Succeeded"}))
    with SpeechClient(server.url, Away(), timing=clock.timing()) as speech:
        with pytest.raises(TransportError, match="Entra ID cannot be reached: login"):
            speech.datasets.create(kind="Language", display_name="d", locale="en-US")
        assert server.requests == []
        waiting = Dataset.model_validate({"self": server.api(f"/datasets/{ID}"), "status": "Running"})
        assert speech.wait(waiting).status == "Succeeded"
    assert clock.monotonic() > 300


def test_a_malformed_token_never_reaches_the_wire(server: ScriptedServer) -> None:
    class Odd:
        def get_token(self, *scopes: str, **options: Any) -> Token:
            return Token("canary\r\nX-Injected: 1")

    with SpeechClient(server.url, Odd()) as speech, pytest.raises(AuthenticationError) as caught:
        speech.projects.get(ID)
    assert "canary" not in str(caught.value)
    assert server.requests == []


def test_the_default_chain_of_azure_identity_is_used_and_loaded_only_when_a_token_is_needed() -> None:
    program = (
        "import sys, os\n"
        "os.environ['AZURE_TOKEN_CREDENTIALS'] = 'dev'\n"
        "from speech_mlflow.service import SpeechClient, TokenCredential\n"
        "credential = TokenCredential(tenant_id='my-tenant')\n"
        "SpeechClient('https://name.cognitiveservices.azure.com', credential).close()\n"
        "assert 'azure.identity' not in sys.modules\n"
        "from azure.identity import DefaultAzureCredential\n"
        "assert isinstance(credential._source(), DefaultAzureCredential)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)


def test_what_is_no_credential_is_refused() -> None:
    with pytest.raises(SettingsError, match="a int is no credential"):
        SpeechClient("https://name.cognitiveservices.azure.com", 7)  # type: ignore[arg-type]


def test_the_request_is_what_the_service_wants(server: ScriptedServer) -> None:
    server.script(project(server))
    with SpeechClient(server.url, "my-key") as speech:
        speech.projects.get(ID)
    request: Request = server.requests[0]
    assert request.path == f"/speechtotext/projects/{ID}"
    assert request.query == {"api-version": "2025-10-15"}
    assert request.headers["user-agent"].startswith("speech-mlflow/")
