"""The records of the Speech to text REST API, 2025-10-15, under the names that its Swagger gives them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from speech_mlflow.service.records import DONE as DONE
from speech_mlflow.service.records import Count, Moment, Rate, SignedUrl
from speech_mlflow.service.records import Entity as Entity
from speech_mlflow.service.records import EntityError as EntityError
from speech_mlflow.service.records import EntityReference as EntityReference
from speech_mlflow.service.records import EntityT as EntityT
from speech_mlflow.service.records import Record as Record
from speech_mlflow.service.records import Status as Status
from speech_mlflow.service.records import by_age as by_age
from speech_mlflow.service.records import id_of as id_of

API_VERSION = "2025-10-15"

DatasetKind = Literal["Language", "Acoustic", "Pronunciation", "AudioFiles", "LanguageMarkdown", "OutputFormatting"] | str
DATASET_KINDS = ("Language", "Acoustic", "Pronunciation", "AudioFiles", "LanguageMarkdown", "OutputFormatting")


class ProjectLinks(Record):
    evaluations: str | None = None
    datasets: str | None = None
    models: str | None = None
    endpoints: str | None = None
    transcriptions: str | None = None


class Project(Entity):
    """A folder for entities, shown by Speech Studio and Foundry. It has no status."""

    foundry_project_name: str | None = None
    links: ProjectLinks | None = None


class DatasetLinks(Record):
    files: str | None = None
    commit_blocks: str | None = None
    list_blocks: str | None = None
    upload_blocks: str | None = None


class DatasetProperties(Record):
    accepted_line_count: Count = None
    rejected_line_count: Count = None
    duration_milliseconds: Count = None
    text_normalization_kind: str | None = None
    error: EntityError | None = None


class Dataset(Entity):
    kind: DatasetKind | None = None
    content_url: SignedUrl = None
    links: DatasetLinks | None = None
    properties: DatasetProperties | None = None


class ResponseBlock(Record):
    name: str | None = None
    size: int | None = None


class UploadedBlocks(Record):
    committed_blocks: list[ResponseBlock] = Field(default_factory=list)
    uncommitted_blocks: list[ResponseBlock] = Field(default_factory=list)


class CommitBlocksEntry(Record):
    kind: Literal["Committed", "Uncommitted", "Latest"] | str = "Latest"
    id: str


class BaseModelDeprecationDates(Record):
    adaptation_date_time: Moment | None = None
    transcription_date_time: Moment | None = None


class SharedModelFeatures(Record):
    supports_transcriptions_submit: bool | None = None
    supports_transcriptions_transcribe: bool | None = None
    supports_endpoints: bool | None = None
    supports_transcriptions_on_speech_containers: bool | None = None
    supported_output_formats: list[str] | None = None


class BaseModelFeatures(SharedModelFeatures):
    supports_adaptations_with: list[str] | None = None


class CustomModelFeatures(SharedModelFeatures):
    pass


class BaseModelProperties(Record):
    deprecation_dates: BaseModelDeprecationDates | None = None
    features: BaseModelFeatures | None = None
    charge_for_adaptation: bool | None = None


class BaseModelLinks(Record):
    manifest: str | None = None


class BaseModel(Entity):
    """A model of Microsoft's, to be used as it is or adapted."""

    links: BaseModelLinks | None = None
    properties: BaseModelProperties | None = None


class CustomModelDeprecationDates(Record):
    transcription_date_time: Moment | None = None


class CustomModelProperties(Record):
    deprecation_dates: CustomModelDeprecationDates | None = None
    custom_model_weight_percent: int | None = None
    features: CustomModelFeatures | None = None
    error: EntityError | None = None


class CustomModelLinks(Record):
    manifest: str | None = None
    copy_: str | None = Field(None, alias="copy")
    files: str | None = None


class CustomModel(Entity):
    """A model adapted with one's own data."""

    base_model: EntityReference | None = None
    datasets: list[EntityReference] | None = None
    links: CustomModelLinks | None = None
    properties: CustomModelProperties | None = None


class EditsSummary(Record):
    number_of_edits: Count = None
    percentage_of_all_edits: Rate = None


