"""Text normalisation before scoring, by locale or by name.

The service normalises transcripts before it computes a word error rate, by rules of which it documents examples for
en-US, de-DE and zh-CN. The built-in rules (`speech_mlflow.scoring.rules`) follow those examples; what goes beyond
them is not published, so a rate computed here approximates the service's own. A score names its normaliser, and two rates are
compared only under the same one.

Rules are functions from text to text: words separated by single spaces. A segmenter of a language that is written without
spaces is such a function, too; without one each character is a word. A `Normalizer` gives such a function a name
and remembers what it has seen, so that the references of a test set are normalised once for any number of models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import ScoringError
from speech_mlflow.plugins import registered

if TYPE_CHECKING:
    import pluggy

_REMEMBERED = 1 << 18
"""Sentences kept by one normaliser, about 60 MB of ordinary ones."""

_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{4})?(-[A-Za-z]{2}|-[0-9]{3})?(-[a-z]+)?", re.ASCII)


@dataclass(frozen=True)
class Normalizer:
    """A named rule from text to words separated by single spaces.

    name: a locale ("en-US") or any other word; it is recorded with every score.
    function: the rule. It must be pure: results are remembered.
    languages: the language codes ("en") that this rule serves where no other carries the very locale as its name.
    spaced: False where every character is a word; character error rates then leave the spaces out.
    version: changes when the rule does, so that old and new rates are told apart.
    """

    name: str
    function: Callable[[str], str]
    languages: tuple[str, ...] = ()
    spaced: bool = True
    version: str = "1"
    _memory: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, text: str) -> str:
        known = self._memory.get(text)
        return self._remember(text) if known is None else known

    def many(self, texts: Iterable[str]) -> list[str]:
        """Normalise many texts; what `[self(text) for text in texts]` gives, faster."""
        get, remember = self._memory.get, self._remember
        return [known if (known := get(text)) is not None else remember(text) for text in texts]

    @property
    def label(self) -> str:
        """Name and version, for records."""
        return self.name if self.version == "1" else f"{self.name} ({self.version})"

    def _remember(self, text: str) -> str:
        if len(self._memory) >= _REMEMBERED:
            self._memory.clear()
        result = self._memory[text] = self.function(text)
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory, which another process has no use for."""
        return {**self.__dict__, "_memory": {}}


def _unchanged(text: str) -> str:
    return text


NOTHING = Normalizer("none", _unchanged)
"""Compares words as they stand, separated by white space."""


def get_normalizer(locale_or_name: str, *, manager: pluggy.PluginManager | None = None) -> Normalizer:
    """Find the normaliser for a locale ("en-GB") or by its name ("basic"), plugins included.

    A locale without rules of its own gets those of its language, else the ones called "basic". Raises ScoringError
    where the word is neither a name nor looks like a locale.
    """
    known = normalizers(manager)
    by_name = {name.lower(): normalizer for name, normalizer in known.items()}
    if found := by_name.get(locale_or_name.lower()):
        return found
    if _LOCALE.fullmatch(locale_or_name):
        language = locale_or_name.split("-")[0]
        # the last one wins, as with names: a team's plugin comes after the built-in rules
        for normalizer in reversed(known.values()):
            if language in normalizer.languages:
                return normalizer
        return known["basic"]
    names = ", ".join(sorted(known))
    raise ScoringError(
        f"there is no normaliser named {locale_or_name!r}", hint=f"use a locale such as en-US, or one of: {names}"
    )


def normalizers(manager: pluggy.PluginManager | None = None) -> dict[str, Normalizer]:
    """All normalisers by name: built-in ones and those of plugins, which may replace them."""
    return registered("register_normalizers", _name_of, manager=manager)


def _name_of(normalizer: Normalizer) -> str:
    return normalizer.name


def as_normalizer(given: str | Normalizer | Callable[[str], Any] | None) -> Normalizer:
    """Take a normaliser in any of the forms that `score` accepts.

    None compares words as they stand; a string is looked up; any function from text to text serves, and so does a
    transform of jiwer, including those that return lists of words.
    """
    if given is None:
        return NOTHING
    if isinstance(given, Normalizer):
        return given
    if isinstance(given, str):
        return get_normalizer(given)
    if callable(given):
        return Normalizer(_describe(given), _Joined(given))
    raise ScoringError(
        f"a normaliser is a name, a locale or a function from text to text, not {type(given).__name__}",
        hint='for example normalizer="en-US"',
    )


@dataclass(frozen=True)
class _Joined:
    """A foreign transform whose result may be a text, a list of words or (jiwer) a list of lists of words."""

    transform: Callable[[str], Any]

    def __call__(self, text: str) -> str:
        result = self.transform(text)
        if isinstance(result, str):
            return result
        if isinstance(result, (list, tuple)):
            words = [word for part in result for word in ([part] if isinstance(part, str) else part)]
            return " ".join(words)
        raise ScoringError(f"the normaliser {_describe(self.transform)} returned {type(result).__name__}, not a text")


def _describe(transform: Callable[[str], Any]) -> str:
    parts = getattr(transform, "transforms", None)
    if isinstance(parts, (list, tuple)):
        return "+".join(type(part).__name__ for part in parts) or type(transform).__name__
    return getattr(transform, "__qualname__", type(transform).__name__)
