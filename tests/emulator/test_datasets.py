"""Data sets: blocks, content URLs, checks of each kind, what is rejected and reported, what fails."""

from __future__ import annotations

import base64
import http.server
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.conftest import (
    archive,
    base_model,
    commit,
    create,
    error_of,
    files_of,
    id_of,
    put_blocks,
    ref,
    upload,
)
from tests.fixtures.emulator import RunningEmulator, StartEmulator


@pytest.fixture(scope="module")
def service(emulator_factory: StartEmulator) -> Iterator[RunningEmulator]:
    started = emulator_factory()
    yield started
    started.stop()


def put(
    service: RunningEmulator, dataset: dict[str, Any], name: str, content: bytes, kind: str = "application/octet-stream"
) -> Any:
    path = f"/datasets/{id_of(dataset)}/blocks"
    return service.api.put(path, params={"blockid": name}, content=content, headers={"Content-Type": kind})


def block(name: str) -> str:
    return base64.b64encode(name.encode()).decode()


def report_of(service: RunningEmulator, dataset: dict[str, Any]) -> dict[str, Any]:
    file = files_of(service, dataset)["report.json"]
    assert file["kind"] == "DatasetReport"
    report: dict[str, Any] = service.web.get(file["links"]["contentUrl"]).json()
    return report


# blocks


def test_blocks_become_the_content_in_the_order_of_the_list(service: RunningEmulator) -> None:
    dataset = create(service, "/datasets", kind="Language")
    for part in ("commitBlocks", "listBlocks", "uploadBlocks", "files"):
        assert f"/datasets/{id_of(dataset)}/" in dataset["links"][part]
    names = [block(f"{number:04}") for number in range(3)]
    for name, content in zip(names, (b"the third\n", b"the first\n", b"the second\n"), strict=True):
        assert put(service, dataset, name, content).status_code == 201
    assert put(service, dataset, names[0], b"the last\n").status_code == 201  # replaces
    listed = service.api.get(f"/datasets/{id_of(dataset)}/blocks").json()
    assert listed["committedBlocks"] == []
    assert {item["name"]: item["size"] for item in listed["uncommittedBlocks"]} == dict(zip(names, (9, 10, 11), strict=True))
    commit(service, dataset, [names[1], names[2], names[0]])
    done = service.wait(dataset)
    assert done["properties"]["acceptedLineCount"] == 3
    uploaded = files_of(service, done)["languagedata"]
    assert service.web.get(uploaded["links"]["contentUrl"]).content == b"the first\nthe second\nthe last\n"
    listed = service.api.get(f"/datasets/{id_of(dataset)}/blocks").json()
    assert ([item["name"] for item in listed["committedBlocks"]], listed["uncommittedBlocks"]) == (
        [names[1], names[2], names[0]],
        [],
    )


def test_a_commit_may_be_repeated_but_not_changed(service: RunningEmulator) -> None:
    dataset = create(service, "/datasets", kind="Language")
    ids = put_blocks(service, dataset, b"one sentence\nand another one\n", 20)
    commit(service, dataset, ids)
    commit(service, dataset, ids)  # the first answer may have been lost
    path = f"/datasets/{id_of(dataset)}/blocks:commit"
    error_of(service.api.post(path, json=[{"kind": "Latest", "id": ids[0]}]), 409, "Conflict", "InvalidDataset")
    error_of(put(service, dataset, ids[0], b"x"), 409, "Conflict", "InvalidDataset")
    assert service.wait(dataset)["properties"]["acceptedLineCount"] == 2


@pytest.mark.parametrize("name", ["", "not base64!", "QQ", base64.b64encode(b"x" * 65).decode()])
def test_a_block_id_that_is_wrong(service: RunningEmulator, name: str) -> None:
    dataset = create(service, "/datasets", kind="Language")
    error_of(put(service, dataset, name, b"x"), 400, "InvalidRequest", "InvalidParameter")


def test_rules_of_blocks(service: RunningEmulator) -> None:
    dataset = create(service, "/datasets", kind="Language")
    assert put(service, dataset, block("0001"), b"x" * (8 << 20)).status_code == 201
    error_of(put(service, dataset, block("00001"), b"x"), 400, "InvalidRequest", "InvalidParameter")  # another length
    error_of(put(service, dataset, block("0002"), b"x" * ((8 << 20) + 1)), 413, "InvalidRequest", "InvalidPayload")
    error_of(put(service, dataset, block("0002"), b""), 400, "InvalidRequest", "EmptyRequest")
    error_of(put(service, dataset, block("0002"), b"x", "text/plain"), 415, "UnsupportedMediaType")
    path = f"/datasets/{id_of(dataset)}/blocks:commit"
    for entries in ([{"kind": "Latest", "id": block("0009")}], [{"kind": "Committed", "id": block("0001")}], [], [{"id": "x"}]):
        error_of(service.api.post(path, json=entries), 400, "InvalidRequest", "InvalidPayload")
    absent = {"self": "x/00000000-0000-0000-0000-000000000000"}
    error_of(put(service, absent, block("0001"), b"x"), 404, "NotFound")
    assert len(service.api.get(f"/datasets/{id_of(dataset)}/blocks").json()["uncommittedBlocks"]) == 1
    assert service.api.delete(f"/datasets/{id_of(dataset)}").status_code == 204


