"""What is made of a recognition: result files in the service's shape, display forms, and error counts.

Numbers of an evaluation are counted here from the words that were really recognised; nothing else feeds them.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from speech_mlflow.emulator.engine import Hypothesis, Recognition
from speech_mlflow.emulator.formatting import Writer
from speech_mlflow.scoring.alignment import AlignedWord, align

TICKS = 10_000_000
"""Ticks of 100 ns in a second."""
ERROR_KINDS = ("punctuation", "capitalization", "inverseTextNormalization", "lexical", "others")


def span(seconds: float) -> str:
    """ISO 8601 duration with as many digits as needed."""
    text = f"{seconds:.7f}".rstrip("0").rstrip(".")
    return f"PT{text or '0'}S"


def hypothesis_json(hypothesis: Hypothesis, writer: Writer, *, words: bool = False) -> dict[str, Any]:
    """One entry of ``nBest``."""
    forms = writer.forms(hypothesis.lexical)
    shown: dict[str, Any] = {
        "confidence": round(hypothesis.confidence, 7),
        "lexical": hypothesis.lexical,
        "itn": forms.itn,
        "maskedITN": forms.masked_itn,
        "display": forms.display,
    }
    if words:
        shown["words"] = [
            {
                "word": word.text,
                "offset": span(word.offset),
                "duration": span(word.duration),
                "offsetInTicks": round(word.offset * TICKS),
                "durationInTicks": round(word.duration * TICKS),
                "confidence": round(word.confidence, 7),
            }
            for word in hypothesis.words
        ]
    return shown


def transcription_json(
    source: str, recognition: Recognition, writer: Writer, timestamp: str, *, words: bool = False
) -> dict[str, Any]:
    """The result file of one recording."""
    best = recognition.nbest[0] if recognition.nbest else Hypothesis("", 0.0)
    forms = writer.forms(best.lexical)
    ticks = round(recognition.audio_seconds * TICKS)
    phrase: dict[str, Any] = {
        "recognitionStatus": "Success" if recognition.nbest else "NoMatch",
        "channel": 0,
        "offset": "PT0S",
        "duration": span(recognition.audio_seconds),
        "offsetInTicks": 0,
        "durationInTicks": ticks,
        "nBest": [hypothesis_json(item, writer, words=words) for item in recognition.nbest],
    }
    return {
        "source": source,
        "timestamp": timestamp,
        "durationInTicks": ticks,
        "duration": span(recognition.audio_seconds),
        "combinedRecognizedPhrases": [
            {
                "channel": 0,
                "lexical": best.lexical,
                "itn": forms.itn,
                "maskedITN": forms.masked_itn,
                "display": forms.display,
            }
        ],
        "recognizedPhrases": [phrase],
    }


def scoring_result(alignment: Iterable[AlignedWord]) -> str:
    """Aligned words as the service writes them: commas between, errors in tags."""
    parts = []
    for word in alignment:
        if word.op == "hit":
            parts.append(str(word.hypothesis))
        elif word.op == "sub":
            parts.append(f"<substitution>{word.hypothesis}</substitution>")
        elif word.op == "del":
            parts.append(f"<deletion>{word.reference}</deletion>")
        else:
            parts.append(f"<insertion>{word.hypothesis}</insertion>")
    return ",".join(parts)


@dataclass
class Counts:
    """Hits and errors summed over a test set."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def add(self, alignment: Sequence[AlignedWord]) -> None:
        """Count one alignment."""
        found = Counter(word.op for word in alignment)
        self.hits += found["hit"]
        self.substitutions += found["sub"]
        self.deletions += found["del"]
        self.insertions += found["ins"]

    @property
    def total(self) -> int:
        """Reference words."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors by reference words as the service rounds it; 0 where nothing was said and nothing heard, else 1."""
        if self.total == 0:
            return 0.0 if self.errors == 0 else 1.0
        return round(100 * self.errors / self.total, 2) / 100


@dataclass
class Tally:
    """What an evaluation counts for one model."""

    words: Counts = field(default_factory=Counts)
    tokens: Counts = field(default_factory=Counts)
    sentences: int = 0
    wrong_sentences: int = 0
    edits: Counter[str] = field(default_factory=Counter)

    def add(self, reference: str, hypothesis: str, display_reference: str, display_hypothesis: str) -> tuple[AlignedWord, ...]:
        """Count one utterance: normalised words, and tokens of the display form. Returns the alignment of the words."""
        aligned = align(reference.split(), hypothesis.split())
        self.words.add(aligned)
        self.sentences += 1
        self.wrong_sentences += any(word.op != "hit" for word in aligned)
        tokens = align(_tokens(display_reference), _tokens(display_hypothesis))
        self.tokens.add(tokens)
        self.edits.update(_edit_kind(token) for token in tokens if token.op != "hit")
        return aligned

    def properties(self) -> dict[str, Any]:
        """The numbers under the API's names, without the model's digit."""
        words, tokens = self.words, self.tokens
        return {
            "wordErrorRate": words.rate,
            "sentenceErrorRate": round(100 * self.wrong_sentences / self.sentences, 1) / 100 if self.sentences else 0.0,
            "sentenceCount": self.sentences,
            "wordCount": words.total,
            "correctWordCount": words.hits,
            "wordSubstitutionCount": words.substitutions,
            "wordDeletionCount": words.deletions,
            "wordInsertionCount": words.insertions,
            "tokenErrorRate": tokens.rate,
            "tokenCount": tokens.total,
            "correctTokenCount": max(0, tokens.hits - tokens.insertions),
            "tokenSubstitutionCount": tokens.substitutions,
            "tokenDeletionCount": tokens.deletions,
            "tokenInsertionCount": tokens.insertions,
            "tokenErrors": {kind: self._summary(kind) for kind in ERROR_KINDS},
        }

    def _summary(self, kind: str) -> dict[str, Any]:
        total, count = sum(self.edits.values()), self.edits[kind]
        return {"numberOfEdits": count, "percentageOfAllEdits": round(100 * count / total, 2) if total else 0.0}


_TOKEN = re.compile(r"\w+(?:['’.,:/-]\w+)*|[^\w\s]")


def _tokens(text: str) -> list[str]:
    """Words and punctuation marks of a display form."""
    return _TOKEN.findall(text)


def _edit_kind(token: AlignedWord) -> str:
    sides = [side for side in (token.reference, token.hypothesis) if side is not None]
    if any(all(char in string.punctuation for char in side) for side in sides):
        return "punctuation"
    if len(sides) == 2 and sides[0].lower() == sides[1].lower():
        return "capitalization"
    if any(char.isdigit() for side in sides for char in side):
        return "inverseTextNormalization"
    return "lexical" if all(any(char.isalpha() for char in side) for side in sides) else "others"