class TokenErrorDetails(Record):
    punctuation: EditsSummary | None = None
    capitalization: EditsSummary | None = None
    inverse_text_normalization: EditsSummary | None = None
    lexical: EditsSummary | None = None
    others: EditsSummary | None = None


class WordCounts(Record):
    """What an evaluation counted for one model. The service's own rates are rounded; ``wer`` is made from the counts."""

    sentences: int | None = None
    words: int
    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float | None:
        """Word error rate, errors / reference words; None without reference words."""
        return self.errors / self.words if self.words else None


class EvaluationProperties(Record):
    word_error_rate1: Rate = None
    sentence_error_rate1: Rate = None
    token_error_rate1: Rate = None
    sentence_count1: Count = None
    word_count1: Count = None
    correct_word_count1: Count = None
    word_substitution_count1: Count = None
    word_deletion_count1: Count = None
    word_insertion_count1: Count = None
    token_count1: Count = None
    correct_token_count1: Count = None
    token_substitution_count1: Count = None
    token_deletion_count1: Count = None
    token_insertion_count1: Count = None
    token_errors1: TokenErrorDetails | None = None
    word_error_rate2: Rate = None
    sentence_error_rate2: Rate = None
    token_error_rate2: Rate = None
    sentence_count2: Count = None
    word_count2: Count = None
    correct_word_count2: Count = None
    word_substitution_count2: Count = None
    word_deletion_count2: Count = None
    word_insertion_count2: Count = None
    token_count2: Count = None
    correct_token_count2: Count = None
    token_substitution_count2: Count = None
    token_deletion_count2: Count = None
    token_insertion_count2: Count = None
    token_errors2: TokenErrorDetails | None = None
    error: EntityError | None = None

    def counts(self, model: Literal[1, 2]) -> WordCounts | None:
        """The word counts of model 1 or 2; None while the evaluation has not counted."""

        def of(name: str) -> int | None:
            value: int | None = getattr(self, f"{name}{model}")
            return value

        values = [of(f"{name}_count") for name in ("word", "correct_word")]
        values += [of(f"word_{name}_count") for name in ("substitution", "deletion", "insertion")]
        if any(value is None for value in values):
            return None
        words, hits, substitutions, deletions, insertions = (value or 0 for value in values)
        return WordCounts(
            sentences=of("sentence_count"),
            words=words,
            hits=hits,
            substitutions=substitutions,
            deletions=deletions,
            insertions=insertions,
        )

    def token_error_rate(self, model: Literal[1, 2]) -> float | None:
        """Token error rate of model 1 or 2, (S + D + I) / N from the counts; None while, or where, tokens are not counted."""
        tokens: int | None = getattr(self, f"token_count{model}")
        edits = [getattr(self, f"token_{edit}_count{model}") for edit in ("substitution", "deletion", "insertion")]
        return None if not tokens or None in edits else sum(edits) / tokens


class FilesLinks(Record):
    files: str | None = None


class EvaluationLinks(FilesLinks):
    pass


class Evaluation(Entity):
    """A test of two models on one data set."""

    model1: EntityReference | None = None
    model2: EntityReference | None = None
    dataset: EntityReference | None = None
    transcription1: EntityReference | None = None
    transcription2: EntityReference | None = None
    links: EvaluationLinks | None = None
    properties: EvaluationProperties | None = None


class EndpointLinks(Record):
    web_socket: str | None = None


class EndpointProperties(Record):
    logging_enabled: bool | None = None
    error: EntityError | None = None


class Endpoint(Entity):
    """A deployed model; its id is what clients have in their code."""

    model: EntityReference | None = None
    links: EndpointLinks | None = None
    properties: EndpointProperties | None = None


class DiarizationProperties(Record):
    enabled: bool | None = None
    max_speakers: int | None = None


class LanguageIdentificationProperties(Record):
    candidate_locales: list[str] = Field(default_factory=list)
    speech_model_mapping: dict[str, EntityReference] | None = None
    mode: str | None = None


