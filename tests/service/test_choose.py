"""The choice of a base model: by what it takes, by its dates, the newest."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from speech_mlflow.errors import SettingsError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.choose import choose_base_model
from tests.service.scripted import Reply, ScriptedServer

ALL = ["Language", "Acoustic", "Pronunciation"]


def model(name: str, *, ends: str | None = "2027-01-15", takes: list[str] | None = None, **more: Any) -> dict[str, Any]:
    dates = {"adaptationDateTime": f"{ends}T00:00:00Z"} if ends else {}
    return {
        "displayName": name,
        "locale": "en-US",
        "status": "Succeeded",
        "createdDateTime": f"{name[:4]}-{name[4:6]}-{name[6:8]}T00:00:00Z",
        "properties": {"deprecationDates": dates, "features": {"supportsAdaptationsWith": takes or ALL}},
        **more,
    }


def offering(server: ScriptedServer, *models: dict[str, Any]) -> None:
    values = [{**one, "self": server.api(f"/models/base/{number}")} for number, one in enumerate(models)]
    server.script(Reply(200, {"values": values}))


def test_the_newest_that_fits(speech: SpeechClient, server: ScriptedServer) -> None:
    offering(
        server,
        model("20250101"),
        model("20260101"),
        model("20260201", ends="2026-02-28"),
        model("20260210", takes=["Language"]),
        model("20260220", status="Running"),
        model("20250601"),
    )
    assert choose_base_model(speech, "en-US", ["Acoustic", "Language"]).display_name == "20260101"
    assert choose_base_model(speech, "en-US", ["Language"]).display_name == "20260210"
    assert server.requests[0].path == "/speechtotext/models/base"
    assert server.requests[0].query["filter"] == "locale eq 'en-US'"


def test_on_another_day(speech: SpeechClient, server: ScriptedServer) -> None:
    offering(server, model("20250101", ends="2026-06-15"), model("20260101", ends="2026-03-15"))
    assert choose_base_model(speech, "en-US", ALL).display_name == "20260101"
    later = datetime(2026, 4, 1, tzinfo=timezone.utc)
    assert choose_base_model(speech, "en-US", ALL, on=later).display_name == "20250101"
    assert choose_base_model(speech, "en-US", ALL, on=datetime(2026, 4, 1)).display_name == "20250101"


def test_newer_ones_are_left_out_by_date(speech: SpeechClient, server: ScriptedServer) -> None:
    offering(server, model("20250101"), model("20260101"), model("20260201"))
    before = datetime(2026, 1, 31, tzinfo=timezone.utc)
    assert choose_base_model(speech, "en-US", ALL, before=before).display_name == "20260101"
    with pytest.raises(SettingsError, match=r"made before 2025-01-01 .*20250101: it was made on 2025-01-01"):
        choose_base_model(speech, "en-US", ALL, before=datetime(2025, 1, 1, tzinfo=timezone.utc))


def test_a_model_without_an_end_has_none(speech: SpeechClient, server: ScriptedServer) -> None:
    offering(server, model("20200101", ends=None))
    assert choose_base_model(speech, "en-US", ALL).display_name == "20200101"


def test_none_fits_and_why(speech: SpeechClient, server: ScriptedServer) -> None:
    bare = {"displayName": "bare", "locale": "en-US", "status": "Succeeded"}
    offering(server, model("20250101", ends="2026-01-15"), model("20260101", takes=["Language"]), bare)
    with pytest.raises(SettingsError, match="no base model for en-US can be adapted with Acoustic") as caught:
        choose_base_model(speech, "en-US", ["Acoustic"])
    assert "20250101: its adaptation ended on 2026-01-15" in str(caught.value)
    assert "20260101: it takes no Acoustic data" in str(caught.value)
    assert "bare: it takes no Acoustic data" in str(caught.value)


def test_a_locale_that_there_is_not(speech: SpeechClient, server: ScriptedServer) -> None:
    offering(server)
    with pytest.raises(SettingsError, match="no base model for 'xx-XX'"):
        choose_base_model(speech, "xx-XX", ["Language"])
