"""The files of a logged model: a description by which ``mlflow.pyfunc.load_model`` finds our flavour, and no weights.

The model itself stays in the service; the files say which one it is, and in which resource. How they are turned into something
with ``predict`` is in :mod:`speech_mlflow.flavor`.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

FLAVOR = "speech_mlflow"
LOADER_MODULE = "speech_mlflow.flavor"
FILE = "speech.json"
INPUT_EXAMPLE = ("recording.wav",)
MODEL_CONFIG: dict[str, Any] = {"via": "auto", "endpoint": None, "state_dir": None}
"""What may be overridden at loading: ``via`` (*auto*, *endpoint*, *batch*), the service's URL or state directory."""


@dataclass(frozen=True)
class Described:
    """Which model of which speech resource a logged model is."""

    resource: str
    model_id: str
    locale: str

    @classmethod
    def read(cls, path: str | Path) -> Described:
        """Read the description, from the file or from the folder it is in."""
        file = Path(path)
        document = json.loads((file / FILE if file.is_dir() else file).read_text("utf-8"))
        return cls(document["resource"], document["model_id"], document["locale"])


def signature() -> ModelSignature:
    """Paths, URLs or ``data:audio/wav;base64,`` texts in, transcripts out; the parameter ``form`` chooses their form."""
    column = Schema([ColSpec(DataType.string)])
    return ModelSignature(column, column, ParamSchema([ParamSpec("form", DataType.string, "display")]))


def requirements() -> list[str]:
    """What an environment needs to use the model."""
    import speech_mlflow

    return [f"speech-mlflow=={speech_mlflow.__version__}", f"mlflow=={mlflow.__version__}"]


def write(
    folder: Path,
    *,
    resource: str,
    model_id: str,
    locale: str,
    run_id: str | None = None,
    logged_model_id: str | None = None,
    model: Model | None = None,
) -> Path:
    """Write the files of a logged model into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    described = Described(resource, model_id, locale)
    (folder / FILE).write_text(json.dumps(asdict(described), indent=1) + "\n", "utf-8")
    description = Model(run_id=run_id, model_id=logged_model_id) if model is None else model
    description.signature = description.signature or signature()
    _environment(folder)
    # what mlflow.pyfunc.add_to_model writes; importing that module takes seconds and warns of things inside MLflow
    description.add_flavor(
        "python_function",
        loader_module=LOADER_MODULE,
        python_version=platform.python_version(),
        data=FILE,
        env={"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        config=MODEL_CONFIG,
    )
    description.add_flavor(FLAVOR, **asdict(described))
    _example(folder, description)
    description.save(str(folder / "MLmodel"))
    return folder


def _environment(folder: Path) -> None:
    python, pip = platform.python_version(), requirements()
    (folder / "requirements.txt").write_text("\n".join(pip) + "\n")
    # JSON is YAML
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(json.dumps(environment, indent=1))
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": pip}],
    }
    (folder / "conda.yaml").write_text(json.dumps(conda, indent=1))


def _example(folder: Path, description: Model) -> None:
    """The input example in the form that MLflow's scoring server takes, as ``mlflow.models.Model.log`` writes it."""
    name = "serving_input_example.json"
    (folder / name).write_text(json.dumps({"inputs": list(INPUT_EXAMPLE)}))
    (folder / "input_example.json").write_text(json.dumps(list(INPUT_EXAMPLE)))
    description.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": name,
        "type": "json_object",
    }
