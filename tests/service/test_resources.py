"""What each operation sends, and what it makes of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.errors import (
    PermissionDeniedError,
    ServerError,
    ServiceError,
    SettingsError,
    SpeechMlflowError,
    UnknownOutcomeError,
)
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import (
    BaseModel,
    CustomModel,
    Dataset,
    Evaluation,
    EvaluationProperties,
    File,
    ModelFile,
    UploadedBlocks,
    by_age,
)
from speech_mlflow.service.resource import CREATE_ID
from tests.service.operations import AUTHORIZATION, ID, OPERATIONS, OTHER, SOURCE
from tests.service.scripted import Reply, Request, ScriptedServer

V = "?api-version=2025-10-15"


def answering(server: ScriptedServer, body: dict[str, Any] | None = None, status: int = 200, **headers: str) -> None:
    server.handler = lambda request: Reply(
        status, {"self": server.api(f"/x/{ID}"), "values": [], "id": ID, **(body or {})}, headers
    )


def sent(server: ScriptedServer, speech: SpeechClient, operation: str) -> Request:
    answering(server)
    OPERATIONS[operation](speech)
    assert len(server.requests) == 1
    return server.requests[0]


def body_of(request: Request) -> Any:
    """The JSON body without the mark of the create."""
    body = request.json()
    if request.method == "POST" and isinstance(body, dict) and "customProperties" in body:
        assert len(body["customProperties"].pop(CREATE_ID)) == 32
    return body


def test_create_a_data_set(speech: SpeechClient, server: ScriptedServer) -> None:
    request = sent(server, speech, "Datasets_Create")
    assert (request.method, request.path) == ("POST", "/speechtotext/datasets")
    assert body_of(request) == {
        "kind": "Acoustic",
        "contentUrl": "https://a.example/t.zip",
        "displayName": "a name",
        "locale": "en-US",
        "description": "a description",
        "customProperties": {"fingerprint": "abc"},
        "project": {"self": f"{server.url}/speechtotext/projects/{OTHER}{V}"},
        "properties": {"textNormalizationKind": "Default"},
    }


def test_create_a_model(speech: SpeechClient, server: ScriptedServer) -> None:
    body = body_of(sent(server, speech, "Models_Create"))
    assert body["baseModel"] == {"self": f"{server.url}/speechtotext/models/base/{ID}{V}"}
    assert body["datasets"] == [{"self": f"{server.url}/speechtotext/datasets/{id}{V}"} for id in (ID, OTHER)]
    assert body["properties"] == {"customModelWeightPercent": 30}


def test_what_is_not_given_is_not_sent(speech: SpeechClient, server: ScriptedServer) -> None:
    answering(server)
    speech.models.create(display_name="m", locale="en-US", datasets=[ID])
    assert set(server.requests[0].json()) == {"displayName", "locale", "datasets", "customProperties"}
    speech.datasets.update(ID, description="only this")
    assert server.requests[1].json() == {"description": "only this"}


@pytest.mark.parametrize("weight", [0, 101, -1])
def test_a_weight_is_a_percentage(speech: SpeechClient, weight: int) -> None:
    with pytest.raises(SettingsError, match="1 to 100"):
        speech.models.create(display_name="m", locale="en-US", datasets=[ID], custom_model_weight_percent=weight)


def test_create_an_evaluation(speech: SpeechClient, server: ScriptedServer) -> None:
    body = body_of(sent(server, speech, "Evaluations_Create"))
    assert body["model1"] == {"self": f"{server.url}/speechtotext/models/base/{ID}{V}"}
    assert body["model2"] == {"self": f"{server.url}/speechtotext/models/{OTHER}{V}"}
    assert body["dataset"] == {"self": f"{server.url}/speechtotext/datasets/{ID}{V}"}
    assert body["customProperties"] == {"fingerprint": "abc", "testingKind": "Evaluation"}


def test_models_are_given_as_entities_as_well(speech: SpeechClient, server: ScriptedServer) -> None:
    """Records fetched from another address of the same service still lead to this one."""
    base = BaseModel.model_validate({"self": f"http://127.0.0.1:1/speechtotext/models/base/{ID}{V}"})
    custom = CustomModel.model_validate({"self": f"http://127.0.0.1:1/speechtotext/models/{OTHER}{V}"})
    answering(server)
    speech.evaluations.create(display_name="e", locale="en-US", model1=base, model2=custom, dataset=ID)
    speech.evaluations.create(display_name="e", locale="en-US", model1=custom, dataset=ID, testing_kind=None)
    first, second = (request.json() for request in server.requests)
    assert first["model1"]["self"] == f"{server.url}/speechtotext/models/base/{ID}{V}"
    assert first["model2"]["self"] == f"{server.url}/speechtotext/models/{OTHER}{V}"
    assert second["model1"] == second["model2"] == first["model2"]
    assert "testingKind" not in second["customProperties"]


def test_endpoints_name_logging_differently_when_made_and_when_changed(speech: SpeechClient, server: ScriptedServer) -> None:
    answering(server)
    OPERATIONS["Endpoints_Create"](speech)
    OPERATIONS["Endpoints_Update"](speech)
    made, changed = server.requests
    assert made.json()["properties"] == {"loggingEnabled": False}
    assert changed.json()["properties"] == {"contentLoggingEnabled": True}
    assert (changed.method, changed.headers["content-type"]) == ("PATCH", "application/merge-patch+json")
    assert changed.json()["model"] == {"self": f"{server.url}/speechtotext/models/{OTHER}{V}"}
    assert changed.json()["customProperties"] == {"fingerprint": None, "plan": "p"}


def test_submit_a_transcription(speech: SpeechClient, server: ScriptedServer) -> None:
    request = sent(server, speech, "Transcriptions_Submit")
    assert request.path == "/speechtotext/transcriptions:submit"
    body = body_of(request)
    assert body["contentUrls"] == ["https://a.example/1.wav"]
    assert body["properties"]["timeToLiveHours"] == 6
    assert body["properties"]["diarization"] == {"enabled": True, "maxSpeakers": 2}
    assert body["properties"]["languageIdentification"] == {"candidateLocales": ["en-US", "de-DE"], "mode": "Continuous"}


@pytest.mark.parametrize("sources", [{}, {"dataset": ID, "content_urls": ["https://a.example/1.wav"]}])
def test_a_transcription_has_one_source(speech: SpeechClient, sources: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="exactly one of"):
        speech.transcriptions.create(display_name="t", locale="en-US", **sources)


@pytest.mark.parametrize("hours", [5, 745])
def test_a_transcription_lives_six_hours_to_a_month(speech: SpeechClient, hours: int) -> None:
    with pytest.raises(SettingsError, match="6 to 744"):
        speech.transcriptions.create(display_name="t", locale="en-US", dataset=ID, time_to_live_hours=hours)


def test_copy_a_model(speech: SpeechClient, server: ScriptedServer) -> None:
    link = server.api(f"/operations/models/copy/{ID}")
    server.handler = lambda request: (
        Reply(202, None, {"Operation-Location": link})
        if request.method == "POST"
        else Reply(200, {"id": ID, "self": link, "status": "Running"})
    )
    operation = speech.models.copy(OTHER, AUTHORIZATION)
    assert (operation.id, operation.status) == (ID, "Running")
    assert server.requests[0].path == f"/speechtotext/models/{OTHER}:copy"
    assert server.requests[0].json()["targetResourceRegion"] == "westus2"
    assert server.requests[0].json()["expirationDateTime"] == "2027-01-01T00:00:00Z"


def test_a_copy_whose_answer_is_lost_is_not_begun_again(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(504))
    with pytest.raises(UnknownOutcomeError, match="may or may not have begun"):
        speech.models.copy(OTHER, AUTHORIZATION)
    assert len(server.requests) == 1


def test_an_authorisation_may_be_asked_for_again(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(504), Reply(200, AUTHORIZATION.to_json()))
    assert speech.models.authorize_copy(SOURCE) == AUTHORIZATION


def test_a_ping_is_not_repeated(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(504))
    with pytest.raises(ServerError):
        speech.webhooks.ping(ID)
    assert len(server.requests) == 1


def test_a_test_event_without_any_entity(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(204), Reply(202))
    assert speech.webhooks.test(ID) is False
    assert speech.webhooks.test(ID) is True


@pytest.mark.parametrize("events", [["modelcompletion"], [], ["modelCompletion", "everything"]])
def test_a_web_hook_takes_known_events_only(speech: SpeechClient, events: list[str]) -> None:
    with pytest.raises(SettingsError, match="cannot be called for"):
        speech.webhooks.create(display_name="h", web_url="https://a.example", events=events)


def test_block_ids_arrive_as_they_are(speech: SpeechClient, server: ScriptedServer) -> None:
    request = sent(server, speech, "Datasets_UploadBlock")
    assert (request.method, request.query["blockid"], request.body) == ("PUT", "+/8=", b"content")
    assert request.headers["content-type"] == "application/octet-stream"
    assert request.headers["content-length"] == "7"


def test_a_commit_whose_answer_is_lost_is_looked_at_first(speech: SpeechClient, server: ScriptedServer) -> None:
    def handler(request: Request) -> Reply:
        if request.method == "POST":
            return Reply(reset=True)
        return Reply(200, {"self": server.api(f"/datasets/{ID}"), "status": "Running"})

    server.handler = handler
    speech.datasets.commit_blocks(ID, ["AAA="])
    assert [request.method for request in server.requests] == ["POST", "GET"]


def test_a_commit_that_did_not_arrive_is_sent_again(speech: SpeechClient, server: ScriptedServer) -> None:
    posts: list[Request] = []

    def handler(request: Request) -> Reply:
        if request.method == "POST":
            posts.append(request)
            return Reply(503) if len(posts) == 1 else Reply(200)
        if request.path.endswith("/blocks"):
            return Reply(200, {"uncommittedBlocks": [{"name": "AAA=", "size": 1}]})
        return Reply(200, {"self": server.api(f"/datasets/{ID}"), "status": "NotStarted"})

    server.handler = handler
    speech.datasets.commit_blocks(ID, ["AAA="])
    assert [post.json() for post in posts] == [[{"kind": "Latest", "id": "AAA="}]] * 2


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"retryCount": 3}, "retryCount: a int"),
        ({"k": "x" * 257}, "257 characters"),
        ({"k" * 65: "x"}, "1 to 64 characters"),
        ({"": "x"}, "1 to 64 characters"),
        ({f"k{number}": "x" for number in range(11)}, "11 entries"),
    ],
)
def test_custom_properties_are_checked_before_they_are_sent(
    speech: SpeechClient, server: ScriptedServer, properties: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        speech.projects.create(display_name="p", locale="en-US", custom_properties=properties)
    with pytest.raises(SettingsError, match=problem):
        speech.projects.update(ID, custom_properties=properties)
    assert server.requests == []


def test_all_problems_of_custom_properties_are_said_at_once(speech: SpeechClient) -> None:
    with pytest.raises(SettingsError) as caught:
        speech.projects.create(display_name="p", locale="en-US", custom_properties={"a": 1, "b": None, "c": "x" * 300})  # type: ignore[dict-item]
    assert "a: a int" in str(caught.value)
    assert "c: 300 characters" in str(caught.value)


def test_an_entity_needs_a_name(speech: SpeechClient, server: ScriptedServer) -> None:
    with pytest.raises(SettingsError, match="needs a display name"):
        speech.projects.create(display_name="", locale="en-US")


def test_locales(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(200, {"Language": ["en-US", "de-DE"], "Acoustic": ["en-US"], "Novel": ["fr-FR"]}))
    assert speech.datasets.locales() == ["de-DE", "en-US", "fr-FR"]
    assert speech.datasets.supported_locales().Acoustic == ["en-US"]
    server.script(Reply(200, {"Submit": ["en-US"], "Transcribe": ["de-DE"]}))
    assert speech.transcriptions.locales() == ["en-US"]
    server.script(Reply(200, ["en-US"]))
    assert speech.models.locales() == ["en-US"]


def test_sentinels_are_no_numbers(speech: SpeechClient, server: ScriptedServer) -> None:
    numbers = {"wordErrorRate1": -1.0, "sentenceErrorRate1": -1, "wordCount1": -1, "wordErrorRate2": 0.065}
    answering(server, {"status": "Running", "properties": numbers})
    properties = speech.evaluations.get(ID).properties
    assert properties is not None
    assert (properties.word_error_rate1, properties.sentence_error_rate1, properties.word_count1) == (None, None, None)
    assert properties.word_error_rate2 == 0.065
    assert properties.counts(1) is None


def test_rates_are_made_from_counts() -> None:
    """The service rounds: 5 errors in 173 words are 0.028901…, and it says 0.0289."""
    properties = EvaluationProperties.model_validate(
        {
            "wordErrorRate1": 0.028900000000000002,
            "sentenceCount1": 3,
            "wordCount1": 173,
            "correctWordCount1": 170,
            "wordSubstitutionCount1": 2,
            "wordDeletionCount1": 1,
            "wordInsertionCount1": 2,
        }
    )
    counts = properties.counts(1)
    assert counts is not None
    assert (counts.hits, counts.errors, counts.sentences) == (170, 5, 3)
    assert counts.wer == 5 / 173
    assert properties.counts(2) is None


def test_the_token_error_rate_is_made_from_counts() -> None:
    """The sample of Microsoft's documentation: 20 edits in 165 tokens, and it says 0.1212."""
    wire = {"tokenCount2": 165, "tokenSubstitutionCount2": 10, "tokenDeletionCount2": 1, "tokenInsertionCount2": 9}
    properties = EvaluationProperties.model_validate({**wire, "tokenErrorRate2": 0.1212, "tokenCount1": -1})
    assert properties.token_error_rate(2) == 20 / 165
    assert properties.token_error_rate(1) is None


