"""Which modules of ours MLflow loads at its own import: those named in the groups of entry points that it reads then."""

from __future__ import annotations

import importlib.metadata

READ_AT_IMPORT = (
    "mlflow.artifact_repository",
    "mlflow.dataset_constructor",
    "mlflow.dataset_source",
    "mlflow.default_experiment_provider",
    "mlflow.request_auth_provider",
    "mlflow.request_header_provider",
    "mlflow.run_context_provider",
    "mlflow.tracking_store",
    "mlflow.model_registry_store",
    "mlflow.workspace_provider",
)


def modules() -> set[str]:
    """Their names; empty where the package is not installed."""
    found = [entry for group in READ_AT_IMPORT for entry in importlib.metadata.entry_points(group=group)]
    return {entry.module for entry in found if entry.module.split(".")[0] == "speech_mlflow"}


def with_packages(names: set[str]) -> set[str]:
    """Modules, the packages that hold them, and what makes the names of these lazy."""
    return {name.rsplit(".", up)[0] for name in names for up in range(name.count(".") + 1)} | {"speech_mlflow.lazy_names"}
