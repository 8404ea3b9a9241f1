"""Taking references, hypotheses, ids and groups as people have them, and naming everything that does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from speech_mlflow.errors import ScoringError

Groups = Mapping[str, tuple[str, ...]]
"""Column name ("speaker") to one label per utterance."""

DEFAULT_COLUMN = "group"
NO_LABEL = "(none)"
_SHOWN = 10


def listed(items: Iterable[object], total: int | None = None) -> str:
    """The first ten of many, and how many more there are."""
    shown = [str(item) for item in items]
    total = len(shown) if total is None else total
    rest = total - min(len(shown), _SHOWN)
    return ", ".join(shown[:_SHOWN]) + (f" and {rest} more" if rest else "")


def read_texts(references: Any, hypotheses: Any) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...] | None]:
    """Two equally long tuples of texts, and their ids where both came as mappings from id to text.

    Raises ScoringError that lists everything that does not fit: missing and extra ids, entries that are not texts.
    """
    if isinstance(references, Mapping) and isinstance(hypotheses, Mapping):
        ids = tuple(str(key) for key in references)
        match_ids(references, hypotheses)
        pairs = tuple(references.values()), tuple(hypotheses[key] for key in references)
    else:
        ids = None
        pairs = _sequence("references", references), _sequence("hypotheses", hypotheses)
    problems = []
    if len(pairs[0]) != len(pairs[1]):
        problems.append(f"there are {len(pairs[0])} references but {len(pairs[1])} hypotheses")
    for name, texts in zip(("references", "hypotheses"), pairs, strict=True):
        if not set(map(type, texts)) <= {str}:
            wrong = [(i, text) for i, text in enumerate(texts) if not isinstance(text, str)]
            if wrong:
                places = listed((f"{i} ({type(text).__name__})" for i, text in wrong[:_SHOWN]), len(wrong))
                problems.append(f"{len(wrong)} {name} are not texts, at positions {places}")
    if problems:
        raise ScoringError("; ".join(problems), hint="an utterance in which nothing was heard is an empty text")
    return pairs[0], pairs[1], ids


def match_ids(references: Mapping[Any, Any], hypotheses: Mapping[Any, Any]) -> None:
    """Raise ScoringError with all ids that only one side has."""
    missing = [key for key in references if key not in hypotheses]
    extra = [key for key in hypotheses if key not in references]
    problems = []
    if missing:
        problems.append(f"{len(missing)} utterances have no hypothesis: {listed(missing)}")
    if extra:
        problems.append(f"{len(extra)} hypotheses have no reference: {listed(extra)}")
    if problems:
        raise ScoringError("; ".join(problems), hint="both must be for the same utterances, under the same ids")


def read_ids(ids: Iterable[Any] | None, count: int) -> tuple[str, ...] | None:
    """Ids as text, each only once. Raises ScoringError with every one that occurs again."""
    if ids is None:
        return None
    read = tuple(str(name) for name in ids)
    if len(read) != count:
        raise ScoringError(f"there are {len(read)} ids for {count} utterances")
    if len(set(read)) != count:
        again = [name for name, times in Counter(read).items() if times > 1]
        raise ScoringError(f"{len(again)} ids occur more than once: {listed(again)}", hint="give each utterance its own id")
    return read


def read_groups(groups: Any, count: int) -> Groups:
    """One or several columns of labels. A single sequence becomes the column "group"; None becomes "(none)"."""
    if groups is None:
        return {}
    columns = dict(groups) if isinstance(groups, Mapping) else {DEFAULT_COLUMN: groups}
    read = {str(name): tuple(map(_label, _sequence(f"groups {name!r}", labels))) for name, labels in columns.items()}
    problems = [
        f"column {name!r} has {len(labels)} labels for {count} utterances"
        for name, labels in read.items()
        if len(labels) != count
    ]
    if problems:
        raise ScoringError("; ".join(problems), hint="groups are one label per utterance, or a mapping of such columns")
    return read


def read_words(name: str, words: Iterable[str]) -> tuple[str, ...]:
    """Words or phrases as a tuple. Raises ScoringError for a single text, which would be taken letter by letter."""
    if isinstance(words, str):
        raise ScoringError(f"{name} must be a list of words, not one text", hint="put it in a list, or read the file's lines")
    return tuple(words)


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, or what pandas writes for it (NaN, NaT, NA)."""
    try:
        return value is None or bool(value != value)  # NaN and NaT are the values that differ from themselves
    except TypeError:  # whether NA does, nobody knows
        return True
    except ValueError:  # an array
        return False


def _label(value: Any) -> str:
    return NO_LABEL if is_missing(value) else str(value)


def _sequence(name: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, (str, bytes)):
        raise ScoringError(f"{name} must be a list with one entry per utterance, not one text", hint="put it in a list")
    if isinstance(given, Mapping):
        raise ScoringError(f"{name} is a mapping and the other side is not", hint="give both as mappings from id to text")
    if not isinstance(given, Iterable):
        raise ScoringError(f"{name} must be a list with one entry per utterance, not {type(given).__name__}")
    return given if isinstance(given, tuple) else tuple(given)
