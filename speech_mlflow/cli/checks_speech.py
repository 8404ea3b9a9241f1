"""What ``doctor`` looks at in the speech resource: reachable, key or role, custom domain, region, API version, locale, quota."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from speech_mlflow.cli.checks import Finding, cannot_connect, writable
from speech_mlflow.errors import ApiError, AuthenticationError, BadRequestError, PermissionDeniedError, ServiceError
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from speech_mlflow.service import SpeechClient

REGIONAL = re.compile(r"([a-z0-9-]+)\.api\.cognitive\.(microsoft\.com|microsoft\.us|azure\.us|azure\.cn)")
STT = re.compile(r"([a-z0-9-]+)\.stt\.speech\.(microsoft\.com|azure\.us|azure\.cn)")
CUSTOM = re.compile(r"[a-z0-9-]+\.cognitiveservices\.azure\.(com|us|cn)")
QUOTAS = {"endpoints": 50, "datasets": 500}
"""What a resource of tier S0 may hold; F0 has 1 endpoint and 2 data sets. (Speech service quotas and limits, January 2026.)"""


def speech(settings: Settings) -> Iterable[Finding]:
    """The speech resource of the settings, or the offline service."""
    if settings.endpoint is None:
        yield from _offline(settings)
        return
    yield from _domain(settings)
    if reason := cannot_connect(settings.endpoint):
        fix = "see that the endpoint is that of the Azure portal (Keys and Endpoint), and that its network rules let you in"
        yield Finding("speech", "fail", f"{settings.endpoint} cannot be reached: {reason}", fix)
        return
    from speech_mlflow.connection import connect

    with _open(connect, settings) as client:
        yield from _resource(client, settings)


def _offline(settings: Settings) -> Iterable[Finding]:
    from speech_mlflow.emulator.engine import engines
    from speech_mlflow.emulator.process import find
    from speech_mlflow.service import KeyCredential, SpeechClient

    if not writable(settings.state_dir):
        fix = "give a folder that you may write to with --state-dir"
        yield Finding("speech", "fail", f"the offline service cannot write its state to {settings.state_dir}", fix)
        return
    names = sorted(engines())
    if not names:
        yield Finding("speech", "fail", "the offline service has no recogniser", "pip install pocketsphinx")
    address = find(settings.state_dir)
    if address is None:
        yield Finding("speech", "ok", f"the offline service ({', '.join(names)}) starts by itself when it is first needed")
        return
    with SpeechClient(address.url, KeyCredential(address.key), resource=address.resource) as client:
        yield from _resource(client, settings)


def _domain(settings: Settings) -> Iterable[Finding]:
    """What the names of the hosts tell: a custom domain, the region, and whether both hosts belong together."""
    host = urlsplit(settings.endpoint or "").hostname or ""
    regional = REGIONAL.fullmatch(host)
    by_key = settings.key is not None
    fix = "Azure portal: Networking, Generate custom domain name (it cannot be undone); then https://NAME.cognitiveservices.azure.com"
    if regional and not by_key:
        yield Finding("domain", "fail", f"{host} takes no Microsoft Entra tokens, only keys", fix)
    elif regional:
        yield Finding("domain", "ok", f"{host} takes keys only; Microsoft Entra ID needs a custom domain")
    elif CUSTOM.fullmatch(host):
        yield Finding("domain", "ok", f"{host} is a custom domain")
    recognition = urlsplit(settings.recognition_host or "").hostname or ""
    spoken = STT.fullmatch(recognition)
    if spoken and not by_key:
        text = f"{recognition} does not take the tokens of Microsoft Entra ID that the endpoint takes, only keys"
        yield Finding("domain", "warn", text, f"leave recognition_host out: recordings then go to {host}/stt")
    if regional and spoken and regional[1] != spoken[1]:
        text = f"the resource is in {regional[1]} and the recognition host in {spoken[1]}"
        yield Finding("region", "fail", text, f"set recognition_host to https://{regional[1]}.stt.speech.{spoken[2]}")
    elif regional or spoken:
        yield Finding("region", "ok", (regional or spoken)[1])  # type: ignore[index]
    elif CUSTOM.fullmatch(host):
        fix = "set recognition_host = https://REGION.stt.speech.microsoft.com if recognition answers 404"
        yield Finding("region", "ok", f"not told by the endpoint: recordings go to {host}/stt ({fix})")


@contextmanager
def _open(connect: object, settings: Settings) -> Iterator[SpeechClient]:
    assert callable(connect)
    with connect(settings) as client:
        yield client


def _resource(client: SpeechClient, settings: Settings) -> Iterable[Finding]:
    """What the service answers: the first request tells reachable, credential and API version apart."""
    from speech_mlflow.service.entities import API_VERSION

    where = client.resource
    try:
        locales = client.models.locales()
    except AuthenticationError as error:
        fix = "copy KEY 1 or KEY 2 from the Azure portal (Keys and Endpoint) into SPEECH_MLFLOW_KEY, or sign in with `az login`"
        yield Finding("speech", "fail", f"{where} does not accept the key or token: {_short(error)}", fix)
        return
    except PermissionDeniedError as error:
        fix = "give the identity the role Cognitive Services Speech Contributor, and see the resource's network rules"
        yield Finding("speech", "fail", f"{where} refuses: {_short(error)}", fix)
        return
    except BadRequestError as error:
        yield Finding(
            "speech", "fail", f"{where} does not take API version {API_VERSION}: {_short(error)}", "upgrade speech-mlflow"
        )
        return
    except ApiError as error:
        fix = error.hint or "see that the endpoint is a Speech or Foundry resource"
        yield Finding("speech", "fail", f"{where} answers {error.status}: {_short(error)}", fix)
        return
    except ServiceError as error:
        yield Finding("speech", "fail", f"{where}: {_short(error)}", error.hint or "see the network, proxies included")
        return
    yield Finding("speech", "ok", f"{where} accepts the credential and API version {API_VERSION}")
    if settings.locale in locales:
        yield Finding("locale", "ok", f"{settings.locale} can be trained")
    else:
        yield Finding(
            "locale", "fail", f"{settings.locale} cannot be trained there", f"one of: {', '.join(sorted(locales)[:12])}"
        )
    yield from _quota(client)


def _quota(client: SpeechClient) -> Iterable[Finding]:
    """How much of what a resource may hold is used; the service has no call that tells its tier."""
    used = {"endpoints": sum(1 for _ in client.endpoints.list()), "datasets": sum(1 for _ in client.datasets.list())}
    text = ", ".join(f"{used[kind]} of {limit} {kind}" for kind, limit in QUOTAS.items())
    full = [kind for kind, limit in QUOTAS.items() if used[kind] >= 0.9 * limit]
    if full:
        yield Finding(
            "quota", "warn", f"{text} (tier S0)", f"delete {' and '.join(full)} that nobody needs, or ask Azure for more"
        )
    else:
        yield Finding("quota", "ok", f"{text} (tier S0; F0 has 1 endpoint and 2 data sets)")


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
