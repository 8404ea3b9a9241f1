"""MLflow from inside its own server: the databases are at hand, and so is the storage behind its artifact proxy."""

from __future__ import annotations

import os
import posixpath
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts


class ServersOwnClient(MlflowClient):  # type: ignore[misc, unused-ignore]
    """A client on the server's databases that reads proxied artifacts from where the server keeps them: to ask the server
    itself would need its address and somebody's password, and a free worker."""

    def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> str:
        """The local path of an artifact of a run, as MlflowClient's."""
        from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR

        root = urlsplit(str(self.get_run(run_id).info.artifact_uri))
        destination = os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR)
        if root.scheme != "mlflow-artifacts" or not destination:
            return str(super().download_artifacts(run_id, path, dst_path))
        where = posixpath.join(destination, root.path.lstrip("/"), path)
        return str(download_artifacts(artifact_uri=where, dst_path=dst_path))
