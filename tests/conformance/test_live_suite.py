"""One suite for the offline service and for a real speech resource: what the client promises, it keeps on both.

The real one takes part with SPEECH_MLFLOW_LIVE=1, SPEECH_MLFLOW_ENDPOINT and SPEECH_MLFLOW_KEY (without the key, azure-identity
signs in). It trains one small model and hosts it for some minutes, which costs money; everything is deleted at the end.
"""

from __future__ import annotations

import http.server
import io
import os
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from speech_mlflow.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    ServiceError,
    SpeechMlflowError,
)
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.service import KeyCredential, SpeechClient, TokenCredential, filters
from speech_mlflow.service.choose import choose_base_model
from speech_mlflow.service.entities import CustomModel, Dataset, Endpoint, Evaluation, Project
from speech_mlflow.service.upload import find_dataset, upload_dataset
from tests.waiting import until

CLINIC = Path(__file__).parents[2] / "examples" / "clinic"
UTTERANCES = 3
trains = pytest.mark.slow  # needs the model that is trained once for all of these
SORTS = {"testing": ("Acoustic", "test"), "language": ("Language", "terms")}


@dataclass
class Resource:
    """A service, and what this suite has made on it. ``run`` is in every name, so that nothing foreign is touched."""

    speech: SpeechClient
    live: bool
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    cleanups: list[Callable[[], Any]] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)

    def once(self, key: str, make: Callable[[], Any], delete: Callable[[Any], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
            self.cleanups.append(lambda: delete(self.made[key]))
        return self.made[key]

    def name(self, text: str) -> str:
        return f"conformance {self.run} {text}"


def live_client() -> SpeechClient:
    endpoint, key = os.environ.get("SPEECH_MLFLOW_ENDPOINT"), os.environ.get("SPEECH_MLFLOW_KEY")
    if os.environ.get("SPEECH_MLFLOW_LIVE") != "1" or not endpoint:
        pytest.skip("no real resource: SPEECH_MLFLOW_LIVE=1 and SPEECH_MLFLOW_ENDPOINT are not set")
    return SpeechClient(endpoint, KeyCredential(key) if key else TokenCredential())


@pytest.fixture(scope="module", params=["offline", pytest.param("azure", marks=pytest.mark.live)])
def resource(request: pytest.FixtureRequest) -> Iterator[Resource]:
    if request.param == "azure":
        speech = live_client()
    else:
        service = request.getfixturevalue("emulator")
        speech = SpeechClient(service.url, service.key, resource=service.resource)
    resource = Resource(speech, live=request.param == "azure")
    yield resource
    for cleanup in reversed(resource.cleanups):
        with suppress(SpeechMlflowError):
            cleanup()
    speech.close()


def archive_of_utterances() -> bytes:
    """The first utterances of the example's test data, as the service takes them."""
    folder = CLINIC / "testing"
    transcript = next(iter(sorted(folder.glob("*.txt")) + sorted(folder.glob("*.tsv"))))
    lines = transcript.read_text(encoding="utf-8-sig").splitlines()[:UTTERANCES]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for line in lines:
            archive.write(folder / line.split("\t")[0], line.split("\t")[0])
        archive.writestr("trans.txt", "\ufeff" + "\n".join(lines) + "\n")
    return out.getvalue()


def project(resource: Resource) -> Project:
    speech = resource.speech
    return resource.once(
        "project",
        lambda: speech.projects.create(display_name=resource.name("project"), locale="en-US", description="a test"),
        lambda made: speech.projects.delete(made),
    )


def dataset(resource: Resource, which: str, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    speech = resource.speech
    kind, name = SORTS[which]

    def make() -> Dataset:
        path = tmp_path_factory.mktemp("upload") / ("test.zip" if which == "testing" else "terms.txt")
        text = (CLINIC / "training" / "related-text.txt").read_text(encoding="utf-8-sig")
        path.write_bytes(archive_of_utterances() if which == "testing" else ("\ufeff" + text).encode())
        return upload_dataset(
            speech,
            path,
            kind=kind,
            locale="en-US",
            display_name=resource.name(name),
            fingerprint=(resource.run + which).ljust(64, "0"),
            project=project(resource),
        )

    return resource.once(which, make, lambda made: speech.datasets.delete(made))


def model(resource: Resource, factory: pytest.TempPathFactory) -> CustomModel:
    speech = resource.speech

    def make() -> CustomModel:
        base = choose_base_model(speech, "en-US", ["Language"])
        asked = speech.models.create(
            display_name=resource.name("model"),
            locale="en-US",
            base_model=base,
            datasets=[dataset(resource, "language", factory)],
            custom_model_weight_percent=50,
            project=project(resource),
        )
        return speech.wait(asked)

    return resource.once("model", make, lambda made: speech.models.delete(made))


def evaluation(resource: Resource, factory: pytest.TempPathFactory) -> Evaluation:
    speech = resource.speech

    def make() -> Evaluation:
        custom = model(resource, factory)
        asked = speech.evaluations.create(
            display_name=resource.name("evaluation"),
            locale="en-US",
            model1=custom.base_model or pytest.fail("a custom model names its base"),
            model2=custom,
            dataset=dataset(resource, "testing", factory),
            project=project(resource),
        )
        return speech.wait(asked)

    return resource.once("evaluation", make, lambda made: speech.evaluations.delete(made))


def endpoint(resource: Resource, factory: pytest.TempPathFactory) -> Endpoint:
    speech = resource.speech

    def make() -> Endpoint:
        made = speech.endpoints.create(
            display_name=resource.name("endpoint"),
            locale="en-US",
            model=model(resource, factory),
            project=project(resource),
        )
        return speech.wait(made)

    return resource.once("endpoint", make, lambda made: speech.endpoints.delete(made))


def first_utterance() -> bytes:
    return sorted((CLINIC / "testing").glob("*.wav"))[0].read_bytes()


def test_locales(resource: Resource) -> None:
    speech = resource.speech
    for collection in (speech.projects, speech.datasets, speech.models, speech.evaluations, speech.endpoints):
        assert "en-US" in collection.locales()
    assert "en-US" in speech.datasets.supported_locales().Language
    assert "en-US" in speech.transcriptions.locales()


def test_a_project_is_made_found_changed_and_deleted(resource: Resource) -> None:
    speech = resource.speech
    name = resource.name('Anna\'s project; 100 % "quoted" & more')
    made = speech.projects.create(display_name=name, locale="en-US", custom_properties={"plan": "p"})
    found = list(speech.projects.list(filters.eq("displayName", name) & filters.eq("locale", "en-US")))
    assert [one.id for one in found] == [made.id]
    changed = speech.projects.update(made, description="changed", custom_properties={"plan": "q"})
    assert (changed.display_name, changed.description) == (name, "changed")
    assert (speech.projects.get(made.id).custom_properties or {})["plan"] == "q"
    speech.projects.delete(made)
    speech.projects.delete(made)  # gone is gone
    with pytest.raises(NotFoundError):
        speech.projects.get(made.id)


def test_pages_are_followed(resource: Resource) -> None:
    speech = resource.speech
    made = {
        speech.projects.create(display_name=resource.name("page"), locale="en-US", description=str(number)).id
        for number in range(3)
    }
    listed = [one.id for one in speech.projects.list(filters.eq("displayName", resource.name("page")), top=1)]
    for id in made:
        speech.projects.delete(id)
    assert sorted(listed) == sorted(made)


def test_a_base_model_is_chosen_and_read(resource: Resource) -> None:
    speech = resource.speech
    base = choose_base_model(speech, "en-US", ["Language"])
    assert base.status == "Succeeded"
    again = speech.models.get_base(base.id)
    assert again.self_ == base.self_
    assert "/models/base/" in str(base.self_)


def test_data_is_uploaded_once(resource: Resource, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    speech = resource.speech
    first = dataset(resource, "testing", tmp_path_factory)
    assert first.properties is not None
    assert first.properties.accepted_line_count == UTTERANCES
    assert not first.properties.rejected_line_count
    fingerprint = (resource.run + "testing").ljust(64, "0")
    found = find_dataset(speech, kind="Acoustic", locale="en-US", display_name="another name", fingerprint=fingerprint)
    assert found is not None
    assert found.id == first.id
    events: list[ProgressEvent] = []
    (tmp_path / "copy.zip").write_bytes(archive_of_utterances())
    again = upload_dataset(
        speech,
        tmp_path / "copy.zip",
        kind="Acoustic",
        locale="en-US",
        display_name="a copy",
        fingerprint=fingerprint,
        progress=events.append,
    )
    assert again.id == first.id
    assert [event.unit for event in events] == ["s"]


def test_an_upload_waits_for_its_blocks(resource: Resource) -> None:
    speech = resource.speech
    made = speech.datasets.create(kind="Language", display_name=resource.name("blocks"), locale="en-US")
    resource.cleanups.append(lambda: speech.datasets.delete(made))
    speech.datasets.put_block(made, "QUFB", "\ufeffTake one tablet daily.\n".encode())
    speech.datasets.put_block(made, "QkJC", b"replaced")
    speech.datasets.put_block(made, "QkJC", b"Call the ward tomorrow.\n")
    blocks = {block.name: block.size for block in speech.datasets.blocks(made).uncommitted_blocks}
    assert blocks == {"QUFB": 26, "QkJC": 24}
    assert speech.datasets.get(made).status == "NotStarted"
    speech.datasets.commit_blocks(made, ["QkJC", "QUFB"])
    done = speech.wait(made)
    assert done.properties is not None
    assert done.properties.accepted_line_count == 2


def test_the_report_of_a_data_set_is_read(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    data = dataset(resource, "testing", tmp_path_factory)
    files = {file.kind: file for file in speech.datasets.files(data)}
    report = files["DatasetReport"]
    content = speech.read_file(report)
    assert content.startswith(b"{")
    again = speech.datasets.file(data, str(report.self_).partition("?")[0].rsplit("/", 1)[-1])
    assert again.name == report.name
    assert speech.download(again, tmp_path_factory.mktemp("files") / "report.json").read_bytes() == content


@trains
def test_a_model_is_trained(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    custom = model(resource, tmp_path_factory)
    assert custom.status == "Succeeded"
    assert custom.base_model is not None
    assert custom.datasets is not None
    assert [one.id for one in custom.datasets] == [dataset(resource, "language", tmp_path_factory).id]
    assert custom.properties is not None
    assert custom.properties.custom_model_weight_percent == 50
    assert custom.properties.deprecation_dates is not None
    assert custom.properties.deprecation_dates.transcription_date_time is not None
    assert "ModelReport" in {file.kind for file in speech.models.files(custom)}
    assert custom.id in {one.id for one in speech.projects.models(project(resource))}


@trains
def test_two_models_are_tested(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    tested = evaluation(resource, tmp_path_factory)
    assert tested.properties is not None
    for number, rate in ((1, tested.properties.word_error_rate1), (2, tested.properties.word_error_rate2)):
        counts = tested.properties.counts(1 if number == 1 else 2)
        assert counts is not None
        assert counts.words == counts.hits + counts.substitutions + counts.deletions
        assert counts.sentences == UTTERANCES
        assert counts.wer == pytest.approx(rate, abs=0.0001)  # the service rounds to hundredths of a percent
    details = [file for file in speech.evaluations.files(tested) if file.kind == "EvaluationDetails"]
    assert len(details) == 2 * UTTERANCES
    assert b"recognizedPhrases" in speech.read_file(details[0])
    assert tested.transcription1 is not None
    kinds = [file.kind for file in speech.transcriptions.files(tested.transcription1)]
    assert kinds.count("Transcription") == UTTERANCES
    assert kinds.count("TranscriptionReport") == 1


@trains
def test_a_model_is_deployed_heard_changed_and_in_use(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    serving = endpoint(resource, tmp_path_factory)
    heard = speech.recognize(serving, first_utterance(), language="en-US")
    assert heard.status == "Success"
    assert heard.lexical
    assert heard.duration > 0.5
    custom = model(resource, tmp_path_factory)
    with pytest.raises(ApiError):
        speech.models.delete(custom)
    changed = speech.wait(speech.endpoints.update(serving, model=custom.base_model, description="base"))
    assert changed.id == serving.id
    assert changed.model is not None
    assert custom.base_model is not None
    assert changed.model.id == custom.base_model.id
    assert speech.recognize(serving, first_utterance(), language="en-US").status == "Success"
    back = speech.wait(speech.endpoints.update(serving, model=custom))
    assert back.model is not None
    assert back.model.id == custom.id


def test_an_unknown_endpoint_hears_nothing(resource: Resource) -> None:
    with pytest.raises(ApiError) as caught:
        resource.speech.recognize(str(uuid.uuid4()), first_utterance(), language="en-US")
    assert caught.value.status in (400, 404)


@trains
def test_a_batch_is_transcribed_with_the_custom_model(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    made = speech.transcriptions.create(
        display_name=resource.name("transcription"),
        locale="en-US",
        model=model(resource, tmp_path_factory),
        dataset=dataset(resource, "testing", tmp_path_factory),
        project=project(resource),
    )
    resource.cleanups.append(lambda: speech.transcriptions.delete(made))
    done = speech.wait(made)
    transcripts = [file for file in speech.transcriptions.files(done) if file.kind == "Transcription"]
    assert len(transcripts) == UTTERANCES
    assert b"combinedRecognizedPhrases" in speech.read_file(transcripts[0])
    changed = speech.transcriptions.update(done, description="kept a while")
    assert changed.description == "kept a while"


@trains
def test_everything_is_in_its_project(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    home = project(resource)
    data = dataset(resource, "testing", tmp_path_factory)
    tested = evaluation(resource, tmp_path_factory)
    serving = endpoint(resource, tmp_path_factory)
    assert data.id in {one.id for one in speech.projects.datasets(home)}
    assert tested.id in {one.id for one in speech.projects.evaluations(home)}
    assert serving.id in {one.id for one in speech.projects.endpoints(home)}
    assert all(one.project is not None for one in speech.projects.transcriptions(home))


@trains
def test_a_model_can_be_fetched_for_a_container(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    custom = model(resource, tmp_path_factory)
    manifest = speech.models.manifest(custom)
    assert manifest.model.id == custom.id
    assert manifest.model_files
    base = speech.models.get_base(custom.base_model.id if custom.base_model else "")
    assert speech.models.manifest(base).model.id == base.id


def test_mistakes_are_told_apart(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> None:
    speech = resource.speech
    with pytest.raises(NotFoundError) as missing:
        speech.datasets.get(str(uuid.uuid4()))
    assert missing.value.code == "NotFound"
    with pytest.raises(BadRequestError) as locale:
        speech.projects.create(display_name=resource.name("nowhere"), locale="xx-XX")
    assert locale.value.inner_code == "InvalidLocale"
    with pytest.raises(BadRequestError) as bad_filter:
        list(speech.datasets.list("displayName like 'x'"))
    assert bad_filter.value.inner_code == "UnsupportedFilter"
    with pytest.raises(ApiError) as unknown_data:
        speech.models.create(display_name=resource.name("m"), locale="en-US", datasets=[str(uuid.uuid4())])
    assert 400 <= unknown_data.value.status < 500
    with SpeechClient(speech.endpoint, "wrong-key") as stranger, pytest.raises(AuthenticationError):
        list(stranger.datasets.list())


@trains
def test_a_model_is_copied_to_another_resource(
    resource: Resource, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    if resource.live:
        pytest.skip("copying needs a second real resource")
    source = request.getfixturevalue("emulator")
    target = request.getfixturevalue("emulator_factory")()
    with SpeechClient(target.url, target.key, resource=target.resource) as there:
        authorization = there.models.authorize_copy(source.resource_id)
        custom = model(resource, tmp_path_factory)
        done = resource.speech.wait(resource.speech.models.copy(custom, authorization))
        assert done.result is not None
        copied = there.models.get(str(done.result.link))
        assert copied.display_name == custom.display_name
        assert copied.status == "Succeeded"
    with pytest.raises(ServiceError):
        resource.speech.models.copy_operation(str(uuid.uuid4()))


class Receiver(http.server.ThreadingHTTPServer):
    """Answers the service's challenge and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.received: list[tuple[str, bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


class ReceiverHandler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.received.append((self.headers.get("X-MicrosoftSpeechServices-Event", ""), body))
        token = parse_qs(urlsplit(self.path).query).get("validationToken", [""])[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(token)))
        self.end_headers()
        self.wfile.write(token)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_web_hook_is_called(resource: Resource, receiver: Receiver) -> None:
    if resource.live:
        pytest.skip("a real service cannot reach a receiver on this machine")
    speech = resource.speech
    hook = speech.webhooks.create(
        display_name=resource.name("hook"), web_url=receiver.url, events=["datasetCompletion", "ping"], secret="s3cret"
    )
    assert speech.wait(hook).status == "Succeeded"
    speech.webhooks.ping(hook)
    until(lambda: len(receiver.received) >= 2)
    assert [event.lower() for event, _ in receiver.received[:2]] == ["challenge", "ping"]
    assert [one.id for one in speech.webhooks.list(filters.eq("webUrl", receiver.url))] == [hook.id]
    changed = speech.webhooks.update(hook, description="d", secret="s3cret")
    assert changed.description == "d"
    assert isinstance(speech.webhooks.test(hook), bool)
    speech.webhooks.delete(hook)
    with pytest.raises(NotFoundError):
        speech.webhooks.get(hook)