def test_a_null_is_a_field_that_is_not_there() -> None:
    assert UploadedBlocks.model_validate({"committedBlocks": None, "uncommittedBlocks": None}).to_json() == {
        "committedBlocks": [],
        "uncommittedBlocks": [],
    }


def test_properties_that_are_no_strings_do_not_hide_an_entity() -> None:
    """The service took them once (and refuses them now), so old entities may have them."""
    odd = {"retryCount": 3, "done": True, "gone": None, "team": "clinic"}
    assert Dataset.model_validate({"customProperties": odd}).custom_properties == {
        "retryCount": "3",
        "done": "true",
        "team": "clinic",
    }


def test_a_time_without_a_zone_is_in_utc_and_all_can_be_compared() -> None:
    times = {"b": "2026-03-01T12:00:00", "c": "2026-03-01T12:00:00Z", "a": "2026-03-01T14:00:00.5+02:00", "0": None}
    made = [Dataset.model_validate({"self": f"https://h/datasets/{id}", "createdDateTime": at}) for id, at in times.items()]
    assert [one.id for one in sorted(made, key=by_age)] == ["b", "c", "a", "0"]
    assert made[0].to_json()["createdDateTime"] == "2026-03-01T12:00:00Z"


def test_unknown_fields_survive_a_round_trip() -> None:
    wire = {
        "self": "https://h/speechtotext/evaluations/1?api-version=2025-10-15",
        "displayName": "e",
        "status": "Paused",
        "futureField": {"inner": [1, {"x": None}]},
        "properties": {"wordErrorRate1": 0.5, "bleuScore": 0.1},
        "customProperties": {"a": "b"},
    }
    assert Evaluation.model_validate(wire).to_json() == wire


