"""The client against the official Swagger: every operation, every record, every example; all differences listed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pydantic
import pytest

from speech_mlflow.service import KeyCredential, SpeechClient, entities
from speech_mlflow.service.entities import DATASET_KINDS, DONE, Entity, Record, WebHookEvents
from speech_mlflow.service.retry import Timing
from tests.conformance import swagger
from tests.service.operations import ALL_TRANSCRIPTION_PROPERTIES, ID, OPERATIONS
from tests.service.scripted import Reply, Request, ScriptedServer, scripted_server

OPERATIONS_LEFT_OUT = {"Transcriptions_Transcribe": "fast transcription takes no custom model"}
QUERY_NOT_SENT = {
    "skip": "pages are followed by @nextLink, as the service asks",
    "top": "the lists of a project and of files are read in pages of the service's own size",
}
BODY_NOT_SENT: Mapping[str, Mapping[str, str]] = {
    "Evaluations_Create": {
        "transcription1.self": "the service makes it",
        "transcription2.self": "the service makes it",
    },
    "Transcriptions_Submit": {
        "contentContainerUrl": "exactly one of three sources is sent, here contentUrls",
        "dataset.self": "exactly one of three sources is sent, here contentUrls",
        "properties.languageIdentification.speechModelMapping": "a map; it is sent as it is given",
    },
}
MORE_THAN_THE_SWAGGER = {
    "customProperties.create-id": "the mark by which a create of unknown outcome is recognised",
    "customProperties.testingKind": "documented for Speech Studio, not in the Swagger",
}
DEFINITIONS_WITHOUT_RECORD = {
    **dict.fromkeys(
        ("Error", "InnerError", "ErrorCode", "DetailedErrorCode"),
        "an answer that is an error becomes an exception (answers.py)",
    ),
    **dict.fromkeys(
        (
            *("ChannelCombinedPhrases", "EnhancedModeProperties", "Phrase", "PhraseListProperties", "TranscribeDefinition"),
            *("TranscribeDiarizationProperties", "TranscribeResult", "Word"),
        ),
        "fast transcription, which is left out",
    ),
    **dict.fromkeys(
        (
            *(
                "DatasetUpdate",
                "EndpointUpdate",
                "EndpointPropertiesUpdate",
                "EvaluationUpdate",
                "ModelUpdate",
                "ProjectUpdate",
            ),
            *("TranscriptionUpdate", "WebHookUpdate", "WebHookPropertiesUpdate"),
        ),
        "an update is keyword arguments, sent as a merge patch",
    ),
    "SharedModel": "its fields are those of Entity",
}
ENUMS_AS_TEXT = (
    *("BlockKind", "DatasetKind", "FileKind", "LanguageIdentificationMode", "OutputFormatType", "ProfanityFilterMode"),
    *("PunctuationMode", "Status", "TextNormalizationKind"),
)
# what every record of an entity has, also where the Swagger does not give it to this one
COMMON = {field.alias or name for name, field in Entity.model_fields.items()}


@pytest.fixture
def server() -> Any:
    with scripted_server() as server:
        yield server


@pytest.fixture
def speech(server: ScriptedServer) -> Any:
    with SpeechClient(server.url, KeyCredential("some-key"), timing=Timing(sleep=lambda seconds: None)) as speech:
        yield speech


def own(server: ScriptedServer) -> str:
    return server.api(f"/things/{ID}")


def sent_by(operation: swagger.Operation, speech: SpeechClient, server: ScriptedServer) -> Request:
    """The request that the client sends for an operation, answered with all that the Swagger knows."""
    body = swagger.sample(operation.answer, own(server)) if operation.answer else None
    server.script(Reply(operation.status, body))
    OPERATIONS[operation.id](speech)
    assert len(server.requests) == 1
    return server.requests[0]


def test_the_client_has_every_operation_and_no_other() -> None:
    assert set(swagger.operations()) - set(OPERATIONS) == set(OPERATIONS_LEFT_OUT)
    assert set(OPERATIONS) - set(swagger.operations()) == set()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_called_as_the_swagger_says(name: str, speech: SpeechClient, server: ScriptedServer) -> None:
    operation = swagger.operations()[name]
    request = sent_by(operation, speech, server)
    assert operation.matches(request.method, request.path), f"{request.method} {request.path}"
    assert set(request.query) <= set(operation.query)
    assert {parameter for parameter, needed in operation.query.items() if needed} <= set(request.query)
    not_sent = set(operation.query) - set(request.query)
    assert not_sent <= set(QUERY_NOT_SENT), f"{not_sent} can be sent and is not"
    if request.body:
        assert request.headers["content-type"] in operation.consumes
    assert bool(request.body) == (operation.body is not None)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_body_fits_its_schema(name: str, speech: SpeechClient, server: ScriptedServer) -> None:
    operation = swagger.operations()[name]
    if operation.body is None or "octet-stream" in str(operation.consumes):
        assert name not in BODY_NOT_SENT
        return
    body = sent_by(operation, speech, server).json()
    if operation.method == "PATCH":  # null in a merge patch takes an entry away
        body["customProperties"] = {key: value for key, value in body["customProperties"].items() if value is not None}
    assert list(swagger.violations(operation.body, body)) == []
    left_out = set(swagger.writable(operation.body)) - set(swagger.names_in(body))
    events = {name for name in left_out if name.startswith("events.")}  # each is sent when it is asked for
    assert left_out - events == set(BODY_NOT_SENT.get(name, {}))


def test_what_is_sent_beyond_the_swagger_is_listed(speech: SpeechClient, server: ScriptedServer) -> None:
    server.handler = lambda request: Reply(201, {"self": own(server)})
    plain = speech.evaluations.create(display_name="e", locale="en-US", model1=ID, dataset=ID)
    assert plain.id == ID
    names = {f"customProperties.{name}" for name in server.requests[0].json()["customProperties"]}
    assert names == set(MORE_THAN_THE_SWAGGER)


def test_every_event_of_a_web_hook_can_be_asked_for() -> None:
    events = set(swagger.properties({"$ref": "#/definitions/WebHookEvents"}))
    assert {field.alias for field in WebHookEvents.model_fields.values()} == events


def test_every_option_of_a_transcription_is_sent() -> None:
    given = set(ALL_TRANSCRIPTION_PROPERTIES.to_json())
    writable = {name.partition(".")[0] for name in swagger.writable({"$ref": "#/definitions/TranscriptionProperties"})}
    assert writable - given == {"timeToLiveHours"}  # an argument of its own, which must be given


def records() -> Mapping[str, type[Record]]:
    values = {name: value for name, value in vars(entities).items() if isinstance(value, type)}
    return {name: value for name, value in values.items() if issubclass(value, pydantic.BaseModel)}


def test_every_definition_has_a_record_or_a_reason() -> None:
    definitions = {name for name in swagger.document()["definitions"] if not name.startswith("Paginated")}
    without = definitions - set(records())
    assert without == set(DEFINITIONS_WITHOUT_RECORD) | set(ENUMS_AS_TEXT)


def test_every_record_is_a_definition_or_ours() -> None:
    assert set(records()) - set(swagger.document()["definitions"]) == {"Entity", "FilesLinks", "Record", "WordCounts"}


def test_records_have_the_fields_of_their_definitions() -> None:
    for name, record in records().items():
        if name not in swagger.document()["definitions"]:
            continue
        theirs = set(swagger.properties({"$ref": f"#/definitions/{name}"}))
        ours = {field.alias or field_name for field_name, field in record.model_fields.items()}
        assert theirs - ours == set(), f"{name} lacks fields"
        more = ours - theirs
        assert more <= (COMMON if issubclass(record, Entity) else set()), f"{name} has fields of its own: {more}"


def test_records_require_no_more_than_their_definitions() -> None:
    """A record may require less: a list of the service's may leave out what a create must have."""
    for name, record in records().items():
        if name not in swagger.document()["definitions"]:
            continue
        ours = {field.alias or field_name for field_name, field in record.model_fields.items() if field.is_required()}
        theirs = swagger.required({"$ref": f"#/definitions/{name}"})
        explained = {"CommitBlocksEntry": {"id"}}  # an entry without an id commits nothing
        assert ours - theirs == explained.get(name, set()), name


