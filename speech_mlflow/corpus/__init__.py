"""What people have on disk: recordings, transcripts, texts; read, checked, fingerprinted, made ready for upload.

The names below are loaded when they are first used. ``wav``, ``archive``, ``text``, ``transcript``, ``pronunciation``,
``structured_text`` and ``output_format`` stand alone: they work on bytes and file objects and know nothing of a corpus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech_mlflow.corpus.corpus import Corpus, read_corpus
    from speech_mlflow.corpus.readers import CorpusReader, Member, Reading
    from speech_mlflow.corpus.records import KINDS, Line, Problem, Utterance
    from speech_mlflow.corpus.text import Text
    from speech_mlflow.corpus.together import check_overlap, check_training
    from speech_mlflow.corpus.transcript import Transcript, TranscriptLine
else:
    from speech_mlflow.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "corpus": ["Corpus", "read_corpus"],
            "readers": ["CorpusReader", "Member", "Reading"],
            "records": ["KINDS", "Line", "Problem", "Utterance"],
            "text": ["Text"],
            "together": ["check_overlap", "check_training"],
            "transcript": ["Transcript", "TranscriptLine"],
        },
    )

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
