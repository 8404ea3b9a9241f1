"""Settings: flags > ``SPEECH_MLFLOW_*`` > ``speech-mlflow.toml`` > default, and where each value came from."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import ConfigDict, Field, SecretStr

from speech_mlflow.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its older name
    import tomli as tomllib

FILE = "speech-mlflow.toml"
PREFIX = "SPEECH_MLFLOW_"
BORROWED = {
    "tracking_uri": "MLFLOW_TRACKING_URI",
    "registry_uri": "MLFLOW_REGISTRY_URI",
    "experiment": "MLFLOW_EXPERIMENT_NAME",
}
"""Settings that also listen to MLflow's own environment variable, which ranks just below ours."""

Origin = Literal["flag", "environment", "file", "default"]


class Settings(pydantic.BaseModel):
    """Everything that can be set. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = Field(
        default=None,
        description="URL of the speech resource, https://NAME.cognitiveservices.azure.com; none: the offline service",
    )
    key: SecretStr | None = Field(
        default=None, description="key of the speech resource; none: Microsoft Entra ID (azure-identity)"
    )
    tenant: str | None = Field(default=None, description="Entra tenant to sign in to, where the default is not the right one")
    recognition_host: str | None = Field(
        default=None,
        description="URL of the recognition host, https://REGION.stt.speech.microsoft.com; none: the endpoint's host",
    )
    project: str | None = Field(default=None, description="name of the project that entities are put in")
    locale: str = Field(default="en-US", description="locale of data and models")
    tracking_uri: str = Field(default="sqlite:///mlflow.db", description="MLflow tracking server or store")
    registry_uri: str | None = Field(default=None, description="MLflow model registry; none: the tracking server's")
    experiment: str = Field(default="speech", description="MLflow experiment of the runs")
    artifact_location: str | None = Field(default=None, description="where a new experiment puts its artifacts")
    state_dir: Path = Field(default=Path(".speech-mlflow"), description="state of the offline service")
    trigger: Literal["stage", "alias"] = Field(default="stage", description="what marks a version to be served")
    targets: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by registered model: what serves it, under which gates"
    )
    poll_seconds: float = Field(default=5.0, gt=0, description="how often the controller reads the registry")

    _origins: dict[str, Origin] = pydantic.PrivateAttr(default_factory=dict)

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> Settings:
        """Merge the sources. Flags that are None count as not given.

        Raises SettingsError naming every key that is unknown or wrong, where it came from, and the nearest known name.
        """
        environ = os.environ if environ is None else environ
        path = (Path.cwd() if directory is None else directory) / FILE
        sources: list[tuple[Origin, dict[str, Any]]] = [
            ("file", _read_file(path)),
            ("environment", _read_environment(environ)),
            ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
        ]
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = dict.fromkeys(cls.model_fields, "default")
        unknown = []
        for origin, source in sources:
            for name, value in source.items():
                if name not in cls.model_fields:
                    unknown.append(f"{_where(origin, name, path)}{_nearest(name, cls.model_fields)}")
                    continue
                values[name], origins[name] = value, origin
        if unknown:
            raise SettingsError(f"unknown setting: {'; '.join(unknown)}", hint="`speech-mlflow config show` lists the settings")
        try:
            settings = cls(**values)
        except pydantic.ValidationError as error:
            # pydantic's own text prints the input, which may be a secret
            wrong = [
                f"{_where(origins.get(str(item['loc'][0]), 'default'), str(item['loc'][0]), path)}: {item['msg']}"
                for item in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError(f"wrong setting: {'; '.join(wrong)}") from None
        settings._origins.update(origins)
        return settings

    def origin(self, name: str) -> Origin:
        """Where the value of a setting came from."""
        return self._origins.get(name, "default")


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    return values


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {name: environ[variable] for name, variable in BORROWED.items() if environ.get(variable)}
    for name in Settings.model_fields:
        if environ.get(variable := PREFIX + name.upper()):
            values[name] = environ[variable]
    return values


def _where(origin: Origin, name: str, path: Path) -> str:
    if origin == "environment":
        return PREFIX + name.upper()
    return f"{name} in {path}" if origin == "file" else name


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
