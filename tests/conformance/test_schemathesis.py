"""Two thousand generated requests of the official document against the running service: no 500, every answer valid."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.conftest import ToneService, archive, create, id_of, start_tone_service, stop_tone_service, upload
from tests.tools import require_env

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9/nothing"
"""A port where nobody listens: what is generated must never be sent to a stranger's host."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToneService]:
    started = start_tone_service(tmp_path_factory.mktemp("schemathesis"))
    yield started
    stop_tone_service(started)


class World:
    """Entities that exist, so that not every generated request ends at 404."""

    def __init__(self, service: ToneService) -> None:
        self.service = service
        self.known: dict[str, list[str]] = {}
        self.fill()

    def fill(self) -> None:
        """Make one of each, and remember everything that is there."""
        service = self.service
        project = create(service, "/projects")
        sounds = upload(service, "Acoustic", archive({"a.wav": "one two"}), project={"self": project["self"]})
        text = upload(service, "Language", "the gastric ward")
        create(service, "/datasets", kind="Language")
        model = service.wait(create(service, "/models", datasets=[{"self": text["self"]}]))
        create(service, "/endpoints", model={"self": model["self"]})
        sides = {"model1": {"self": model["self"]}, "model2": {"self": model["self"]}}
        service.wait(create(service, "/evaluations", **sides, dataset={"self": sounds["self"]}))
        create(service, "/webhooks", webUrl=NOWHERE, events={"ping": True})
        for kind in ("projects", "datasets", "models", "endpoints", "evaluations", "transcriptions", "webhooks"):
            self.known[kind] = [value["self"] for value in service.api.get(f"/{kind}").json()["values"]]
        self.known["models/base"] = [value["self"] for value in service.api.get("/models/base").json()["values"]]

    def ids(self, path: str) -> list[str]:
        """Ids that fit the first part of a path."""
        kind = "models/base" if path.startswith("/models/base") else path.split("/")[1].partition(":")[0]
        return [id_of({"self": url}) for url in self.known.get(kind, ())]

    def reference(self, name: str) -> list[str]:
        """URLs that fit the name of a reference."""
        kinds = {"baseModel": "models/base", "model1": "models", "model2": "models/base", "links": "models"}
        return self.known.get(kinds.get(name, f"{name}s"), []) or self.known["datasets"]


def tame(world: World, data: st.DataObject, value: Any, name: str = "") -> Any:
    """Point generated links to entities that exist, and generated web addresses to nowhere."""
    if isinstance(value, dict):
        return {key: tame(world, data, item, name if key == "self" else key) for key, item in value.items()}
    if isinstance(value, list):
        return [tame(world, data, item, name.removesuffix("s") if name != "contentUrls" else name) for item in value]
    if isinstance(value, str) and name in (
        "contentUrl",
        "contentUrls",
        "webUrl",
        "contentContainerUrl",
        "targetResourceEndpoint",
    ):
        return NOWHERE
    if isinstance(value, str) and name in ("project", "dataset", "model", "model1", "model2", "baseModel"):
        return data.draw(st.sampled_from([*world.reference(name) * 5, value]))
    if isinstance(value, str) and name == "locale":
        return data.draw(st.sampled_from(["en-US"] * 8 + ["de-DE", value]))
    return value


def exercise(operation: Any, mode: Any, world: World, each: int, checks: list[Any], statuses: Counter[int]) -> None:
    """Send generated requests of one operation."""
    headers = {"Ocp-Apim-Subscription-Key": world.service.key.get_secret_value()}

    @given(data=st.data(), case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=each,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(data: st.DataObject, case: Any) -> None:
        case.headers = {}  # the key comes from here
        if "id" in case.path_parameters:
            case.path_parameters["id"] = data.draw(st.sampled_from([*world.ids(operation.path), case.path_parameters["id"]]))
        if data.draw(st.sampled_from([True] * 19 + [False])):
            case.query["api-version"] = "2025-10-15"
        if isinstance(case.body, dict | list):
            case.body = tame(world, data, case.body)
        answer = case.call(base_url=f"{world.service.url}/speechtotext", headers=headers)
        # an empty answer has no content whose type could be told
        fitting = [check for check in checks if answer.content or check.__name__ != "content_type_conformance"]
        case.validate_response(answer, checks=fitting)
        statuses[answer.status_code] += 1

    run()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("mode", "requests"), [("positive", 2_000), ("negative", 1_000)])
def test_generated_requests_meet_no_error_of_the_service(service: ToneService, mode: str, requests: int) -> None:
    from schemathesis.checks import load_all_checks, not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    load_all_checks()
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]
    document = json.loads(Path(require_env("SPEECH_MLFLOW_SPEC")).read_text(encoding="utf-8"))
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    world = World(service)
    statuses: Counter[int] = Counter()
    each = -(-requests // len(operations))

    for operation in operations:
        exercise(operation, schemathesis.GenerationMode(mode), world, each, checks, statuses)
        if operation.method == "delete":
            world.fill()

    print(sorted(statuses.items()))
    assert sum(statuses.values()) >= requests
    if mode == "positive":
        assert statuses[200] > 100
        assert statuses[201] > 50
        assert statuses[404] > 50
    else:
        assert statuses[400] > 300
