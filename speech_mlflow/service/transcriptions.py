"""Batch transcriptions, with a base or a custom model."""

from __future__ import annotations

from collections.abc import Iterable

from speech_mlflow.errors import SettingsError
from speech_mlflow.service.entities import Transcription, TranscriptionLocales, TranscriptionProperties
from speech_mlflow.service.resource import Properties, SecretText, Thing, WithFiles, named, parse, reference, reveal


class Transcriptions(WithFiles[Transcription]):
    """Batch transcriptions."""

    kind = "transcription"
    record = Transcription

    def create(
        self,
        *,
        display_name: str,
        locale: str,
        model: Thing | None = None,
        content_urls: Iterable[SecretText] | None = None,
        content_container_url: SecretText | None = None,
        dataset: Thing | None = None,
        time_to_live_hours: int = 48,
        properties: TranscriptionProperties | None = None,
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Properties = None,
    ) -> Transcription:
        """Submit audio for transcription, with a custom model where one is given.

        The audio is exactly one of: URLs of files, the URL of a container, a data set. ``time_to_live_hours`` (6 to 744) is
        how long the service keeps the result.
        """
        if sum(source is not None for source in (content_urls, content_container_url, dataset)) != 1:
            raise SettingsError("a transcription takes exactly one of content_urls, content_container_url and dataset")
        if not 6 <= time_to_live_hours <= 744:
            raise SettingsError(f"timeToLiveHours is 6 to 744, not {time_to_live_hours}")
        wanted = (properties or TranscriptionProperties()).to_json() | {"timeToLiveHours": time_to_live_hours}
        return self._create(
            named(display_name, locale, description, self._project(project), custom_properties)
            | {
                "contentUrls": [reveal(url) for url in content_urls] if content_urls is not None else None,
                "contentContainerUrl": reveal(content_container_url),
                "dataset": reference(self._transport, "dataset", dataset) if dataset is not None else None,
                "model": reference(self._transport, "model", model) if model is not None else None,
                "properties": wanted,
            },
            path="/transcriptions:submit",
        )

    def supported_locales(self) -> TranscriptionLocales:
        """The locales of each way of transcribing."""
        answer = self._transport.call("GET", f"{self._path}/locales")
        return parse(TranscriptionLocales, answer.object(), answer, self._transport)

    def locales(self) -> list[str]:
        """The locales in which a transcription can be submitted."""
        return list(self.supported_locales().Submit)