def test_enum_words_are_known() -> None:
    definitions = swagger.document()["definitions"]
    assert set(DATASET_KINDS) == set(definitions["DatasetKind"]["enum"])
    words = {word for part in get_args(entities.Status) for word in get_args(part)}
    assert words == set(definitions["Status"]["enum"])
    assert set(DONE) < words
    block = {word for part in get_args(entities.CommitBlocksEntry.model_fields["kind"].annotation) for word in get_args(part)}
    assert block == set(definitions["BlockKind"]["enum"])


@pytest.mark.parametrize("enum_index", range(11))
def test_whatever_the_swagger_allows_survives_a_round_trip(enum_index: int) -> None:
    """All fields of each definition, with each word of each enum."""
    url = f"https://h.example/speechtotext/things/{ID}?api-version=2025-10-15"
    for name, record in records().items():
        if name in swagger.document()["definitions"]:
            wire = swagger.sample({"$ref": f"#/definitions/{name}"}, url, enum_index)
            back = record.model_validate(wire).to_json()
            if name in ("WebHook", "WebHookProperties"):
                hidden = back if name == "WebHookProperties" else back["properties"]
                assert hidden.pop("secret") == "**********"  # a secret does not come out again
                (wire if name == "WebHookProperties" else wire["properties"]).pop("secret")
            assert back == wire, name