class TranscriptionProperties(Record):
    word_level_timestamps_enabled: bool | None = None
    display_form_word_level_timestamps_enabled: bool | None = None
    channels: list[int] | None = None
    punctuation_mode: str | None = None
    profanity_filter_mode: str | None = None
    destination_container_url: SignedUrl = None
    time_to_live_hours: int | None = None
    language_identification: LanguageIdentificationProperties | None = None
    diarization: DiarizationProperties | None = None
    error: EntityError | None = None
    duration_milliseconds: Count = None


class TranscriptionLinks(FilesLinks):
    pass


class Transcription(Entity):
    """A batch transcription."""

    content_urls: list[str] | None = Field(None, repr=False)
    content_container_url: SignedUrl = None
    dataset: EntityReference | None = None
    model: EntityReference | None = None
    links: TranscriptionLinks | None = None
    properties: TranscriptionProperties | None = None


class FileLinks(Record):
    content_url: SignedUrl = None


class FileProperties(Record):
    size: int | None = None
    duration_milliseconds: int | None = None


class File(Record):
    """A file of an entity. ``links.content_url`` carries its own permission; no credential is sent to it."""

    self_: str | None = Field(None, alias="self")
    name: str | None = None
    kind: str | None = None
    links: FileLinks | None = None
    properties: FileProperties | None = None
    created_date_time: Moment | None = None


class ModelFile(Record):
    name: str | None = None
    content_url: SignedUrl = None


class ModelManifest(Record):
    model: EntityReference
    model_files: list[ModelFile] = Field(default_factory=list)
    properties: dict[str, Any] = Field(default_factory=dict)


class ModelCopyAuthorizationDefinition(Record):
    source_resource_id: str


class ModelCopyAuthorization(Record):
    target_resource_region: str
    target_resource_id: str
    target_resource_endpoint: str
    source_resource_id: str
    expiration_date_time: Moment
    id: str


class OperationResult(Record):
    link: str | None = None


class Operation(Record):
    """A copy of a model on its way."""

    id: str
    self_: str | None = Field(None, alias="self")
    created_date_time: Moment | None = None
    last_action_date_time: Moment | None = None
    status: Status | None = None
    result: OperationResult | None = None
    error: EntityError | None = None

    @property
    def done(self) -> bool:
        """Whether the copy has ended, well or not."""
        return self.status in DONE


class WebHookEvents(Record):
    dataset_creation: bool | None = None
    dataset_processing: bool | None = None
    dataset_completion: bool | None = None
    dataset_deletion: bool | None = None
    model_creation: bool | None = None
    model_processing: bool | None = None
    model_completion: bool | None = None
    model_deletion: bool | None = None
    evaluation_creation: bool | None = None
    evaluation_processing: bool | None = None
    evaluation_completion: bool | None = None
    evaluation_deletion: bool | None = None
    transcription_creation: bool | None = None
    transcription_processing: bool | None = None
    transcription_completion: bool | None = None
    transcription_deletion: bool | None = None
    endpoint_creation: bool | None = None
    endpoint_processing: bool | None = None
    endpoint_completion: bool | None = None
    endpoint_deletion: bool | None = None
    ping: bool | None = None
    challenge: bool | None = None


class WebHookLinks(Record):
    test: str | None = None
    ping: str | None = None


class WebHookProperties(Record):
    api_version: str | None = None
    secret: SecretStr | None = None
    error: EntityError | None = None


class WebHook(Entity):
    web_url: str | None = None
    events: WebHookEvents | None = None
    links: WebHookLinks | None = None
    properties: WebHookProperties | None = None


class DatasetLocales(Record):
    """Locales by data kind, under the kinds' own names."""

    model_config = ConfigDict(alias_generator=None, extra="allow", frozen=True)

    Language: list[str] = Field(default_factory=list)
    Acoustic: list[str] = Field(default_factory=list)
    Pronunciation: list[str] = Field(default_factory=list)
    AudioFiles: list[str] = Field(default_factory=list)
    LanguageMarkdown: list[str] = Field(default_factory=list)
    OutputFormatting: list[str] = Field(default_factory=list)


class TranscriptionLocales(Record):
    """Locales by way of transcribing."""

    model_config = ConfigDict(alias_generator=None, extra="allow", frozen=True)

    Submit: list[str] = Field(default_factory=list)
    Transcribe: list[str] = Field(default_factory=list)
