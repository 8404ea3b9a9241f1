"""Where small signed documents are posted to: a controller's receiver, and the sink for events."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from speech_mlflow.errors import SettingsError


@dataclass(frozen=True)
class Address:
    """An http(s) URL, taken apart. ``path`` includes the query."""

    https: bool
    host: str
    port: int | None
    path: str

    @classmethod
    def of(cls, url: str, *, setting: str, below: str = "", hint: str | None = None) -> Address:
        """The address of ``below`` at a URL. SettingsError, which names the setting, where that is no http(s) URL."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:  # such as a port that is no number
            host = None
        if not host or parts.scheme not in {"http", "https"}:
            raise SettingsError(f"{setting} is no http(s) URL: {url.partition('?')[0]}", hint=hint)
        path = (parts.path.rstrip("/") + below if below else parts.path) or "/"
        return cls(parts.scheme == "https", host, port, path + (f"?{parts.query}" if parts.query else ""))

    def post(self, body: bytes, headers: Mapping[str, str], *, timeout: float) -> int:
        """Post a document on a connection of its own; the status of the answer. OSError or HTTPException where there is none."""
        kind = http.client.HTTPSConnection if self.https else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=timeout)
        try:
            connection.request("POST", self.path, body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()
