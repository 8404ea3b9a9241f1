"""A plugin for speech-mlflow: an evaluator that counts errors in long words.

Each function marked with ``hookimpl`` implements one hook. `speech_mlflow/hookspecs.py` describes them all.
"""

from __future__ import annotations

import speech_mlflow
from speech_mlflow import EvaluatorInput, EvaluatorOutput

LETTERS = 8


@speech_mlflow.hookimpl
def register_evaluators(register):  # type: ignore[no-untyped-def]
    register(speech_mlflow.Evaluator("template", evaluate))


def evaluate(given: EvaluatorInput) -> EvaluatorOutput:
    """How many of the long words in the references were not recognised, in total and for each utterance."""
    words = errors = 0
    column = []
    for utterance in given.utterances:
        long = [(word.reference, word.op) for word in utterance.alignment if word.reference and len(word.reference) >= LETTERS]
        missed = [word for word, op in long if op != "hit"]
        words, errors = words + len(long), errors + len(missed)
        column.append(", ".join(missed))
    if not words:
        raise ValueError(f"no reference has a word of {LETTERS} letters")
    return EvaluatorOutput({"long_word_error_rate": errors / words}, columns={"long words missed": column})
