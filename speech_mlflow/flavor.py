"""The MLflow flavour of a model that lives in the speech service.

::

    model = mlflow.pyfunc.load_model("models:/clinic-en-us/Production")
    model.predict(["a.wav", "https://example.org/b.wav"])

transcribes with the model of *that version*, whatever is served at the moment: through an endpoint while it serves this very
model, otherwise by batch transcription. The service is the one of the settings (``speech-mlflow.toml``, ``SPEECH_MLFLOW_*``),
or the one given at loading: ``model_config={"endpoint": "https://NAME.cognitiveservices.azure.com"}``.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from mlflow import MlflowClient
from mlflow.models import Model
from mlflow.tracking.artifact_utils import _download_artifact_from_uri

from speech_mlflow.connection import connect
from speech_mlflow.errors import AudioError, DataError, SettingsError, TrackingError
from speech_mlflow.progress import Progress
from speech_mlflow.settings import Settings
from speech_mlflow.tracking import mlmodel, models, registry, values
from speech_mlflow.workflow.transcribing import Recording, Transcript, Via, transcribe

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from speech_mlflow.service import SpeechClient
    from speech_mlflow.service.entities import BaseModel, CustomModel

FLAVOR_NAME = mlmodel.FLAVOR
DATA_PREFIX = "data:"
_TIMEOUT = (10, 60)  # seconds to connect, seconds of silence


@dataclass(frozen=True)
class SpeechModel:
    """A model of the service, ready to transcribe. Connections are made when they are needed and closed after use."""

    described: mlmodel.Described
    config: Mapping[str, Any] = field(default_factory=dict)

    def transcribe(
        self,
        recordings: Sequence[str | Path | bytes],
        *,
        speech: SpeechClient | None = None,
        via: Via | None = None,
        progress: Progress | None = None,
    ) -> list[Transcript]:
        """What was said in recordings: WAV contents, paths, URLs, ``data:audio/wav;base64,`` texts, URIs of MLflow artifacts.

        ``speech`` is the connection to use, by default that of the settings. Raises TrackingError where it is to another
        resource than the model's.
        """
        contents = [load_recording(recording) for recording in recordings]
        if speech is None:
            with connect(self._settings()) as own:
                return self._transcribe(own, contents, via, progress)
        return self._transcribe(speech, contents, via, progress)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> list[str]:
        """What MLflow calls: transcripts of the recordings in a list, a series, or the first column of a data frame.

        ``params``: ``form`` is display (the default), lexical, itn or maskedITN.
        """
        form = str((params or {}).get("form") or "display")
        return [transcript.form(form) for transcript in self.transcribe(recordings_in(data))]

    def _transcribe(
        self, speech: SpeechClient, contents: Sequence[Recording], via: Via | None, progress: Progress | None
    ) -> list[Transcript]:
        if speech.resource != self.described.resource:
            raise TrackingError(
                f"the model is in the speech resource {self.described.resource!r}, this connection is to {speech.resource!r}",
                hint="connect to that resource (model_config={'endpoint': ...}), or copy the model",
            )
        way: Via = via or self.config.get("via") or "auto"
        return transcribe(
            speech,
            self.described.model_id,
            contents,
            locale=self.described.locale,
            via=way,
            progress=progress,
        )

    def _settings(self) -> Settings:
        return Settings.load({name: self.config.get(name) for name in ("endpoint", "state_dir")})


def save_model(
    path: str | Path,
    *,
    model: CustomModel | BaseModel | None = None,
    resource: str,
    model_id: str | None = None,
    locale: str | None = None,
    mlflow_model: Model | None = None,
    validate_serving_input: bool = False,
) -> None:
    """Write the files of a logged model for a model of the service: its record, or ``model_id`` and ``locale``.

    (MLflow reads ``validate_serving_input`` and hands it on: the input example names a recording that nobody has.)
    """
    id_ = model.id if model is not None else model_id
    of = model.locale if model is not None else locale
    if id_ is None or of is None:
        raise SettingsError("give the model's record, or model_id and locale")
    mlmodel.write(Path(path), resource=resource, model_id=id_, locale=of, model=mlflow_model)


def log_model(
    model: CustomModel | BaseModel,
    *,
    resource: str,
    name: str = "model",
    registered_model_name: str | None = None,
    tags: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> ModelInfo:
    """Log a model of the service to MLflow's active run and store, as the flavours that come with MLflow do.

    ``resource`` is ``SpeechClient.resource``. Other arguments are those of ``mlflow.models.Model.log``. The logged model and the
    version have the tags by which the model is tested, compared and promoted. (Training with :func:`speech_mlflow.train` does
    all this by itself.)
    """
    import sys

    described = values.fit({}, models.describe(model, resource)).tags
    info: ModelInfo = Model.log(
        artifact_path=None,
        name=name,
        flavor=sys.modules[__name__],
        registered_model_name=registered_model_name,
        model_type=kwargs.pop("model_type", models.MODEL_TYPE),
        tags={**described, **(tags or {})},
        model=model,
        resource=resource,
        **{"validate_serving_input": False, **kwargs},
    )
    if registered_model_name is not None:
        client = MlflowClient()
        version = client.get_model_version(registered_model_name, str(info.registered_model_version))
        registry.set_version_tags(client, version, described)
    return info


def load_model(model_uri: str, *, model_config: Mapping[str, Any] | None = None) -> SpeechModel:
    """The model behind any URI that MLflow understands (``models:/name/1``, ``models:/name@champion``, ``runs:/...``)."""
    with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
        local = _download_artifact_from_uri(artifact_uri=model_uri, output_path=folder)
        return SpeechModel(mlmodel.Described.read(local), dict(model_config or {}))


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> SpeechModel:
    """What ``mlflow.pyfunc.load_model`` calls."""
    return SpeechModel(mlmodel.Described.read(path), dict(model_config or {}))


def recordings_in(data: Any) -> list[str | Path | bytes]:
    """The recordings in what MLflow hands to ``predict``."""
    if hasattr(data, "columns"):  # a data frame
        data = data[data.columns[0]]
    if isinstance(data, (str, bytes, Path)):
        data = [data]
    if hasattr(data, "tolist"):  # a series or an array
        data = data.tolist()
    wrong = [type(one).__name__ for one in data if not isinstance(one, (str, bytes, Path))]
    if wrong:
        raise DataError(f"recordings are paths, URLs or contents, not {', '.join(sorted(set(wrong)))}")
    return list(data)


def load_recording(recording: str | Path | bytes) -> Recording:
    """A recording's content, or the path where it lies."""
    if not isinstance(recording, str):
        return recording
    if recording.startswith(DATA_PREFIX):
        return _decoded(recording)
    scheme = recording.partition("://")[0] if "://" in recording else ""
    if scheme in {"http", "https"}:
        return _fetched(recording)
    if scheme or recording.startswith(("runs:/", "models:/", "mlflow-artifacts:/")):
        with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
            return Path(_download_artifact_from_uri(artifact_uri=recording, output_path=folder)).read_bytes()
    return Path(recording)


def _decoded(text: str) -> bytes:
    head, comma, body = text.partition(",")
    if not comma or not head.endswith(";base64"):
        raise AudioError("a data: text must be data:audio/wav;base64,...")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise AudioError("a data:audio/wav;base64 text is not valid base64") from None


def _fetched(url: str) -> bytes:
    shown = url.partition("?")[0]  # the rest may be a signature
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise DataError(f"{shown} could not be fetched: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise DataError(f"{shown} answered {answer.status_code}")
    return answer.content
