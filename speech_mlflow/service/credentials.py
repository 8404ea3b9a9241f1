"""What opens the speech service: a key, or a token of Microsoft Entra ID.

A credential makes the headers of one request and nothing else; to which hosts they may go is the transport's business.
A secret is wrapped in ``SecretStr`` as soon as it arrives and is taken out only while a request is being sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import SecretStr

from speech_mlflow.errors import AuthenticationError, ServiceError, SettingsError, TransportError

KEY_HEADER = "Ocp-Apim-Subscription-Key"
_HEADER_SAFE = re.compile(r"[!-~]+")
_REGIONAL = re.compile(r"[a-z0-9-]+\.api\.cognitive\.(microsoft\.com|microsoft\.us|azure\.us|azure\.cn)")
# by the suffix of the endpoint's host: each cloud has an audience of its own
_SCOPES = {
    ".azure.us": "https://cognitiveservices.azure.us/.default",
    ".azure.cn": "https://cognitiveservices.azure.cn/.default",
}
_PUBLIC_SCOPE = "https://cognitiveservices.azure.com/.default"


@runtime_checkable
class Credential(Protocol):
    """What the client needs to know of a credential."""

    def check_endpoint(self, endpoint: str) -> None:
        """Raise `SettingsError` where this kind of credential cannot work with ``endpoint``."""

    def headers(self) -> Mapping[str, str]:
        """The headers that open the service, made anew for each request."""

    def refresh(self, challenge: str | None) -> Mapping[str, str] | None:
        """The headers for another try after a 401 with that ``WWW-Authenticate``; None where that makes no sense."""


class AzureTokenCredential(Protocol):
    """The part of ``azure.core.credentials.TokenCredential`` that is used."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """An object with the token in ``token``."""


class KeyCredential:
    """A key of the speech resource."""

    def __init__(self, key: str | SecretStr) -> None:
        secret = key if isinstance(key, SecretStr) else SecretStr(key)
        # an illegal header value would be printed in full by the HTTP library, so it must not get that far
        if not _HEADER_SAFE.fullmatch(secret.get_secret_value()):
            raise SettingsError(
                "the key of the speech resource is empty or has blanks or characters that no key has",
                hint="copy KEY 1 or KEY 2 of the resource again, without line ends and quotes",
            )
        self._key = secret

    def __repr__(self) -> str:
        return "KeyCredential(**********)"

    def check_endpoint(self, endpoint: str) -> None:
        """A key works with every endpoint of its resource."""

    def headers(self) -> Mapping[str, str]:
        """The key's header."""
        return {KEY_HEADER: self._key.get_secret_value()}

    def refresh(self, challenge: str | None) -> None:
        """A key does not get better by being sent twice."""


class TokenCredential:
    """Tokens of Microsoft Entra ID, one asked for before each request (azure-identity keeps and renews them).

    ``credential`` is any credential of azure-identity; without it its default chain is used (environment, workload and
    managed identity, Azure CLI and so on). ``tenant_id`` chooses the tenant where the identity has several. The identity
    needs the role *Cognitive Services Speech Contributor*, and the resource a custom domain.
    """

    def __init__(
        self,
        credential: AzureTokenCredential | None = None,
        *,
        tenant_id: str | None = None,
        scope: str | None = None,
    ) -> None:
        self._credential = credential
        self._tenant_id = tenant_id
        self._scope = scope
        self._endpoint_scope = _PUBLIC_SCOPE

    def __repr__(self) -> str:
        return f"TokenCredential(tenant_id={self._tenant_id!r}, scope={self._scope or self._endpoint_scope!r})"

    def check_endpoint(self, endpoint: str) -> None:
        """Refuse a regional endpoint: it takes keys only. Chooses the audience of the endpoint's cloud, too."""
        host = (urlsplit(endpoint).hostname or "").lower()
        if _REGIONAL.fullmatch(host):
            raise SettingsError(
                f"{host} is a regional endpoint, which takes keys but no Microsoft Entra tokens",
                hint="give the speech resource a custom domain (Azure portal: Networking, Generate custom domain name; "
                "this cannot be undone) and use https://NAME.cognitiveservices.azure.com, or use a key",
            )
        for suffix, scope in _SCOPES.items():
            if host.endswith(suffix):
                self._endpoint_scope = scope

    def headers(self) -> Mapping[str, str]:
        """A bearer token. Raises `AuthenticationError` where none is to be had, `TransportError` where nobody answered."""
        return self._bearer(None)

    def refresh(self, challenge: str | None) -> Mapping[str, str]:
        """A token with the claims that the challenge names. They make azure-identity pass by its cache, and keep the new token
        there; so they are asked for this once, not with each token from then on."""
        return self._bearer(_claims_of(challenge))

    def _bearer(self, claims: str | None) -> Mapping[str, str]:
        options = {name: value for name, value in (("tenant_id", self._tenant_id), ("claims", claims)) if value}
        try:
            token = str(self._source().get_token(self._scope or self._endpoint_scope, **options).token)
        except Exception as error:
            raise _no_token(error) from None
        if not _HEADER_SAFE.fullmatch(token):
            raise AuthenticationError("the identity gave an empty or malformed token", status=401, code="NoToken")
        return {"Authorization": f"Bearer {token}"}

    def _source(self) -> AzureTokenCredential:
        if self._credential is None:
            from azure.identity import DefaultAzureCredential  # takes half a second to import, and is often not needed

            tenants = [self._tenant_id] if self._tenant_id else []
            self._credential = DefaultAzureCredential(additionally_allowed_tenants=tenants)
        return self._credential


def as_credential(credential: Credential | AzureTokenCredential | SecretStr | str) -> Credential:
    """A credential of ours from one of ours, from a bare key, or from any credential of azure-identity."""
    if isinstance(credential, Credential):
        return credential
    if isinstance(credential, str | SecretStr):
        return KeyCredential(credential)
    if callable(getattr(credential, "get_token", None)):
        return TokenCredential(credential)
    raise SettingsError(
        f"a {type(credential).__name__} is no credential",
        hint="give a key, a KeyCredential, a TokenCredential or a credential of azure-identity",
    )


def _no_token(error: Exception) -> ServiceError:
    """What went wrong inside azure-identity, in its first line: the rest is a report on every member of the chain."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return TransportError(f"Microsoft Entra ID cannot be reached: {lines[0][:300]}", hint="check the network")
    return AuthenticationError(
        f"no Microsoft Entra token: {lines[0][:300]}",
        status=401,
        code="NoToken",
        hint="sign in (az login), or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, or use a key",
    )


def _claims_of(challenge: str | None) -> str | None:
    """The claims of a ``WWW-Authenticate: Bearer ... claims="<base64>"`` (continuous access evaluation)."""
    import base64
    import binascii

    found = re.search(r'\bclaims="([^"]+)"', challenge or "")
    if not found:
        return None
    text = found.group(1)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