# content URLs


class Web:
    """A web server with one content, which a test may change."""

    def __init__(self) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *args: Any) -> None:
                pass

        self.content, self.status = b"", 200
        self.headers: list[dict[str, str]] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/data.zip?sig=x"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    started = Web()
    yield started
    started.server.shutdown()
    started.server.server_close()


def test_content_is_fetched_from_a_url_without_the_key(service: RunningEmulator, web: Web) -> None:
    web.content = archive({"a.wav": "one two"})
    dataset = create(service, "/datasets", kind="Acoustic", contentUrl=web.url)
    assert dataset["contentUrl"] == web.url
    assert "uploadBlocks" not in dataset["links"]
    done = service.wait(dataset)
    assert done["status"] == "Succeeded"
    assert service.key.get_secret_value() not in str(web.headers)
    error_of(service.api.get(f"/datasets/{id_of(dataset)}/blocks"), 409, "Conflict", "InvalidDataset")


def test_content_that_cannot_be_fetched(service: RunningEmulator, web: Web) -> None:
    web.status = 403
    failed = service.wait(create(service, "/datasets", kind="Acoustic", contentUrl=web.url))
    assert failed["status"] == "Failed"
    assert "403" in failed["properties"]["error"]["message"]
    failed = service.wait(create(service, "/datasets", kind="Acoustic", contentUrl="http://127.0.0.1:9/x"))
    assert failed["properties"]["error"]["code"] == "InvalidPayload"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\none sentence\nhalf a sen",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\none sentence\n\r\n",
        b"no HTTP at all\r\n\r\n",
    ],
    ids=["cut", "cut chunks", "no http"],
)
def test_content_of_which_only_a_part_arrives_is_not_taken(service: RunningEmulator, answer: bytes) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/data.txt"
        failed = service.wait(create(service, "/datasets", kind="Language", contentUrl=url))
    assert (failed["status"], failed["properties"]["error"]["code"]) == ("Failed", "InvalidPayload")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "data.zip", "http://", "http://a b/", "http://a:port/", "http://[a"]
)
def test_a_content_url_that_is_none(service: RunningEmulator, url: str) -> None:
    body = {"displayName": "a", "locale": "en-US", "kind": "Acoustic", "contentUrl": url}
    error_of(service.api.post("/datasets", json=body), 400, "InvalidRequest", "InvalidPayload")


# audio


def test_recordings_are_taken_and_the_rest_is_reported(service: RunningEmulator) -> None:
    good = archive({"a.wav": "one two three", "b.wav": "four"}, transcript=False)
    out = io.BytesIO(good)
    with zipfile.ZipFile(out, "a") as file:
        file.writestr("c.wav", b"RIFF no audio at all")
        file.writestr("d.wav", zipfile.ZipFile(io.BytesIO(good)).read("a.wav"))
        file.writestr("__MACOSX/._a.wav", b"junk")
        lines = "a.wav\tone two three\r\nb.wav four\r\nc.wav\tone\r\n\r\na.wav\tagain\r\nmissing.wav\tone\r\nb.wav\t \r\n"
        file.writestr("folder/trans.tsv", "\ufeff" + lines)
    done = upload(service, "Acoustic", out.getvalue())
    assert done["status"] == "Succeeded"
    properties = done["properties"]
    assert (properties["acceptedLineCount"], properties["rejectedLineCount"]) == (1, 7)
    assert properties["durationMilliseconds"] == 500
    report = report_of(service, done)
    found = sorted((error["lineNumber"], error["errorKind"]) for error in report["errors"])
    assert found == [
        (0, "MissingTranscription"),
        (0, "MissingTranscription"),
        (2, "MissingTab"),
        (3, "InvalidAudio"),
        (5, "DuplicateTranscription"),
        (6, "MissingAudio"),
        (7, "EmptyTranscription"),
    ]
    assert all(error["message"] for error in report["errors"])
    files = files_of(service, done)
    assert {file["kind"] for file in files.values()} == {
        "Audio",
        "AcousticDataArchive",
        "AcousticDataTranscriptionV2",
        "DatasetReport",
    }
    assert files["a.wav"]["properties"]["durationMilliseconds"] == 500


