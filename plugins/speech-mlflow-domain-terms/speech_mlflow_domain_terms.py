"""An evaluator that counts what a word error rate hides: whether the words that matter were recognised.

The terms come from a text file named by the environment variable ``DOMAIN_TERMS``: one term a line, of one word or more;
``[name]`` starts a category; ``#`` starts a comment; what follows a tab is ignored, so that a pronunciation file serves too.

A term in a reference is *found* when every word of it is a hit of the alignment that WER is counted on, with nothing inserted
between them; else it is *missed*. A term in a hypothesis that is not made of such hits is *false*. With N terms in the
references:

* ``term_recall`` = found / N, and ``term_recall.<category>`` where the file has categories
* ``term_precision`` = found / (found + false), left out where the hypotheses hold no term
* ``term_error_rate`` = (missed + false) / N, which may exceed 1
* ``term_word_error_rate`` = words of those N terms that are no hits / words of those N terms
* ``term_count`` = N
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import speech_mlflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from speech_mlflow.scoring.alignment import AlignedWord
    from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput, EvaluatorOutput

VARIABLE = "DOMAIN_TERMS"
NAME = "domain-terms"
HIGHER_IS_BETTER = ("term_recall", "term_precision", "term_count")

Words = tuple[str, ...]


@speech_mlflow.hookimpl
def register_evaluators(register: Callable[[Evaluator], None]) -> None:
    from speech_mlflow.scoring.evaluators import Evaluator

    register(Evaluator(NAME, evaluate_terms))


@dataclass(frozen=True)
class Term:
    """A term as the file has it, and its category (``""`` for none)."""

    text: str
    category: str = ""


@dataclass
class Outcome:
    """What became of one term over a test set. ``heard`` counts what stood in the hypothesis where the term was missed."""

    term: Term
    found: int = 0
    missed: int = 0
    false: int = 0
    heard: Counter[str] = field(default_factory=Counter)


def evaluate_terms(given: EvaluatorInput) -> EvaluatorOutput:
    """The evaluator on the terms of the file that ``DOMAIN_TERMS`` names. Raises ValueError or OSError without such a file."""
    path = os.environ.get(VARIABLE)
    if not path:
        raise ValueError(f"no terms: set the environment variable {VARIABLE} to a text file with one term a line")
    return evaluate(given, read_terms(Path(path)))


def read_terms(path: Path) -> list[Term]:
    """Read a list of terms. Raises ValueError for a file without any."""
    terms: dict[str, Term] = {}
    category = ""
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        text = line.partition("#")[0].partition("\t")[0].strip()
        if text.startswith("[") and text.endswith("]"):
            category = text[1:-1].strip()
        elif text:
            terms.setdefault(text, Term(text, category))
    if not terms:
        raise ValueError(f"{path} has no terms")
    return list(terms.values())


def evaluate(given: EvaluatorInput, terms: Iterable[Term]) -> EvaluatorOutput:
    """Count the terms. Raises ValueError when no reference holds one, since nothing can be measured then."""
    from speech_mlflow.scoring.evaluators import EvaluatorOutput
    from speech_mlflow.scoring.normalize import get_normalizer

    normalize = get_normalizer(given.locale)
    outcomes = {words: Outcome(term) for term in terms if (words := tuple(normalize(term.text).split()))}
    finder = Finder(outcomes)
    missed: list[str] = []
    false: list[str] = []
    words_wrong = words_total = 0
    for utterance in given.utterances:
        steps = utterance.alignment
        here_missed, here_false = [], []
        for words, span in finder.find(steps, "reference"):
            wrong = sum(step.op != "hit" for step in steps[span] if step.reference is not None)
            words_wrong, words_total = words_wrong + wrong, words_total + len(words)
            if is_found(steps[span]):
                outcomes[words].found += 1
            else:
                outcomes[words].missed += 1
                outcomes[words].heard[heard_instead(steps, span)] += 1
                here_missed.append(" ".join(words))
        for words, span in finder.find(steps, "hypothesis"):
            if not is_found(steps[span]):
                outcomes[words].false += 1
                here_false.append(" ".join(words))
        missed.append(", ".join(here_missed))
        false.append(", ".join(here_false))
    if not words_total:
        raise ValueError(f"none of the {len(outcomes)} terms is in a reference")
    metrics = {**rates(outcomes.values()), "term_word_error_rate": words_wrong / words_total}
    return EvaluatorOutput(
        metrics=metrics,
        greater_is_better={name: name.startswith(HIGHER_IS_BETTER) for name in metrics},
        columns={"terms missed": missed, "terms false": false},
        artifacts={"terms.csv": as_csv(outcomes.values())},
    )


class Finder:
    """Finds terms in one side of an alignment: the longest term at each place, from left to right, without overlaps."""

    def __init__(self, terms: Iterable[Words]) -> None:
        self._by_first: dict[str, list[Words]] = {}
        for words in sorted(terms, key=len, reverse=True):
            self._by_first.setdefault(words[0], []).append(words)

    def find(self, steps: Sequence[AlignedWord], side: str) -> Iterator[tuple[Words, slice]]:
        """The terms on that side ("reference" or "hypothesis"), each with the steps that it spans."""
        places = [index for index, step in enumerate(steps) if getattr(step, side) is not None]
        text = tuple(getattr(steps[index], side) for index in places)
        at = 0
        while at < len(text):
            for words in self._by_first.get(text[at], ()):
                if text[at : at + len(words)] == words:
                    yield words, slice(places[at], places[at + len(words) - 1] + 1)
                    at += len(words)
                    break
            else:
                at += 1


def is_found(steps: Sequence[AlignedWord]) -> bool:
    """Whether all steps that a term spans are hits; an insertion inside the term is none."""
    return all(step.op == "hit" for step in steps)


def heard_instead(steps: Sequence[AlignedWord], span: slice) -> str:
    """What the hypothesis has where the term should be, with the insertions just before and after it."""
    start, stop = span.start, span.stop
    while start > 0 and steps[start - 1].op == "ins":
        start -= 1
    while stop < len(steps) and steps[stop].op == "ins":
        stop += 1
    return " ".join(step.hypothesis for step in steps[start:stop] if step.hypothesis is not None)


def rates(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The metrics that are made of found, missed and false terms."""
    outcomes = list(outcomes)
    found, missed, false = totals(outcomes)
    metrics = {
        "term_count": float(found + missed),
        "term_recall": found / (found + missed),
        "term_error_rate": (missed + false) / (found + missed),
    }
    if found + false:
        metrics["term_precision"] = found / (found + false)
    for category in sorted({outcome.term.category for outcome in outcomes} - {""}):
        found, missed, _ = totals([outcome for outcome in outcomes if outcome.term.category == category])
        if found + missed:
            metrics[f"term_recall.{category}"] = found / (found + missed)
    return metrics


def totals(outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    """Found, missed and false terms."""
    return sum(o.found for o in outcomes), sum(o.missed for o in outcomes), sum(o.false for o in outcomes)


def as_csv(outcomes: Iterable[Outcome]) -> str:
    """One line a term that occurred, the most missed first, with what was heard instead and how often."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("term", "category", "found", "missed", "false", "heard instead"))
    occurred = [outcome for outcome in outcomes if outcome.found + outcome.missed + outcome.false]
    for outcome in sorted(occurred, key=lambda o: (-o.missed, -o.false, o.term.text)):
        heard = "; ".join(f"{text or '(nothing)'} ({count})" for text, count in outcome.heard.most_common())
        term = outcome.term
        table.writerow((term.text, term.category, outcome.found, outcome.missed, outcome.false, heard))
    return file.getvalue()
