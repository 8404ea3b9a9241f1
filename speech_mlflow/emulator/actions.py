"""The work behind entities: training, evaluation, deployment, batch transcription, copies."""

from __future__ import annotations

from collections.abc import Mapping

from speech_mlflow.emulator.copying import run_copy
from speech_mlflow.emulator.evaluating import run_evaluation, run_transcription
from speech_mlflow.emulator.importing import run_import
from speech_mlflow.emulator.jobs import Action
from speech_mlflow.emulator.serving import run_deployment
from speech_mlflow.emulator.training import run_training

ACTIONS: Mapping[str, Action] = {
    "import": run_import,
    "train": run_training,
    "evaluate": run_evaluation,
    "deploy": run_deployment,
    "transcribe": run_transcription,
    "copy": run_copy,
}
