"""Web hooks: URLs that the service calls when something has happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from speech_mlflow.errors import SettingsError
from speech_mlflow.service.entities import WebHook, WebHookEvents
from speech_mlflow.service.resource import Properties, Resource, SecretText, Thing, changes, reveal
from speech_mlflow.service.transport import OutcomeUnknown


class WebHooks(Resource[WebHook]):
    """Registrations of URLs that the service calls."""

    kind = "webhook"
    record = WebHook

    def create(
        self,
        *,
        display_name: str,
        web_url: str,
        events: Iterable[str],
        secret: SecretText | None = None,
        description: str | None = None,
        custom_properties: Properties = None,
    ) -> WebHook:
        """Register ``web_url`` for ``events`` such as *modelCompletion*; it must answer the service's challenge first.

        With ``secret`` the service signs what it sends (``X-MicrosoftSpeechServices-Signature``).
        """
        return self._create(
            {
                "displayName": display_name,
                "description": description,
                "webUrl": web_url,
                "events": _events(events),
                "properties": {"secret": reveal(secret)} if secret is not None else None,
                "customProperties": custom_properties,
            }
        )

    def update(
        self,
        id: Thing,
        *,
        web_url: str | None = None,
        events: Iterable[str] | None = None,
        secret: SecretText | None = None,
        display_name: str | None = None,
        description: str | None = None,
        custom_properties: Mapping[str, str | None] | None = None,
    ) -> WebHook:
        """Change what is given; another ``web_url`` is challenged anew. An update without ``secret`` ends the signing."""
        return self._update(
            id,
            changes(display_name, description, None, custom_properties)
            | {
                "webUrl": web_url,
                "events": _events(events) if events is not None else None,
                "properties": {"secret": reveal(secret)} if secret is not None else None,
            },
        )

    def ping(self, id: Thing) -> None:
        """Let the service call the registered URL with a ping."""
        self._act(id, "ping")

    def test(self, id: Thing) -> bool:
        """Let the service call the registered URL with its last event of each kind; False where there was none."""
        return self._act(id, "test") != 204

    def locales(self) -> list[str]:
        """Web hooks have no locale."""
        return []

    def _act(self, id: Thing, action: str) -> int:
        try:
            return self._transport.call("POST", f"{self._of(id)}:{action}").status
        except OutcomeUnknown as unknown:
            raise unknown.error from None


def _events(names: Iterable[str]) -> dict[str, bool]:
    known = {field.alias for field in WebHookEvents.model_fields.values()}
    events = list(names)
    unknown = [name for name in events if name not in known]
    if unknown or not events:
        raise SettingsError(
            f"a web hook cannot be called for {', '.join(unknown) or 'nothing'}",
            hint=f"events are {', '.join(sorted(str(name) for name in known))}",
        )
    return dict.fromkeys(events, True)
