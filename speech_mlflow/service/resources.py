"""Projects, data sets, evaluations and endpoints: what the service lets be done with them.

Wherever an entity is asked for, the entity itself, a reference to it, or its id will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from speech_mlflow.service.entities import (
    CommitBlocksEntry,
    CustomModel,
    Dataset,
    DatasetLocales,
    Endpoint,
    Evaluation,
    Project,
    Transcription,
    UploadedBlocks,
)
from speech_mlflow.service.resource import (
    Properties,
    Resource,
    SecretText,
    Thing,
    WithFiles,
    changes,
    named,
    pages,
    parse,
    reference,
    reveal,
)
from speech_mlflow.service.transport import Body, OutcomeUnknown

BLOCK_DEADLINE = 900.0  # seconds for one block, on a slow line


class Projects(Resource[Project]):
    """Folders that Speech Studio and Foundry show. A project has no status."""

    kind = "project"
    record = Project

    def create(
        self,
        *,
        display_name: str,
        locale: str,
        description: str | None = None,
        foundry_project_name: str | None = None,
        custom_properties: Properties = None,
    ) -> Project:
        """Make a project."""
        return self._create(
            named(display_name, locale, description, None, custom_properties) | {"foundryProjectName": foundry_project_name}
        )

    def update(
        self,
        id: Thing,
        *,
        display_name: str | None = None,
        description: str | None = None,
        foundry_project_name: str | None = None,
        custom_properties: Mapping[str, str | None] | None = None,
    ) -> Project:
        """Change what is given and leave the rest."""
        return self._update(
            id,
            changes(display_name, description, None, custom_properties) | {"foundryProjectName": foundry_project_name},
        )

    def datasets(self, id: Thing, filter: str | None = None) -> Iterator[Dataset]:
        """The data sets in a project."""
        return pages(self._transport, Dataset, f"{self._of(id)}/datasets", filter=filter, top=None)

    def models(self, id: Thing, filter: str | None = None) -> Iterator[CustomModel]:
        """The custom models in a project."""
        return pages(self._transport, CustomModel, f"{self._of(id)}/models", filter=filter, top=None)

    def evaluations(self, id: Thing, filter: str | None = None) -> Iterator[Evaluation]:
        """The evaluations in a project."""
        return pages(self._transport, Evaluation, f"{self._of(id)}/evaluations", filter=filter, top=None)

    def endpoints(self, id: Thing, filter: str | None = None) -> Iterator[Endpoint]:
        """The endpoints in a project."""
        return pages(self._transport, Endpoint, f"{self._of(id)}/endpoints", filter=filter, top=None)

    def transcriptions(self, id: Thing, filter: str | None = None) -> Iterator[Transcription]:
        """The transcriptions in a project."""
        return pages(self._transport, Transcription, f"{self._of(id)}/transcriptions", filter=filter, top=None)


class Datasets(WithFiles[Dataset]):
    """Training and testing data. `speech_mlflow.service.upload` puts local files there."""

    kind = "dataset"
    record = Dataset

    def create(
        self,
        *,
        kind: str,
        display_name: str,
        locale: str,
        content_url: SecretText | None = None,
        text_normalization_kind: str | None = None,
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Properties = None,
    ) -> Dataset:
        """Make a data set from ``content_url``, or one that waits for blocks.

        ``content_url`` is readable by anybody who has it (public, or with a SAS), or a plain blob URL that the resource's own
        identity may read.
        """
        properties = {"textNormalizationKind": text_normalization_kind} if text_normalization_kind else None
        return self._create(
            named(display_name, locale, description, self._project(project), custom_properties)
            | {"kind": kind, "contentUrl": reveal(content_url), "properties": properties}
        )

    def supported_locales(self) -> DatasetLocales:
        """The locales of each kind of data."""
        answer = self._transport.call("GET", f"{self._path}/locales")
        return parse(DatasetLocales, answer.object(), answer, self._transport)

    def locales(self) -> list[str]:
        """The locales for which there is any kind of data; `supported_locales` has them by kind."""
        by_kind = self.supported_locales().model_dump()
        return sorted({locale for locales in by_kind.values() for locale in locales})

    def blocks(self, id: Thing) -> UploadedBlocks:
        """The blocks that have arrived, committed and not."""
        answer = self._transport.call("GET", f"{self._of(id)}/blocks")
        return parse(UploadedBlocks, answer.object(), answer, self._transport)

    def put_block(self, id: Thing, block_id: str, content: bytes | Body) -> None:
        """Send one block of at most 8 MiB; ``block_id`` is base64, as long as all others of the data set.

        A block of the same id replaces the one before, so it may be sent again.
        """
        self._transport.call(
            "PUT",
            f"{self._of(id)}/blocks",
            params={"blockid": block_id},
            content=content,
            headers={"Content-Type": "application/octet-stream"},
            deadline=BLOCK_DEADLINE,
        )

    def commit_blocks(self, id: Thing, block_ids: Sequence[str]) -> None:
        """Make the blocks, in this order, the content of the data set; its import begins."""
        entries = [CommitBlocksEntry(kind="Latest", id=block_id).to_json() for block_id in block_ids]
        path = f"{self._of(id)}/blocks:commit"
        for last in (False, True):
            try:
                self._transport.call("POST", path, json=entries)
                return
            except OutcomeUnknown as unknown:
                if self.get(id).status != "NotStarted" or self.blocks(id).committed_blocks:
                    return
                if last:
                    raise unknown.error from None


class Evaluations(WithFiles[Evaluation]):
    """Tests of two models on one data set."""

    kind = "evaluation"
    record = Evaluation

    def create(
        self,
        *,
        display_name: str,
        locale: str,
        model1: Thing,
        dataset: Thing,
        model2: Thing | None = None,
        testing_kind: str | None = "Evaluation",
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Properties = None,
    ) -> Evaluation:
        """Test two models on ``dataset``; a bare id is a custom model's, and one model alone is tested against itself.

        ``testing_kind`` *Evaluation* makes Speech Studio show an accuracy test; None an inspection, as for audio without
        transcripts.
        """
        kind = {"testingKind": testing_kind} if testing_kind else {}
        return self._create(
            named(
                display_name,
                locale,
                description,
                self._project(project),
                {**(custom_properties or {}), **kind},
            )
            | {
                "model1": reference(self._transport, "model", model1),
                "model2": reference(self._transport, "model", model2 if model2 is not None else model1),
                "dataset": reference(self._transport, "dataset", dataset),
            }
        )


class Endpoints(Resource[Endpoint]):
    """Deployed models."""

    kind = "endpoint"
    record = Endpoint

    def create(
        self,
        *,
        display_name: str,
        locale: str,
        model: Thing,
        logging_enabled: bool | None = None,
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Properties = None,
    ) -> Endpoint:
        """Deploy a model; hosting costs money by the hour. ``logging_enabled`` is for resources with their own storage."""
        return self._create(
            named(display_name, locale, description, self._project(project), custom_properties)
            | {
                "model": reference(self._transport, "model", model),
                "properties": {"loggingEnabled": logging_enabled} if logging_enabled is not None else None,
            }
        )

    def update(
        self,
        id: Thing,
        *,
        model: Thing | None = None,
        content_logging_enabled: bool | None = None,
        display_name: str | None = None,
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Mapping[str, str | None] | None = None,
    ) -> Endpoint:
        """Change what is given and leave the rest. Another ``model`` is served under the same id, without a gap."""
        logging = {"contentLoggingEnabled": content_logging_enabled}  # the name in updates; in creates it is another
        return self._update(
            id,
            changes(display_name, description, self._project(project), custom_properties)
            | {
                "model": reference(self._transport, "model", model) if model is not None else None,
                "properties": logging if content_logging_enabled is not None else None,
            },
        )
