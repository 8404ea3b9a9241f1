"""Where things are kept that are made once from the shipped models: base language models, grapheme-to-phoneme model."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from speech_mlflow.emulator.sphinx import base

CACHE_DIR = "SPEECH_MLFLOW_CACHE_DIR"
"""Environment variable: directory of the cache. Without it, the user's cache directory of the operating system."""
FORMAT = 1
"""Raised whenever what is made, or how, changes; older entries are then not used."""


def cache_root() -> Path:
    """Directory of the cache, in which each version of PocketSphinx has a folder of its own."""
    if chosen := os.environ.get(CACHE_DIR):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "speech-mlflow" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "speech-mlflow"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speech-mlflow"


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Folder ``name`` of the cache, filled by ``make`` when it is not there.

    It appears whole or not at all: two processes may make it at once, and one of the two results is kept.
    """
    home = cache_root() / f"pocketsphinx-{base.version()}-{base.fingerprint()[:12]}-{FORMAT}"
    target = home / name
    if target.is_dir():
        return target
    home.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=home))
    try:
        make(scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target
