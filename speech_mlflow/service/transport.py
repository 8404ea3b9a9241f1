"""One request to the service and its answer. The only module that knows httpx.

What it guarantees: the credential goes to the endpoint and to the recognition host and nowhere else; no redirect is
followed; links that the service names are its own or refused; nothing secret is logged (of a URL only its path and
``api-version``, of headers none), and no exception carries a request of httpx.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import httpx

from speech_mlflow.errors import ApiError, ForeignLinkError, SettingsError, TransportError
from speech_mlflow.service.answers import Answer, error_of
from speech_mlflow.service.credentials import Credential
from speech_mlflow.service.entities import API_VERSION
from speech_mlflow.service.records import without_signatures
from speech_mlflow.service.retry import (
    DEADLINE,
    TABLE,
    Action,
    CallFailed,
    Failure,
    Safety,
    Timing,
    call_with_retries,
    failure_of_status,
    retry_after_seconds,
)

log = logging.getLogger("speech_mlflow.service")

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 60.0
WRITE_TIMEOUT = 600.0
POOL_TIMEOUT = 5.0
CONNECTIONS = 16
KEEP_ALIVE = 3.0  # seconds idle; servers close after 5 and more, and a create must not run into that
ANSWER_MAX = 64 * 2**20  # bytes of an answer that is held in memory
URL_MAX = 64 * 2**10  # characters, of which the HTTP library makes no URL
ERROR_MAX = 64 * 2**10  # bytes of an error that are read; a page of an angry proxy may be much longer
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


class OutcomeUnknown(Exception):
    """A request that must not be sent twice may have been carried out. Never leaves the client."""

    def __init__(self, error: ApiError | TransportError) -> None:
        super().__init__(str(error))
        self.error = error


class _QuietURL(httpx.URL):
    """A URL that shows its path and ``api-version`` only, since httpx logs URLs and theirs may hold signatures."""

    def __str__(self) -> str:
        return quiet(super().__str__())

    __repr__ = __str__


class _Authorization(httpx.Auth):
    """The credential, put on one request on its way out; once more after a 401, if it can be renewed."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self._credential.headers())
        response = yield request
        fresh = self._credential.refresh(response.headers.get("www-authenticate")) if response.status_code == 401 else None
        if fresh is not None:
            request.headers.update(fresh)
            yield request


class Body:
    """Bytes to send, in slices: httpcore copies what a socket did not take, so long ones cost their square.

    ``before_slice`` is called before each slice with its start and length, to count progress or to raise; sending again begins
    at 0 again.
    """

    SLICE = 256 * 2**10

    def __init__(self, content: bytes | bytearray | memoryview, before_slice: Callable[[int, int], None] | None = None) -> None:
        self._content = memoryview(content)
        self._before_slice = before_slice

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Generator[bytes, None, None]:
        for start in range(0, len(self._content), self.SLICE):
            piece = self._content[start : start + self.SLICE]
            if self._before_slice:
                self._before_slice(start, len(piece))
            yield bytes(piece)


