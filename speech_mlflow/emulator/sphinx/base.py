"""The models that come in the PocketSphinx wheel: where they are, and what proves that they are the ones trained on."""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import lru_cache
from pathlib import Path

import pocketsphinx


def version() -> str:
    """Version of the installed PocketSphinx."""
    return importlib.metadata.version("pocketsphinx")


def acoustic_dir() -> Path:
    """Folder of the shipped acoustic model (16 kHz, 42 phones, 5126 senones)."""
    return Path(pocketsphinx.get_model_path()) / "en-us" / "en-us"


def language_path() -> Path:
    """The shipped trigram language model, 72,547 words."""
    return Path(pocketsphinx.get_model_path()) / "en-us" / "en-us.lm.bin"


def dictionary_path() -> Path:
    """The shipped pronunciation dictionary, 134,000 entries."""
    return Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """SHA-256 over the shipped files that a trained model depends on."""
    acoustic = [
        acoustic_dir() / name
        for name in ("feat.params", "mdef", "means", "noisedict", "sendump", "transition_matrices", "variances")
    ]
    digest = hashlib.sha256()
    for path in [*acoustic, language_path(), dictionary_path()]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
