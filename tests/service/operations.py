"""Every operation of the REST API that the client has, by the operationId of the Swagger, with a call that uses all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import (
    DiarizationProperties,
    LanguageIdentificationProperties,
    ModelCopyAuthorization,
    TranscriptionProperties,
)

ID = "11111111-2222-3333-4444-555555555555"
OTHER = "66666666-7777-8888-9999-aaaaaaaaaaaa"
FILE = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
SOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/source"
AUTHORIZATION = ModelCopyAuthorization(
    target_resource_region="westus2",
    target_resource_id=SOURCE.replace("source", "target"),
    target_resource_endpoint="https://target.cognitiveservices.azure.com",
    source_resource_id=SOURCE,
    expiration_date_time=datetime(2027, 1, 1, tzinfo=timezone.utc),
    id=OTHER,
)
NAMES: dict[str, Any] = {
    "display_name": "a name",
    "locale": "en-US",
    "description": "a description",
    "custom_properties": {"fingerprint": "abc"},
}
CHANGES: dict[str, Any] = {
    "display_name": "another name",
    "description": "another description",
    "custom_properties": {"fingerprint": None, "plan": "p"},
}
FILTER = "createdDateTime gt 2022-02-01T11:00:00Z and displayName eq 'My dataset'"
ALL_TRANSCRIPTION_PROPERTIES = TranscriptionProperties(
    word_level_timestamps_enabled=True,
    display_form_word_level_timestamps_enabled=True,
    channels=[0, 1],
    punctuation_mode="DictatedAndAutomatic",
    profanity_filter_mode="Masked",
    destination_container_url="https://account.blob.core.windows.net/c?sig=x",
    language_identification=LanguageIdentificationProperties(candidate_locales=["en-US", "de-DE"], mode="Continuous"),
    diarization=DiarizationProperties(enabled=True, max_speakers=2),
)

Call = Callable[[SpeechClient], Any]
OPERATIONS: Mapping[str, Call] = {
    "Datasets_ListSupportedLocales": lambda speech: speech.datasets.supported_locales(),
    "Datasets_List": lambda speech: list(speech.datasets.list(FILTER, top=10)),
    "Datasets_Create": lambda speech: speech.datasets.create(
        kind="Acoustic", content_url="https://a.example/t.zip", project=OTHER, text_normalization_kind="Default", **NAMES
    ),
    "Datasets_Get": lambda speech: speech.datasets.get(ID),
    "Datasets_Update": lambda speech: speech.datasets.update(ID, project=OTHER, **CHANGES),
    "Datasets_Delete": lambda speech: speech.datasets.delete(ID),
    "Datasets_GetBlocks": lambda speech: speech.datasets.blocks(ID),
    "Datasets_UploadBlock": lambda speech: speech.datasets.put_block(ID, "+/8=", b"content"),
    "Datasets_CommitBlocks": lambda speech: speech.datasets.commit_blocks(ID, ["AAA=", "AAE="]),
    "Datasets_ListFiles": lambda speech: list(speech.datasets.files(ID, FILTER, sas_lifetime_minutes=60)),
    "Datasets_GetFile": lambda speech: speech.datasets.file(ID, FILE, sas_lifetime_minutes=60),
    "Endpoints_ListSupportedLocales": lambda speech: speech.endpoints.locales(),
    "Endpoints_List": lambda speech: list(speech.endpoints.list(FILTER, top=10)),
    "Endpoints_Create": lambda speech: speech.endpoints.create(model=ID, project=OTHER, logging_enabled=False, **NAMES),
    "Endpoints_Get": lambda speech: speech.endpoints.get(ID),
    "Endpoints_Delete": lambda speech: speech.endpoints.delete(ID),
    "Endpoints_Update": lambda speech: speech.endpoints.update(
        ID, model=OTHER, project=OTHER, content_logging_enabled=True, **CHANGES
    ),
    "Evaluations_ListSupportedLocales": lambda speech: speech.evaluations.locales(),
    "Evaluations_List": lambda speech: list(speech.evaluations.list(FILTER, top=10)),
    "Evaluations_Create": lambda speech: speech.evaluations.create(
        model1=speech.ref("base_model", ID), model2=OTHER, dataset=ID, project=OTHER, **NAMES
    ),
    "Evaluations_ListFiles": lambda speech: list(speech.evaluations.files(ID, FILTER, sas_lifetime_minutes=60)),
    "Evaluations_GetFile": lambda speech: speech.evaluations.file(ID, FILE, sas_lifetime_minutes=60),
    "Evaluations_Get": lambda speech: speech.evaluations.get(ID),
    "Evaluations_Update": lambda speech: speech.evaluations.update(ID, project=OTHER, **CHANGES),
    "Evaluations_Delete": lambda speech: speech.evaluations.delete(ID),
    "Models_ListSupportedLocales": lambda speech: speech.models.locales(),
    "Models_ListCustomModels": lambda speech: list(speech.models.list(FILTER, top=10)),
    "Models_Create": lambda speech: speech.models.create(
        base_model=ID, datasets=[ID, OTHER], custom_model_weight_percent=30, project=OTHER, **NAMES
    ),
    "Models_ListBaseModels": lambda speech: list(speech.models.list_base(FILTER, top=10)),
    "Models_GetCustomModel": lambda speech: speech.models.get(ID),
    "Models_Update": lambda speech: speech.models.update(ID, project=OTHER, **CHANGES),
    "Models_Delete": lambda speech: speech.models.delete(ID),
    "Models_GetBaseModel": lambda speech: speech.models.get_base(ID),
    "Models_Copy": lambda speech: speech.models.copy(ID, AUTHORIZATION),
    "Models_AuthorizeCopy": lambda speech: speech.models.authorize_copy(SOURCE),
    "Models_GetCustomModelManifest": lambda speech: speech.models.manifest(ID, sas_lifetime_minutes=60),
    "Models_GetBaseModelManifest": lambda speech: speech.models.manifest(ID, sas_lifetime_minutes=60, base=True),
    "Models_ListFiles": lambda speech: list(speech.models.files(ID, FILTER, sas_lifetime_minutes=60)),
    "Models_GetFile": lambda speech: speech.models.file(ID, FILE, sas_lifetime_minutes=60),
    "Operations_GetModelCopy": lambda speech: speech.models.copy_operation(ID),
    "Projects_ListSupportedLocales": lambda speech: speech.projects.locales(),
    "Projects_List": lambda speech: list(speech.projects.list(FILTER, top=10)),
    "Projects_Create": lambda speech: speech.projects.create(foundry_project_name="foundry", **NAMES),
    "Projects_Get": lambda speech: speech.projects.get(ID),
    "Projects_Update": lambda speech: speech.projects.update(ID, foundry_project_name="foundry", **CHANGES),
    "Projects_Delete": lambda speech: speech.projects.delete(ID),
    "Projects_ListEvaluations": lambda speech: list(speech.projects.evaluations(ID, FILTER)),
    "Projects_ListDatasets": lambda speech: list(speech.projects.datasets(ID, FILTER)),
    "Projects_ListEndpoints": lambda speech: list(speech.projects.endpoints(ID, FILTER)),
    "Projects_ListModels": lambda speech: list(speech.projects.models(ID, FILTER)),
    "Projects_ListTranscriptions": lambda speech: list(speech.projects.transcriptions(ID, FILTER)),
    "Transcriptions_ListSupportedLocales": lambda speech: speech.transcriptions.supported_locales(),
    "Transcriptions_List": lambda speech: list(speech.transcriptions.list(FILTER, top=10)),
    "Transcriptions_Get": lambda speech: speech.transcriptions.get(ID),
    "Transcriptions_Update": lambda speech: speech.transcriptions.update(ID, project=OTHER, **CHANGES),
    "Transcriptions_Delete": lambda speech: speech.transcriptions.delete(ID),
    "Transcriptions_Submit": lambda speech: speech.transcriptions.create(
        model=ID,
        content_urls=["https://a.example/1.wav"],
        project=OTHER,
        time_to_live_hours=6,
        properties=ALL_TRANSCRIPTION_PROPERTIES,
        **NAMES,
    ),
    "Transcriptions_ListFiles": lambda speech: list(speech.transcriptions.files(ID, FILTER, sas_lifetime_minutes=60)),
    "Transcriptions_GetFile": lambda speech: speech.transcriptions.file(ID, FILE, sas_lifetime_minutes=60),
    "WebHooks_List": lambda speech: list(speech.webhooks.list(FILTER, top=10)),
    "WebHooks_Create": lambda speech: speech.webhooks.create(
        display_name="a name",
        description="a description",
        web_url="https://a.example/hook",
        events=["modelCompletion", "ping"],
        secret="s",
        custom_properties={"plan": "p"},
    ),
    "WebHooks_Get": lambda speech: speech.webhooks.get(ID),
    "WebHooks_Update": lambda speech: speech.webhooks.update(
        ID, web_url="https://a.example/other", events=["modelDeletion"], secret="t", **CHANGES
    ),
    "WebHooks_Delete": lambda speech: speech.webhooks.delete(ID),
    "WebHooks_Ping": lambda speech: speech.webhooks.ping(ID),
    "WebHooks_Test": lambda speech: speech.webhooks.test(ID),
}
