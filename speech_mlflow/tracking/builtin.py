"""What tracking itself plugs in: each run says which code did the work."""

from __future__ import annotations

import importlib.metadata
import json
import platform

from speech_mlflow.hookspecs import hookimpl
from speech_mlflow.tracking import tags

PACKAGES = ("mlflow", "numpy", "jiwer", "rapidfuzz", "pocketsphinx")
"""The packages on whose versions a number may depend."""


@hookimpl
def run_tags(kind: str) -> dict[str, str]:
    """Versions of this package, of Python, of the packages that numbers depend on, and of the plugins installed."""
    import speech_mlflow
    from speech_mlflow.plugins import list_plugins

    versions = {name: version for name in PACKAGES if (version := _version(name))}
    versions.update({plugin.name: plugin.version or "?" for plugin in list_plugins() if not plugin.builtin})
    return {
        tags.VERSION: speech_mlflow.__version__,
        tags.PYTHON: platform.python_version(),
        tags.PACKAGES: json.dumps(versions, sort_keys=True),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