def test_an_audio_set_needs_no_transcripts(service: RunningEmulator) -> None:
    done = upload(service, "AudioFiles", archive({"a.wav": "one two"}, transcript=False))
    assert (done["status"], done["properties"]["acceptedLineCount"]) == ("Succeeded", 1)


def test_of_recordings_with_one_name_the_first_is_taken(service: RunningEmulator) -> None:
    first, second = (zipfile.ZipFile(io.BytesIO(archive({"a.wav": text}))).read("a.wav") for text in ("one two", "three"))
    content = archive({}, transcript=False, extra={"x/a.wav": first, "y/a.wav": second, "trans.txt": b"a.wav\tone two\n"})
    done = upload(service, "Acoustic", content)
    assert (done["properties"]["acceptedLineCount"], done["properties"]["rejectedLineCount"]) == (1, 1)
    assert [error["errorKind"] for error in report_of(service, done)["errors"]] == ["DuplicateAudio"]
    audio = files_of(service, done)["a.wav"]
    assert service.web.get(audio["links"]["contentUrl"]).content == first


def test_a_sample_rate_that_no_model_takes_is_rejected(service: RunningEmulator) -> None:
    from tone_engine import speak

    content = archive({"a.wav": "one"}, transcript=False, extra={"b.wav": speak("one", 192_000), "c.wav": speak("one", 7_000)})
    done = upload(service, "AudioFiles", content)
    assert (done["properties"]["acceptedLineCount"], done["properties"]["rejectedLineCount"]) == (1, 2)
    assert {error["errorKind"] for error in report_of(service, done)["errors"]} == {"InvalidAudio"}


def broken_archives() -> dict[str, bytes]:
    whole = archive({"a.wav": "one two"})
    climbing = io.BytesIO()
    with zipfile.ZipFile(climbing, "w") as file:
        file.writestr("../a.wav", b"x")
    return {
        "nothing": b"\x00",
        "text": b"this is no archive",
        "cut": whole[:-30],
        "climbing": climbing.getvalue(),
        "no transcript": archive({"a.wav": "one two"}, transcript=False),
        "two transcripts": archive({"a.wav": "one two"}, extra={"more.txt": b"a.wav\tone"}),
        "no audio": archive({}, extra={"a.mp3": b"x"}),
        "utf-16": archive({"a.wav": "one two"}, transcript=False, extra={"trans.txt": "a.wav\tone".encode("utf-16")}),
    }


@pytest.mark.parametrize("name", sorted(broken_archives()))
def test_an_archive_that_is_of_no_use_fails_with_a_reason(service: RunningEmulator, name: str) -> None:
    done = upload(service, "Acoustic", broken_archives()[name])
    assert done["status"] == "Failed"
    assert len(done["properties"]["error"]["message"]) > 20
    assert done["properties"]["error"]["code"] in ("DataImportFailed", "NoUtf8WithBom")
    assert not (service.state_dir.parent / "a.wav").exists()


# text


def test_related_text_is_normalised_and_bad_lines_are_rejected(service: RunningEmulator) -> None:
    lines = [
        "Tune to 102.7, please!",
        "",
        "yeah yeah yeah yeah that is it",
        "aaaargh",
        "see https://example.org for it",
        "a “quoted” word—here",
        "the café is open",
        "!!!",
        "control \x07 character",
    ]
    done = upload(service, "Language", "\r\n".join(lines))
    assert (done["properties"]["acceptedLineCount"], done["properties"]["rejectedLineCount"]) == (2, 6)
    assert done["properties"]["textNormalizationKind"] == "Default"
    kinds = {error["lineNumber"]: error["errorKind"] for error in report_of(service, done)["errors"]}
    assert kinds == {
        3: "TooManyRepetitions",
        4: "TooManyRepetitions",
        5: "ContainsUri",
        7: "InvalidCharacters",
        8: "EmptyLine",
        9: "InvalidCharacters",
    }
    normalised = files_of(service, done)["normalized.txt"]
    assert service.web.get(normalised["links"]["contentUrl"]).text == (
        "tune to one oh two point seven please\na quoted word here\n"
    )


def test_an_import_leaves_nothing_in_the_work_folder(service: RunningEmulator) -> None:
    assert upload(service, "Language", "one sentence\n")["status"] == "Succeeded"
    assert upload(service, "Acoustic", archive({"a.wav": "one"}))["status"] == "Succeeded"
    assert upload(service, "Acoustic", b"no archive")["status"] == "Failed"
    assert list((service.state_dir / "work").iterdir()) == []


def test_text_that_nothing_is_left_of_fails_with_a_report(service: RunningEmulator) -> None:
    done = upload(service, "Language", "aaaa\nbbbb\n")
    assert done["status"] == "Failed"
    assert (done["properties"]["acceptedLineCount"], done["properties"]["rejectedLineCount"]) == (0, 2)
    assert len(report_of(service, done)["errors"]) == 2


