"""The JSON schema of the settings file, by which editors complete and check it."""

from __future__ import annotations

import json
from typing import Any

from speech_mlflow.pipeline.declared import SettingsFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of ``speech-mlflow.toml``, from the same records that read it."""
    about = {"title": "speech-mlflow.toml", "description": "Settings of speech_mlflow, and what `speech-mlflow run` does"}
    return {"$schema": DIALECT, **_trimmed(SettingsFile.model_json_schema()), **about}


def text() -> str:
    """The schema as it is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _trimmed(value: Any) -> Any:
    """Without the titles that pydantic makes of names: they only repeat them; and without null, which TOML does not have."""
    if isinstance(value, list):
        return [_trimmed(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: {name: _trimmed(one) for name, one in part.items()} if key in {"properties", "$defs"} else _trimmed(part)
        for key, part in value.items()
        if not (key == "title" and isinstance(part, str)) and not (key == "default" and part is None)
    }
    choices = [one for one in kept.get("anyOf", []) if one != {"type": "null"}]
    if len(choices) == 1 and len(kept["anyOf"]) == 2:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return kept