class Transport:
    """Sends requests to one speech resource, again where that is safe, and reads the answers."""

    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        *,
        recognition_host: str | None = None,
        transport: httpx.BaseTransport | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.endpoint = base_url(endpoint, "the endpoint", drop="/speechtotext")
        credential.check_endpoint(self.endpoint)
        self.recognition_host = base_url(recognition_host or recognition_host_of(self.endpoint), "the recognition host")
        self.timing = timing or Timing()
        self._authorization = _Authorization(credential)
        try:
            self._client = httpx.Client(
                transport=transport,
                verify=_ssl_context(),
                follow_redirects=False,
                trust_env=not is_loopback(self.endpoint),  # a proxy of the environment has no business with this machine's own
                limits=httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            hint = "look at HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; NO_PROXY names hosts that need none"
            raise SettingsError(f"the proxy that the environment names cannot be used: {error}", hint=hint) from None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    # -- requests -------------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | Body | None = None,
        headers: Mapping[str, str] | None = None,
        safety: Safety | None = None,
        deadline: float = DEADLINE,
        on_recognition_host: bool = False,
    ) -> Answer:
        """Send one request and return its answer, a success.

        ``path`` begins after ``/speechtotext``, or is a link of the service's own (see `own_path`). ``safety`` is ONCE for
        POST and REPEATABLE for anything else where it is not given. Raises `ApiError`, `TransportError`,
        `ForeignLinkError`; `OutcomeUnknown` where a request that may not be repeated may have been carried out.
        """
        safety = safety or (Safety.ONCE if method == "POST" else Safety.REPEATABLE)
        url = _url(self.recognition_host + path if on_recognition_host else self.url(path), params, on_recognition_host)
        send_headers = {"Accept": "application/json", "User-Agent": _user_agent(), **(headers or {})}

        def send(seconds: float) -> Answer:
            return self._try(method, url, json, content, send_headers, seconds)

        try:
            return call_with_retries(send, safety, self.timing, deadline=deadline)
        except CallFailed as failed:
            if TABLE[failed.failure][safety] is Action.LOOK_FIRST:
                raise OutcomeUnknown(failed.error) from None  # type: ignore[arg-type]
            raise failed.error from None

    def fetch(self, url: str, write: Callable[[bytes], Any], *, restart: Callable[[], Any]) -> None:
        """Read a file of the service's from storage, without any credential; ``url`` carries its own permission.

        ``write`` gets the bytes as they come; ``restart`` is called before each try, to forget what came before.
        """
        self._check_storage_link(url)

        def send(seconds: float) -> None:
            restart()
            request = _request("GET", httpx.URL(url), {"User-Agent": _user_agent()}, None, None, seconds)
            for chunk in self._exchange(request, None, seconds=None):
                if isinstance(chunk, bytes):
                    write(chunk)

        try:
            call_with_retries(send, Safety.REPEATABLE, self.timing, deadline=WRITE_TIMEOUT)
        except CallFailed as failed:
            raise failed.error from None

    def _try(
        self,
        method: str,
        url: httpx.URL,
        json: Any,
        content: bytes | Body | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Answer:
        request = _request(method, url, headers, json, content, seconds)
        body = bytearray()
        answer: Answer | None = None
        for part in self._exchange(request, self._authorization, seconds=seconds):
            if isinstance(part, Answer):
                answer = part
            else:
                body += part
                if len(body) > ANSWER_MAX:
                    raise CallFailed(TransportError(f"the answer is longer than {ANSWER_MAX} bytes"), Failure.REFUSED)
        assert answer is not None
        return Answer(answer.status, answer.headers, bytes(body), answer.retry_after)

    def _exchange(
        self, request: httpx.Request, auth: httpx.Auth | None, *, seconds: float | None
    ) -> Generator[Answer | bytes, None, None]:
        """Send ``request``; yield the answer without its body and then the body, a success. Raises `CallFailed`."""
        started = time.monotonic()
        try:
            response = self._client.send(request, auth=auth, stream=True)
            try:
                answer = self._head(response)
                _log(request, answer, started)
                if not 200 <= answer.status < 300:
                    raise self._refusal(request, response, answer, started + (READ_TIMEOUT if seconds is None else seconds))
                yield answer
                for chunk in response.iter_bytes():
                    yield chunk
                    if seconds is not None and time.monotonic() - started > seconds:
                        raise httpx.ReadTimeout("the answer did not end in time")
            finally:
                response.close()
        except TransportError as error:  # no token, so the request stayed here
            raise CallFailed(error, Failure.NOT_SENT) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            # from None: frames and requests of httpx hold headers and full URLs
            raise _lost(request, error, started) from None

    def _head(self, response: httpx.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"", retry_after_seconds(headers, self.timing.now()))

    def _refusal(self, request: httpx.Request, response: httpx.Response, answer: Answer, end: float) -> CallFailed:
        if 300 <= answer.status < 400:
            error = ForeignLinkError(
                f"{request.url.host} answered {answer.status}, a redirect to {_host_of(answer.headers.get('location'))}; "
                "redirects are not followed, since they would take the credential along",
                hint="give the endpoint that the speech resource itself shows",
            )
            return CallFailed(error, Failure.REFUSED)
        body = bytearray()
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):  # a body that is cut does not hide the status
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) >= ERROR_MAX or time.monotonic() > end:
                    break
        refusal = error_of(Answer(answer.status, answer.headers, _redact(request, bytes(body[:ERROR_MAX])), answer.retry_after))
        return CallFailed(refusal, failure_of_status(answer.status), answer.retry_after)

    # -- links ----------------------------------------------------------------------------------------------------

    def url(self, path: str) -> str:
        """The full URL of a path below ``/speechtotext``."""
        return f"{self.endpoint}/speechtotext{path}"

    def own_path(self, link: str) -> str:
        """The path and query of a link that the service named, below ``/speechtotext``.

        Raises `ForeignLinkError` where the link leads to another host, port, scheme or part of the host.
        """
        plain = link.startswith(self.url("/")) and link.isprintable() and len(link) < URL_MAX  # nearly all are
        parts, own = urlsplit(link) if plain else _parts(link), urlsplit(self.endpoint)
        prefix = f"{own.path}/speechtotext/"
        segments = unquote(parts.path).split("/")
        if _origin(parts) != _origin(own) or not parts.path.startswith(prefix) or ".." in segments or "." in segments:
            raise ForeignLinkError(
                f"the service named a link on {parts.hostname or 'no host'}, which is not {own.hostname}; it was not followed",
                hint="use the endpoint under which the service names its own links",
            )
        return parts.path[len(prefix) - 1 :] + (f"?{parts.query}" if parts.query else "")

    def _check_storage_link(self, link: str) -> None:
        """Refuse a storage link that is not https, or that leads into this machine or its network."""
        parts = _parts(link)
        if not parts.username and _origin(parts) == _origin(urlsplit(self.endpoint)):
            return
        host = parts.hostname or ""
        if parts.scheme != "https" or parts.username or not host or _is_internal(host):
            raise ForeignLinkError(f"the service named a file on {host or 'no host'}, which is no public https storage")


