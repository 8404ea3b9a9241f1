"""What people have on disk: recordings, transcripts, texts; read, checked, fingerprinted, made ready for upload.

The names below are loaded when they are first used. ``wav``, ``archive``, ``text``, ``transcript``, ``pronunciation``,
``structured_text`` and ``output_format`` stand alone: they work on bytes and file objects and know nothing of a corpus.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speech_mlflow.corpus.corpus import Corpus, read_corpus
    from speech_mlflow.corpus.readers import CorpusReader, Member, Reading
    from speech_mlflow.corpus.records import KINDS, Line, Problem, Utterance
    from speech_mlflow.corpus.text import Text
    from speech_mlflow.corpus.together import check_overlap, check_training
    from speech_mlflow.corpus.transcript import Transcript, TranscriptLine

_HOME = {
    "Corpus": "corpus",
    "CorpusReader": "readers",
    "KINDS": "records",
    "Line": "records",
    "Member": "readers",
    "Problem": "records",
    "Reading": "readers",
    "Text": "text",
    "Transcript": "transcript",
    "TranscriptLine": "transcript",
    "Utterance": "records",
    "check_overlap": "together",
    "check_training": "together",
    "read_corpus": "corpus",
}

__all__ = [
    "KINDS",
    "Corpus",
    "CorpusReader",
    "Line",
    "Member",
    "Problem",
    "Reading",
    "Text",
    "Transcript",
    "TranscriptLine",
    "Utterance",
    "check_overlap",
    "check_training",
    "read_corpus",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)
