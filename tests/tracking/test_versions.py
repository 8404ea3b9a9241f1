from __future__ import annotations

import pytest

from speech_mlflow.errors import TrackingError
from speech_mlflow.tracking import registry, tags
from speech_mlflow.tracking.versions import list_versions
from tests.fixtures.mlflow import MlflowStore


def test_versions_of_speech_models_are_listed_and_no_others(mlflow_store: MlflowStore) -> None:
    client = mlflow_store.client
    for name in ("dr. o'neil's", 'the "new" one', "not speech"):
        client.create_registered_model(name)
        for number in ("1", "2"):
            facts = {tags.MODEL_ID: f"{name} {number}", tags.WER: "0.25"} if name != "not speech" else {}
            client.create_model_version(name, source="file:///tmp/model", tags=facts)
    client.set_registered_model_alias("dr. o'neil's", "champion", "1")
    rows = list_versions(client)
    assert [(row.name, row.version) for row in rows] == [
        ("dr. o'neil's", 2),
        ("dr. o'neil's", 1),
        ('the "new" one', 2),
        ('the "new" one', 1),
    ]
    assert [row.aliases for row in rows] == [(), ("champion",), (), ()]
    assert {row.wer for row in rows} == {0.25}
    assert [row.version for row in list_versions(client, "dr. o'neil's")] == [2, 1]
    assert list_versions(client, "not speech") == []
    with pytest.raises(TrackingError, match="no registered model named 'nobody'"):
        list_versions(client, "nobody")
    assert registry.find_version(client, "dr. o'neil's").version == 2
    assert registry.find_version(client, 'the "new" one/1').tags[tags.MODEL_ID] == 'the "new" one 1'
    (found,) = registry.versions_of_model(client, None, "dr. o'neil's 1")
    assert found.name == "dr. o'neil's"


def test_a_name_with_both_kinds_of_quotation_marks_is_said(mlflow_store: MlflowStore) -> None:
    with pytest.raises(TrackingError, match="both kinds of quotation marks"):
        registry.versions(mlflow_store.client, """o'neil "junior\"""")