# -- pure parts -------------------------------------------------------------------------------------------------------


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """One for all clients: loading the certificates takes longer than most requests."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
        raise SettingsError(f"the trusted certificates cannot be read ({', '.join(named)}): {error}") from None


def quiet(url: str) -> str:
    """A URL fit for a log: without user, and of the query only ``api-version``."""
    parts = urlsplit(url)
    kept = [item for item in parts.query.split("&") if item.startswith("api-version=")]
    host = parts.netloc.rsplit("@", 1)[-1]
    return f"{parts.scheme}://{host}{parts.path}" + (f"?{kept[0]}" if kept else "")


def base_url(text: str, what: str, *, drop: str = "") -> str:
    """``text`` without a trailing slash, query or ``drop``. Raises `SettingsError` where it is no safe base URL."""
    text = text.strip()
    parts = urlsplit(text if _is_url(text) else "")
    problem = None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        problem = "is not a URL like https://NAME.cognitiveservices.azure.com"
    elif parts.username or parts.password or parts.query or parts.fragment:
        problem = "has a user, a query or a fragment, which it must not have"
    elif parts.scheme == "http" and not is_loopback(text):
        problem = "is http: without encryption the credential could be read on the way"
    if problem:
        shown = f" ({quiet(text)})" if parts.hostname else ""  # what is no URL may be a key in the wrong place
        raise SettingsError(f"{what}{shown} {problem}", hint="the Azure portal shows it under Keys and Endpoint")
    path = parts.path.rstrip("/")
    path = path[: -len(drop)] if drop and path.endswith(drop) else path
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def recognition_host_of(endpoint: str) -> str:
    """Where short audio is recognised for an endpoint (documentation of the REST API for short audio and of private links).

    ``REGION.api.cognitive.microsoft.com`` → ``REGION.stt.speech.microsoft.com``; a custom domain → itself, below ``/stt``;
    anything else, such as the offline service, → itself.
    """
    host = urlsplit(endpoint).hostname or ""
    for management, recognition in (
        (".api.cognitive.microsoft.com", ".stt.speech.microsoft.com"),
        (".api.cognitive.azure.cn", ".stt.speech.azure.cn"),
        (".api.cognitive.microsoft.us", ".stt.speech.azure.us"),
    ):
        if host.endswith(management):
            return f"https://{host[: -len(management)]}{recognition}"
    custom_domain = host.endswith(
        (".cognitiveservices.azure.com", ".cognitiveservices.azure.cn", ".cognitiveservices.azure.us")
    )
    return f"{endpoint}/stt" if custom_domain else endpoint


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    host = urlsplit(url.strip()).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def path_segment(text: str) -> str:
    """``text`` as one segment of a path, whatever is in it. Raises `SettingsError` where it is empty or only dots."""
    if not text or set(text) <= {"."}:
        raise SettingsError(f"{text!r} is no id of an entity")
    return quote(text, safe="", errors="replace")


def _is_internal(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _host_of(link: str | None) -> str:
    try:
        return urlsplit(link or "").hostname or "another place"
    except ValueError:
        return "no valid place"


def _parts(link: str) -> SplitResult:
    """A link of the service's, taken apart. Raises `ForeignLinkError` where it is no URL at all."""
    if _is_url(link):
        return urlsplit(link)
    raise ForeignLinkError("the service named a link that is no valid URL; it was not followed")