def test_a_file_is_read_and_downloaded(speech: SpeechClient, server: ScriptedServer, tmp_path: Path) -> None:
    file = File.model_validate({"name": "report.json", "links": {"contentUrl": f"{server.url}/blob?sig=1"}})
    server.script(Reply(200, b"x" * 300_000, cut_at=100_000), Reply(200, b"y" * 300_000))
    assert speech.download(file, tmp_path / "report.json").read_bytes() == b"y" * 300_000
    assert speech.read_file(file) == b"y" * 300_000
    assert speech.read_file(ModelFile(name="m", content_url=f"{server.url}/blob")) == b"y" * 300_000
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_two_who_download_the_same_file_at_once_do_not_meet(
    speech: SpeechClient, server: ScriptedServer, tmp_path: Path
) -> None:
    """The second begins and ends while the first waits for its answer."""
    target = tmp_path / "f.json"
    file = File.model_validate({"name": "f.json", "links": {"contentUrl": f"{server.url}/blob"}})

    def second(request: Request) -> Reply:
        server.script(Reply(200, b"a long content"))
        with SpeechClient(server.url, "k") as other:
            other.download(file, target)
        return Reply(200, b"a long content")

    server.handler = second
    assert speech.download(file, target).read_bytes() == b"a long content"
    assert list(tmp_path.iterdir()) == [target]