def test_every_example_belongs_to_an_operation() -> None:
    used = {name for operation in swagger.operations().values() for name in operation.example_files}
    assert set(swagger.examples()) <= used


def test_every_answer_among_the_examples_is_read(speech: SpeechClient, server: ScriptedServer) -> None:
    read = 0
    for operation in swagger.operations().values():
        for name in set(operation.example_files) & set(swagger.examples()):
            for status, answer in swagger.examples()[name]["responses"].items():
                # the service's own host becomes the server's
                body = moved(answer.get("body"), server.url)
                if operation.method == "GET" and operation.path.endswith("/files/{fileId}"):
                    continue
                server.script(Reply(int(status), body, moved(answer.get("headers", {}), server.url)))
                OPERATIONS[operation.id](speech)
                read += 1
    assert read >= len(swagger.examples()) - len(OPERATIONS_LEFT_OUT)


def moved(value: Any, url: str) -> Any:
    """``value`` with the examples' hosts, under which the service writes its links, replaced by ``url``."""
    if isinstance(value, dict):
        return {name: moved(item, url) for name, item in value.items() if name != "@nextLink"}
    if isinstance(value, list):
        return [moved(item, url) for item in value]
    if isinstance(value, str) and "/speechtotext/" in value and value.startswith("https://"):
        return url + value[value.index("/speechtotext/") :]
    return value


def test_every_answer_among_the_examples_survives_a_round_trip() -> None:
    by_title = records()
    checked = 0
    for operation in swagger.operations().values():
        for name in set(operation.example_files) & set(swagger.examples()):
            for answer in swagger.examples()[name]["responses"].values():
                title = (operation.answer or {}).get("$ref", "").rsplit("/", 1)[-1]
                values = answer["body"]["values"] if title.startswith("Paginated") else [answer.get("body")]
                title = title.removeprefix("Paginated").removesuffix("s") if title.startswith("Paginated") else title
                if title not in by_title or title == "WebHook":
                    continue
                for value in values:
                    checked += 1
                    back = {name: item for name, item in by_title[title].model_validate(value).to_json().items() if item != []}
                    assert back == without_sentinels(value), name  # a list that is missing is an empty one
    assert checked > 15


def without_sentinels(value: Any) -> Any:
    """``value`` without the service's -1 and without nulls."""
    if isinstance(value, dict):
        return {name: without_sentinels(item) for name, item in value.items() if item not in (-1, None)}
    return [without_sentinels(item) for item in value] if isinstance(value, list) else value