def _is_url(text: str) -> bool:
    """Whether both who checks hosts and who sends requests can read ``text``."""
    try:
        httpx.URL(text)
        return urlsplit(text).port != 0  # reading the port checks it
    except (ValueError, httpx.InvalidURL):
        return False


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _url(text: str, params: Mapping[str, Any] | None, on_recognition_host: bool) -> httpx.URL:
    """What a request goes to. Raises `SettingsError` where ids or parameters make no URL of it."""
    query = {name: value for name, value in (params or {}).items() if value is not None}
    try:
        url = httpx.URL(text)
        if not on_recognition_host and "api-version" not in url.params:
            query["api-version"] = API_VERSION
        return url.copy_merge_params(query) if query else url  # a link that is whole is left as it is, to the letter
    except (UnicodeError, httpx.InvalidURL):
        raise SettingsError("an id or a filter is too long, or holds characters that cannot be sent") from None


def _request(
    method: str, url: httpx.URL, headers: Mapping[str, str], json: Any, content: bytes | Body | None, seconds: float
) -> httpx.Request:
    timeout = httpx.Timeout(
        connect=min(CONNECT_TIMEOUT, seconds),
        read=min(READ_TIMEOUT, seconds),
        write=min(WRITE_TIMEOUT, seconds),
        pool=min(POOL_TIMEOUT, seconds),
    )
    if isinstance(content, Body):
        headers = {**headers, "Content-Length": str(len(content))}
    stream: bytes | Iterable[bytes] | None = content
    extensions = {"timeout": timeout.as_dict()}
    request = httpx.Request(method, url, headers=headers, json=json, content=stream, extensions=extensions)
    request.url = _QuietURL(request.url)
    return request


def _lost(request: httpx.Request, error: Exception, started: float) -> CallFailed:
    """The error for a request that got no whole answer."""
    not_sent = isinstance(error, _NOT_SENT)
    hopeless = _hopeless(error)
    what = "cannot be reached" if not_sent else "did not answer in full"
    reason = hopeless or str(error) or type(error).__name__
    seconds = time.monotonic() - started
    log.debug("%s %s failed after %.2f s: %s", request.method, request.url, seconds, type(error).__name__)
    return CallFailed(
        TransportError(
            f"{request.url.host} {what}: {reason} ({request.method} {request.url.path})",
            hint="check the endpoint and the network" if not_sent else "try again; if it stays, ask the service's status page",
        ),
        Failure.REFUSED if hopeless else Failure.NOT_SENT if not_sent else Failure.NO_ANSWER,
    )


def _hopeless(error: BaseException) -> str | None:
    """Why a connection will fail again at once: no such host, or a certificate that is not trusted."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({seen.verify_message})"
        if isinstance(seen, socket.gaierror) and seen.errno == socket.EAI_NONAME:
            return "there is no such host"
        if isinstance(seen, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return "its address is no valid URL"
        seen = seen.__cause__ or seen.__context__
    return None


def _redact(request: httpx.Request, body: bytes) -> bytes:
    """``body`` without the credential of the request (a debugging proxy echoes headers) and signatures of URLs."""
    for name in ("authorization", "ocp-apim-subscription-key"):
        value = request.headers.get(name, "").removeprefix("Bearer ")
        if value:
            body = body.replace(value.encode(), b"**********")
    return without_signatures(body.decode("latin-1")).encode("latin-1")


def _log(request: httpx.Request, answer: Answer, started: float) -> None:
    milliseconds = (time.monotonic() - started) * 1000
    log.debug("%s %s %d, %.0f ms, request %s", request.method, request.url, answer.status, milliseconds, answer.request_id)


def _user_agent() -> str:
    from speech_mlflow import __version__

    return f"speech-mlflow/{__version__}"