def test_text_of_another_encoding_fails(service: RunningEmulator) -> None:
    done = upload(service, "Language", "straße\n".encode("latin-1"))
    assert done["properties"]["error"]["code"] == "NoUtf8WithBom"


def test_pronunciations(service: RunningEmulator) -> None:
    lines = ["3CPO\tthree c p o", "C. N. T. K.\tc n t k", "no tab here", "x\t", "IEEE\ti 3 e", f"long\t{'very' * 20}long 2"]
    done = upload(service, "Pronunciation", "\n".join([*lines, "o'clock\to-clock a. m."]))
    assert (done["properties"]["acceptedLineCount"], done["properties"]["rejectedLineCount"]) == (3, 4)
    kinds = [error["errorKind"] for error in report_of(service, done)["errors"]]
    assert kinds == ["MissingTab", "EmptyForm", "InvalidCharacters", "InvalidCharacters"]
    assert files_of(service, done)["pronunciation.txt"]["kind"] == "PronunciationData"


STRUCTURED = """// a comment
@ list pet =
- cat
- dog

@ speech:phoneticlexicon
- cat/k ae t

# Sentences
- what {@pet} do you have
- no reference
nonsense
"""


def test_structured_text(service: RunningEmulator) -> None:
    done = upload(service, "LanguageMarkdown", STRUCTURED)
    assert (done["status"], done["properties"]["acceptedLineCount"]) == ("Succeeded", 5)
    assert [error["lineNumber"] for error in report_of(service, done)["errors"]] == [12]
    assert upload(service, "LanguageMarkdown", "nothing of the kind\n")["status"] == "Failed"


def test_output_format(service: RunningEmulator) -> None:
    done = upload(service, "OutputFormatting", "#rewrite\ncovered 19\tCOVID-19\n#test\ncovered 19\tCOVID-19.\n")
    assert (done["status"], done["properties"]["acceptedLineCount"]) == ("Succeeded", 2)
    assert files_of(service, done)["outputformatting.md"]["kind"] == "OutputFormattingData"


# use and end


def test_a_data_set_at_work_or_in_use_cannot_be_deleted(start_emulator: StartEmulator) -> None:
    from speech_mlflow.emulator.options import StateProgress

    service = start_emulator(progress=StateProgress("reads", 3))
    dataset = create(service, "/datasets", kind="Language")
    commit(service, dataset, put_blocks(service, dataset, b"one sentence\n"))
    error_of(service.api.delete(f"/datasets/{id_of(dataset)}"), 409, "Conflict", "DeleteNotAllowed")
    service.wait(dataset)
    model = create(service, "/models", baseModel=ref(base_model(service)), datasets=[ref(dataset)])
    error_of(service.api.delete(f"/datasets/{id_of(dataset)}"), 409, "Conflict", "InUseViolation")
    error_of(service.api.delete(f"/models/{id_of(model)}"), 409, "Conflict", "DeleteNotAllowed")


def test_deleting_a_data_set_takes_its_contents_along(service: RunningEmulator) -> None:
    dataset = upload(service, "Language", "a sentence to be forgotten\n")
    files = files_of(service, dataset)
    url = files["languagedata"]["links"]["contentUrl"]
    assert service.web.get(url).status_code == 200
    assert service.api.delete(f"/datasets/{id_of(dataset)}").status_code == 204
    assert service.web.get(url).status_code == 404
    assert service.api.get(f"/datasets/{id_of(dataset)}").status_code == 404
    assert service.api.get(f"/datasets/{id_of(dataset)}/files").status_code == 404
    assert service.api.delete(f"/datasets/{id_of(dataset)}").status_code == 204


def test_files_are_filtered_and_paged(service: RunningEmulator) -> None:
    dataset = upload(service, "Acoustic", archive({f"{n}.wav": "one" for n in range(5)}))
    path = f"/datasets/{id_of(dataset)}/files"
    query = {"filter": "kind eq 'Audio'", "top": 3, "sasLifetimeMinutes": 5}
    page = service.api.get(path, params=query).json()
    assert [file["name"] for file in page["values"]] == ["0.wav", "1.wav", "2.wav"]
    rest = service.follow(page["@nextLink"])
    assert [file["name"] for file in rest["values"]] == ["3.wav", "4.wav"]
    one = service.follow(rest["values"][0]["self"])
    assert one["name"] == "3.wav"
    for minutes in ("0", "-1", "x", "99999999", "9" * 5000):
        answer = service.api.get(path, params={"sasLifetimeMinutes": minutes})
        error_of(answer, 400, "InvalidRequest", "InvalidSasValidityDuration")
    error_of(service.api.get(f"{path}/00000000-0000-0000-0000-000000000000"), 404, "NotFound")
