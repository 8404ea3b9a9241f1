"""Models that expire, and base models that are newer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from speech_mlflow.errors import GateError
from speech_mlflow.promotion import lifecycle, registry
from speech_mlflow.promotion.controller import Controller
from speech_mlflow.promotion.counts import render
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import promote
from speech_mlflow.service.entities import BaseModel, CustomModel
from speech_mlflow.tracking import tags
from tests.promotion.world import NAME, World

NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)
HOST = "https://name.cognitiveservices.azure.com/speechtotext"


def day(text: str) -> str:
    return f"{text}T00:00:00Z"


def base(number: int, created: str, *, adapt_until: str = "2027-01-15", locale: str = "en-US") -> BaseModel:
    dates = {"adaptationDateTime": day(adapt_until), "transcriptionDateTime": day("2028-01-15")}
    return BaseModel.model_validate(
        {
            "self": f"{HOST}/models/base/b{number}?api-version=2025-10-15",
            "displayName": created.replace("-", ""),
            "locale": locale,
            "createdDateTime": day(created),
            "status": "Succeeded",
            "properties": {"deprecationDates": dates},
        }
    )


def custom(number: int, expires: str | None, *, of: int = 1) -> CustomModel:
    dates = {"transcriptionDateTime": day(expires)} if expires else {}
    return CustomModel.model_validate(
        {
            "self": f"{HOST}/models/m{number}?api-version=2025-10-15",
            "displayName": f"model {number}",
            "locale": "en-US",
            "status": "Succeeded",
            "baseModel": {"self": f"{HOST}/models/base/b{of}?api-version=2025-10-15"},
            "properties": {"deprecationDates": dates},
        }
    )


def registered(served: str | None, *stages: str) -> tuple[Registered, Target]:
    versions = [Version(str(n), stage, tags={tags.MODEL_ID: f"m{n}"}) for n, stage in enumerate(stages, 1)]
    noted = {tags.SERVED_VERSION: served, tags.ENDPOINT_ID: "e1"} if served else {}
    return Registered("clinic", tags=noted, versions=tuple(versions)), Target()


def test_the_soonest_comes_first_and_what_serves_is_known() -> None:
    models = [custom(1, "2026-05-11"), custom(2, "2026-04-01"), custom(3, None), custom(4, "2027-07-15")]
    found = lifecycle.lifecycle(
        [registered("1", "Production", "None", "None", "None", "None")], models, [base(1, "2025-01-01")], now=NOW
    )
    assert [(age.version, age.days, age.state) for age in found.ages] == [
        ("2", -30.0, "expired"),
        ("1", 10.0, "expires"),
        ("4", 440.0, "expires"),
        ("3", None, "unknown"),
    ]
    assert [age.version for age in found.within(30)] == ["2", "1"]
    assert [age.version for age in found.within(9.9)] == ["2"]
    assert [(age.version, age.endpoint_id) for age in found.served] == [("1", "e1")]
    assert found.next_expiry == NOW + timedelta(days=10)
    assert "endpoint e1 answers with the newest base model then" in found.served[0].reason
    assert found.served[0].newer_base is None


def test_a_newer_base_model_counts_where_it_can_be_adapted_and_is_of_the_locale() -> None:
    bases = [
        base(1, "2025-01-01"),
        base(2, "2025-10-01"),
        base(3, "2026-02-01", adapt_until="2026-04-30"),
        base(4, "2026-03-01", locale="de-DE"),
    ]
    models = [registered("1", "Production")]
    (age,) = lifecycle.lifecycle(models, [custom(1, "2027-07-15", of=1)], bases, now=NOW).ages
    assert age.newer_base == "20251001"
    assert "train on the base model 20251001" in age.reason
    (age,) = lifecycle.lifecycle(models, [custom(1, "2027-07-15", of=2)], bases, now=NOW).ages
    assert age.newer_base is None
    (age,) = lifecycle.lifecycle(models, [custom(1, "2027-07-15", of=9)], bases, now=NOW).ages
    assert age.newer_base == "20251001"  # its own is gone from the service
    (age,) = lifecycle.lifecycle([registered(None, "None")], [custom(1, "2027-07-15", of=1)], bases, now=NOW).ages
    assert age.newer_base is None  # nobody waits for a version that is not in use


def test_a_copy_in_a_region_has_a_date_and_an_endpoint_of_its_own() -> None:
    noted = {tags.MODEL_ID: "m1", f"{tags.MODEL_ID}.west": "m2"}
    served = {f"{tags.SERVED_VERSION}.west": "1", f"{tags.ENDPOINT_ID}.west": "e2"}
    model = Registered("clinic", tags=served, versions=(Version("1", "Production", tags=noted),))
    west = Target(regions=("west",)).in_region("west")
    (age,) = lifecycle.lifecycle([(model, west)], [custom(1, "2026-05-02"), custom(2, "2026-05-11")], [], now=NOW).ages
    assert (age.model_id, age.days, age.endpoint_id, age.region) == ("m2", 10.0, "e2", "west")
    assert "endpoint e2 in west answers" in age.reason


def test_the_controller_tells_once_and_counts(world: World) -> None:
    world.register()
    world.move("1")
    world.apply()
    heard: list[PromotionEvent] = []

    def hear(event: PromotionEvent) -> None:
        heard.append(event)
        if event.kind == "idle":
            controller.stop()

    controller = Controller(world.speech, world.client, lambda name: Target(), options=Options(on_event=hear, expiry_days=2000))
    controller.run()
    (told,) = [event for event in heard if event.kind == "model_expiring"]
    assert (told.version, told.endpoint_id) == ("1", world.endpoint().id)
    assert told.data["state"] == "expires"
    text = render(controller.metrics())
    expires = world.speech.models.get(world.models[0]).properties.deprecation_dates.transcription_date_time  # type: ignore[union-attr]
    assert "speech_mlflow_models_expiring 1" in text
    assert f"speech_mlflow_next_model_expiry_timestamp_seconds {expires.timestamp()!r}" in text
    controller._expiry.look(registry.read_all(world.client).values())
    assert [event.kind for event in heard].count("model_expiring") == 1


def test_a_version_that_expires_too_soon_is_not_promoted(world: World) -> None:
    world.register()
    with pytest.raises(GateError, match="gate expiry: its model expires on"):
        promote(world.speech, world.client, NAME, "1", Target(expires_within_days=5000))
    assert world.endpoints() == []
    assert promote(world.speech, world.client, NAME, "1", Target(expires_within_days=30)).served


@pytest.mark.slow
def test_models_expiring_lists_and_exits_with_5_when_asked(world: World, tmp_path: Path) -> None:
    world.register()
    world.move("2")
    world.apply()

    def run(*more: str, code: int = 0) -> str:
        environ = {
            **os.environ,
            "SPEECH_MLFLOW_ENDPOINT": world.service.address["url"],
            "SPEECH_MLFLOW_KEY": world.service.address["key"],
            "SPEECH_MLFLOW_TRACKING_URI": world.client.tracking_uri,
        }
        command = [sys.executable, "-m", "speech_mlflow", "models", "expiring", *more]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    listed = json.loads(run("--within", "5000", "--json", "--exit-code", code=5))
    assert [(one["registered_model"], one["version"]) for one in listed] == [(NAME, "1"), (NAME, "2"), (NAME, "3")]
    assert [one["endpoint_id"] for one in listed] == [None, world.endpoint().id, None]
    assert "no model of a registered version expires within 30 days" in run("--exit-code")