def test_a_download_that_cannot_be_written_says_where(speech: SpeechClient, server: ScriptedServer, tmp_path: Path) -> None:
    file = File.model_validate({"name": "f", "links": {"contentUrl": f"{server.url}/blob"}})
    (tmp_path / "no-folder").touch()
    with pytest.raises(SpeechMlflowError, match=r"no-folder.*cannot be read or written"):
        speech.download(file, tmp_path / "no-folder" / "f.json")


def test_a_download_that_fails_leaves_nothing(speech: SpeechClient, server: ScriptedServer, tmp_path: Path) -> None:
    file = File.model_validate({"name": "report.json", "links": {"contentUrl": f"{server.url}/blob?sig=1"}})
    server.script(Reply(200, b"x" * 300_000, cut_at=100_000))
    with pytest.raises(ServiceError):
        speech.download(file, tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []


def test_an_expired_link_is_made_anew(speech: SpeechClient, server: ScriptedServer) -> None:
    own = f"{server.url}/speechtotext/datasets/{ID}/files/{OTHER}?api-version=3.2"  # a version that the service still writes

    def handler(request: Request) -> Reply:
        if request.path.startswith("/speechtotext"):
            assert request.query == {"api-version": "2025-10-15"}
            return Reply(200, {"self": own, "links": {"contentUrl": f"{server.url}/blob?sig=new"}})
        return Reply(200, b"content") if request.query["sig"] == "new" else Reply(403, b"<Code>AuthenticationFailed</Code>")

    server.handler = handler
    file = File.model_validate({"self": own, "name": "f", "links": {"contentUrl": f"{server.url}/blob?sig=old"}})
    assert speech.read_file(file) == b"content"


def test_storage_that_refuses_is_explained(speech: SpeechClient, server: ScriptedServer) -> None:
    file = File.model_validate({"name": "f.json", "links": {"contentUrl": f"{server.url}/blob"}})
    server.script(Reply(403, b"<Error><Code>AuthorizationFailure</Code></Error>"))
    with pytest.raises(PermissionDeniedError, match=r"refused f\.json: AuthorizationFailure") as caught:
        speech.read_file(file)
    assert "BYOS" in str(caught.value.hint)


def test_a_file_without_a_link(speech: SpeechClient) -> None:
    with pytest.raises(ServiceError, match="no link"):
        speech.read_file(File(name="f"))


def test_the_resource_is_named_by_whoever_knows_better(server: ScriptedServer) -> None:
    with SpeechClient(server.url, "k", resource="offline/7f3a") as speech:
        assert speech.resource == "offline/7f3a"
        assert repr(speech) == f"SpeechClient('{server.url}', resource='offline/7f3a')"
