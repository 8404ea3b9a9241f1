"""Imported once by the fork server of these tests, so that each process starts with everything loaded."""

from __future__ import annotations

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
os.environ["SPEECH_MLFLOW_DISABLED_PLUGINS"] = "*"

import mlflow.store.artifact.local_artifact_repo
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

import speech_mlflow.plugins
import speech_mlflow.promotion.controller
import speech_mlflow.promotion.usecases
import speech_mlflow.scoring.comparison
import speech_mlflow.service.client
import speech_mlflow.workflow.results

speech_mlflow.plugins.plugin_manager()
