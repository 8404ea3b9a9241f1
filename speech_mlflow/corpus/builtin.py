"""The built-in readers, registered through the same hook as anybody's; nothing heavy is imported at the top."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from speech_mlflow.hookspecs import hookimpl

if TYPE_CHECKING:
    from speech_mlflow.corpus.readers import CorpusReader


@hookimpl
def register_corpus_readers(register: Callable[[CorpusReader], None]) -> None:
    """Register the readers of text files, folders and zip archives."""
    from speech_mlflow.corpus.readers import FolderReader, TextReader, ZipReader

    for reader in (TextReader(), FolderReader(), ZipReader()):
        register(reader)
