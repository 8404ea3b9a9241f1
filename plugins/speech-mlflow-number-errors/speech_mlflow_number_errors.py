"""An evaluator that counts errors on numbers: forty milligrams heard as fourteen is one word wrong and the whole dose wrong.

A number is a run of words that are digits (``40``, ``3.5``, ``12th``) or number words of the locale's language (English and German
are known), with words such as ``and``, ``point`` and ``oh`` inside. It is looked for in the normalised words that WER is counted
on. A number in a reference is *right* when every word of it is a hit, nothing is inserted between them, and the number that was
heard does not go on to either side (``forty`` heard as ``forty five`` is wrong). A number in a hypothesis that is not part of a right
one is *false*. With N numbers in the references:

* ``number_count`` = N
* ``number_recall`` = right / N
* ``number_precision`` = right / (right + false), left out where the hypotheses hold no number
* ``number_error_rate`` = (wrong + false where the reference has no number) / N
* ``number_word_error_rate`` = words of those N numbers that are no hits / words of those N numbers
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import speech_mlflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from speech_mlflow.scoring.alignment import AlignedWord
    from speech_mlflow.scoring.evaluators import Evaluator, EvaluatorInput, EvaluatorOutput

NAME = "number-errors"
HIGHER_IS_BETTER = ("number_recall", "number_precision", "number_count")
NOTHING = "(nothing)"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion "
    "first third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth "
    "hundredth thousandth millionth half quarter"
)
_ENGLISH_INSIDE = _set("and point oh o second")

_GERMAN_PART = _set(
    "null ein eins eine zwei zwo drei vier fünf sechs sieben acht neun zehn elf zwölf sechzehn siebzehn zwanzig dreißig dreissig "
    "vierzig fünfzig sechzig siebzig achtzig neunzig hundert tausend million millionen milliarde milliarden"
)
_GERMAN = re.compile(rf"(?!eine?$)(?:(?:{'|'.join(sorted(_GERMAN_PART, key=lambda part: (-len(part), part)))}|und)+)(?<!und)")
_GERMAN_INSIDE = _set("und komma ein")


@speech_mlflow.hookimpl
def register_evaluators(register: Callable[[Evaluator], None]) -> None:
    from speech_mlflow.scoring.evaluators import Evaluator

    register(Evaluator(NAME, evaluate))


@dataclass(frozen=True)
class Language:
    """Which words are numbers by themselves, and which are part of one between two such words."""

    number: Callable[[str], bool]
    inside: frozenset[str] = frozenset()


def language_of(locale: str) -> Language:
    """The number words of a locale's language; of one that is not known digits alone."""
    code = locale.split("-")[0].lower()
    if code == "en":
        return Language(lambda word: word in _ENGLISH or digits(word), _ENGLISH_INSIDE)
    if code == "de":
        return Language(lambda word: _GERMAN.fullmatch(word) is not None or digits(word), _GERMAN_INSIDE)
    return Language(digits)


def digits(word: str) -> bool:
    """Whether a word is written with digits."""
    return any(character.isdigit() for character in word)


def evaluate(given: EvaluatorInput) -> EvaluatorOutput:
    """Count right, wrong and false numbers. Raises ValueError where no reference holds a number."""
    from speech_mlflow.scoring.evaluators import EvaluatorOutput

    language = language_of(given.locale)
    right = wrong = false = beside = words = words_wrong = 0
    confused: Counter[tuple[str, str]] = Counter()
    column: list[str] = []
    for utterance in given.utterances:
        steps = utterance.alignment
        said = list(numbers(steps, "reference", language))
        heard = list(numbers(steps, "hypothesis", language))
        correct = [span for span in said if span in heard and all(step.op == "hit" for step in steps[span])]
        mistakes = []
        covered = list(correct)
        for span in said:
            spoken = [step for step in steps[span] if step.reference is not None]
            words, words_wrong = words + len(spoken), words_wrong + sum(step.op != "hit" for step in spoken)
            if span not in correct:
                place = widened(steps, span, heard)
                covered.append(place)
                mistakes.append((text(steps[span], "reference"), text(steps[place], "hypothesis") or NOTHING))
        alone = [span for span in heard if not any(overlap(span, other) for other in covered)]
        mistakes += [(NOTHING, text(steps[span], "hypothesis")) for span in alone]
        right, wrong = right + len(correct), wrong + len(said) - len(correct)
        false, beside = false + sum(span not in correct for span in heard), beside + len(alone)
        confused.update(mistakes)
        column.append("; ".join(f"{one} → {other}" for one, other in mistakes))
    count = right + wrong
    if not count:
        raise ValueError(f"no reference holds a number, in {given.locale}")
    metrics = {
        "number_count": float(count),
        "number_recall": right / count,
        "number_error_rate": (wrong + beside) / count,
        "number_word_error_rate": words_wrong / words,
    }
    if right + false:
        metrics["number_precision"] = right / (right + false)
    return EvaluatorOutput(
        metrics=metrics,
        greater_is_better={name: name in HIGHER_IS_BETTER for name in metrics},
        columns={"numbers wrong": column},
        artifacts={"numbers.csv": as_csv(confused)},
    )


def numbers(steps: Sequence[AlignedWord], side: str, language: Language) -> Iterator[slice]:
    """The numbers on one side ("reference" or "hypothesis") of an alignment: the steps that each spans."""
    places = [index for index, step in enumerate(steps) if getattr(step, side) is not None]
    said = [str(getattr(steps[index], side)) for index in places]
    start: int | None = None
    last = 0
    for at, word in enumerate(said):
        if language.number(word):
            start, last = (at if start is None else start), at
        elif start is not None and not (word in language.inside and at == last + 1):
            yield slice(places[start], places[last] + 1)
            start = None
    if start is not None:
        yield slice(places[start], places[last] + 1)


def overlap(first: slice, second: slice) -> bool:
    return bool(first.start < second.stop and second.start < first.stop)


def text(steps: Sequence[AlignedWord], side: str) -> str:
    """The words on one side."""
    return " ".join(str(word) for step in steps if (word := getattr(step, side)) is not None)


def widened(steps: Sequence[AlignedWord], span: slice, heard: Sequence[slice]) -> slice:
    """Where to read what was heard instead of a number: with the rest of a number that is heard there, and insertions."""
    start, stop = span.start, span.stop
    for other in heard:
        if overlap(span, other):
            start, stop = min(start, other.start), max(stop, other.stop)
    while start > 0 and steps[start - 1].op == "ins":
        start -= 1
    while stop < len(steps) and steps[stop].op == "ins":
        stop += 1
    return slice(start, stop)


def as_csv(confused: Counter[tuple[str, str]]) -> str:
    """The table of substitutions: what was said, what was heard instead, how often; the most frequent first."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("said", "heard", "count"))
    for (said, heard), times in sorted(confused.items(), key=lambda item: (-item[1], item[0])):
        table.writerow((said, heard, times))
    return file.getvalue()
