"""Settings: flags > ``SPEECH_MLFLOW_*`` > ``speech-mlflow.toml`` > default, and where each value came from."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic
from pydantic import ConfigDict, Field, SecretStr

from speech_mlflow.errors import SettingsError
from speech_mlflow.toml_file import Key, problems_of, where

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its older name
    import tomli as tomllib

if TYPE_CHECKING:
    from typing_extensions import Self

FILE = "speech-mlflow.toml"
PREFIX = "SPEECH_MLFLOW_"
BORROWED = {
    "tracking_uri": "MLFLOW_TRACKING_URI",
    "registry_uri": "MLFLOW_REGISTRY_URI",
    "experiment": "MLFLOW_EXPERIMENT_NAME",
    "tenant": "AZURE_TENANT_ID",
}
"""Settings that also listen to a variable of MLflow's or Azure's own, which ranks just below ours."""
MISSPELT = 0.85
"""How alike a ``SPEECH_MLFLOW_*`` variable must be to a setting's, where it has other letters, to count as misspelt: other
variables have that prefix, too."""

Origin = Literal["flag", "environment", "file", "default"]


class Resource(pydantic.BaseModel):
    """Another speech resource: ``[resources.NAME]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(description="URL of the resource")
    key: SecretStr | None = Field(default=None, description="its key; none: Microsoft Entra ID")
    key_variable: str | None = Field(default=None, description="environment variable that holds its key")
    tenant: str | None = None
    recognition_host: str | None = None

    def secret(self, name: str) -> SecretStr | None:
        """The key, None for Microsoft Entra ID. SettingsError where its variable is not set."""
        if self.key_variable is None:
            return self.key
        value = os.environ.get(self.key_variable)
        if not value:
            raise SettingsError(f"resources.{name}: the environment variable {self.key_variable} is not set")
        return SecretStr(value)


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
        description="URL of the recognition host, https://REGION.stt.speech.microsoft.com; none: follows from the endpoint",
    )
    project: str | None = Field(default=None, description="name of the project that entities are put in")
    locale: str = Field(default="en-US", description="locale of data and models")
    tracking_uri: str = Field(default="sqlite:///mlflow.db", description="MLflow tracking server or store")
    registry_uri: str | None = Field(default=None, description="MLflow model registry; none: the tracking server's")
    experiment: str = Field(default="speech", description="MLflow experiment of the runs")
    artifact_location: str | None = Field(default=None, description="where a new experiment puts its artifacts")
    state_dir: Path = Field(default=Path(".speech-mlflow"), description="state of the offline service")
    trigger: Literal["stage", "alias", "tag"] = Field(default="stage", description="what marks a version to be served")
    targets: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by registered model: what serves it, under which gates"
    )
    poll_seconds: float = Field(default=5.0, gt=0, description="how often the controller reads the registry")
    receiver_url: str | None = Field(default=None, description="where the controller listens: an MLflow server wakes it there")
    receiver_secret: SecretStr | None = Field(default=None, description="secret that signs what is sent to the controller")
    receiver_old_secret: SecretStr | None = Field(default=None, description="the secret before, while senders are changed over")
    guard: bool = Field(
        default=True, description="an MLflow server with our app refuses moves that the evidence speaks against"
    )

    resource_id: str | None = Field(
        default=None, description="Azure resource id of the speech resource, /subscriptions/...: to copy models to others"
    )
    resources: dict[str, Resource] = Field(
        default_factory=dict, description="other speech resources by name, for the regions of targets"
    )
    expiry_days: float = Field(default=30.0, ge=0, description="how many days before a served model expires this is told")
    events_url: str | None = Field(default=None, description="where promotion events are sent, as CloudEvents over HTTP")
    events_secret: SecretStr | None = Field(default=None, description="secret that signs the events")
    pipeline: dict[str, Any] = Field(default_factory=dict, description="what `speech-mlflow run` trains, tests and promotes")

    _origins: dict[str, Origin] = pydantic.PrivateAttr(default_factory=dict)
    _sources: dict[str, str] = pydantic.PrivateAttr(default_factory=dict)

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
        file: Path | None = None,
    ) -> Self:
        """Merge the sources. Flags that are None count as not given. ``file`` is read in the place of ``speech-mlflow.toml`` in
        ``directory`` (default: the working directory).

        Raises SettingsError naming every key that is unknown or wrong, where it came from, and the nearest known name.
        """
        environ = os.environ if environ is None else environ
        path = (Path.cwd() if directory is None else directory) / FILE if file is None else file
        sources: list[tuple[Origin, dict[str, Any]]] = [
            ("file", _read_file(path)),
            ("environment", _read_environment(environ)),
            ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
        ]
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = dict.fromkeys(cls.model_fields, "default")
        wrong = _misspelt(environ)
        for origin, source in sources:
            for name, value in source.items():
                values[name], origins[name] = value, origin
        places = {name: _source(origin, name, path, environ) for name, origin in origins.items()}
        settings: Self | None = None
        try:
            settings = cls(**values)
        except pydantic.ValidationError as error:
            wrong += [
                f"{_where(origins.get(str(key[0])), key, places.get(str(key[0])), path)}: {what}"
                for key, what in problems_of(error, cls)
            ]
        if wrong or settings is None:
            hint = "`speech-mlflow config show --help` says where settings come from; the README lists them"
            raise SettingsError("\n  ".join(wrong) if len(wrong) == 1 else "\n  ".join(["wrong settings:", *wrong]), hint=hint)
        settings._origins.update(origins)
        settings._sources.update({name: place for name, place in places.items() if place})
        return settings

    def origin(self, name: str) -> Origin:
        """Where the value of a setting came from."""
        return self._origins.get(name, "default")

    def source(self, name: str) -> str | None:
        """The variable or the file that the value of a setting came from; None for flags and defaults."""
        return self._sources.get(name)

    def anchored(self, directory: Path) -> Self:
        """The settings as they are meant in the file's directory, for a process that stands elsewhere: relative paths of the
        file and of the defaults become absolute, those of flags and variables stay relative to the process."""
        update: dict[str, Any] = {}
        for name in ("tracking_uri", "registry_uri", "state_dir", "artifact_location"):
            value = getattr(self, name)
            if value is None or self.origin(name) in {"flag", "environment"}:
                continue
            text = str(value)
            if text.startswith("sqlite:///") and not text.startswith("sqlite:////"):
                update[name] = f"sqlite:///{directory.absolute() / text[len('sqlite:///') :]}"
            elif "://" not in text and ":" not in text:
                update[name] = type(value)(directory.absolute() / text)
        anchored = self.model_copy(update=update)
        anchored._origins.update(self._origins)
        anchored._sources.update(self._sources)
        return anchored


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}", hint="mend that line: the file is TOML") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="look at its permissions") from error
    return values


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {name: environ[variable] for name, variable in BORROWED.items() if environ.get(variable)}
    for name in Settings.model_fields:
        if environ.get(variable := PREFIX + name.upper()):
            values[name] = environ[variable]
    return values


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    """Variables of our prefix that are nearly a setting's."""
    known = [name.upper() for name in Settings.model_fields]
    given = [name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX)]
    near = [
        (name, [one for one in known if sorted(one) == sorted(name)] or difflib.get_close_matches(name, known, 1, MISSPELT))
        for name in given
        if name not in known
    ]
    return [f"{PREFIX}{name}: unknown (did you mean {PREFIX}{close[0]}?)" for name, close in near if close]


def _source(origin: Origin, name: str, path: Path, environ: Mapping[str, str]) -> str | None:
    if origin == "environment":
        own = PREFIX + name.upper()
        return own if environ.get(own) else BORROWED[name]
    return str(path) if origin == "file" else None


def _where(origin: Origin | None, key: Key, source: str | None, path: Path) -> str:
    if origin == "environment":
        return str(source)
    return where(path, key) if origin in {"file", None} else ".".join(map(str, key))
