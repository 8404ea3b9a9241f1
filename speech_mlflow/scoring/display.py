"""Token errors of texts in display form, split by what kind of mistake they are.

A token is what stands between spaces, punctuation and case included: `Hello,` and `hello` are different tokens. In
languages written without spaces each character is a token. Alignment is the one of words (fewest errors, then most
hits), and every error falls into exactly one class, so that the classes add up to the errors:

- punctuation: the same without punctuation;
- capitalization: the same but for upper and lower case;
- itn (inverse text normalisation): written otherwise, but the same when spoken (`21`, `twenty one`);
- others: right as a word, with both punctuation and case wrong;
- lexical: another word.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from speech_mlflow.scoring.alignment import DEL, INS, SUB, Edit
from speech_mlflow.scoring.batch import align_pairs
from speech_mlflow.scoring.inputs import read_texts
from speech_mlflow.scoring.normalize import NOTHING, Normalizer, get_normalizer
from speech_mlflow.scoring.records import CountArrays, Totals
from speech_mlflow.scoring.rules import split_unspaced

CLASSES = ("punctuation", "capitalization", "itn", "lexical", "others")

_SPOKEN = "$€£¥%&@#+=<>°\u200c\u200d"  # signs that are words, and the joiners within Persian and Indic words


class _Bare(dict[int, str]):
    """A table for `str.translate` that leaves letters, digits, spaces and what is spoken.

    Marks stay with their letters: the vowels of Hindi, Thai and Arabic are marks, and another vowel makes another word.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = character.isalnum() or character.isspace() or character in _SPOKEN
        value = self[code] = character if kept or unicodedata.category(character)[0] == "M" else ""
        return value


_BARE = _Bare()


@dataclass(frozen=True)
class TokenErrors:
    """Totals over tokens, and the errors by class. The rate is `totals.wer`, here the token error rate."""

    totals: Totals
    punctuation: int
    capitalization: int
    itn: int
    lexical: int
    others: int

    @property
    def ter(self) -> float:
        """Token error rate, a fraction."""
        return self.totals.wer

    def shares(self) -> dict[str, float]:
        """Each class as a share of all errors; empty where there are none."""
        errors = self.totals.errors
        return {name: getattr(self, name) / errors for name in CLASSES} if errors else {}


def token_errors(
    references: Sequence[str], hypotheses: Sequence[str], *, normalizer: Normalizer | str | None = None
) -> TokenErrors:
    """Token errors of hypotheses in display form against references in display form.

    normalizer: tells what is the same when spoken; by default "basic", which knows no numbers: give the locale.
    """
    reference_texts, hypothesis_texts, _ = read_texts(references, hypotheses)
    rule = get_normalizer(normalizer) if isinstance(normalizer, str) else normalizer
    rule = get_normalizer("basic") if rule is None or rule is NOTHING else rule
    spread = [tuple(" ".join(_tokens(text, rule)) for text in texts) for texts in (reference_texts, hypothesis_texts)]
    aligned = align_pairs(*spread)
    classes = Counter(
        kind
        for index, edits in aligned.edits.by_utterance()
        for kind in classify(edits, spread[0][index].split(), spread[1][index].split(), rule)
    )
    totals = CountArrays.from_edits(aligned.words, aligned.edits).total()
    return TokenErrors(totals, *(classes[name] for name in CLASSES))


def classify(edits: Sequence[Edit], reference: Sequence[str], hypothesis: Sequence[str], rule: Normalizer) -> list[str]:
    """The class of each error of one utterance, given all of them in order."""
    return [kind for region in _regions(edits) for kind in _classify_region(region, reference, hypothesis, rule)]


def _tokens(text: str, rule: Normalizer) -> list[str]:
    text = unicodedata.normalize("NFC", text)
    return text.split() if rule.spaced else split_unspaced(text)


def _regions(edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """Errors that follow each other without a hit between them."""
    region: list[Edit] = []
    for edit in edits:
        if region and _end(region[-1]) != (edit.reference, edit.hypothesis):
            yield region
            region = []
        region.append(edit)
    if region:
        yield region


def _end(edit: Edit) -> tuple[int, int]:
    return edit.reference + (edit.op != INS), edit.hypothesis + (edit.op != DEL)


def _classify_region(
    region: list[Edit], reference: Sequence[str], hypothesis: Sequence[str], rule: Normalizer
) -> Iterator[str]:
    first, last = region[0], _end(region[-1])
    said = " ".join(reference[first.reference : last[0]])
    heard = " ".join(hypothesis[first.hypothesis : last[1]])
    if _bare(said) == _bare(heard):
        rest = "punctuation"
    elif said.casefold() == heard.casefold():
        rest = "capitalization"
    elif rule.function(said) == rule.function(heard):
        rest = "itn"
    else:
        rest = "lexical"
    for edit in region:
        yield _classify_one(edit, reference, hypothesis) or rest


def _classify_one(edit: Edit, reference: Sequence[str], hypothesis: Sequence[str]) -> str | None:
    """The class of an error that can be told by itself, else None."""
    if edit.op != SUB:
        token = reference[edit.reference] if edit.op == DEL else hypothesis[edit.hypothesis]
        return None if _bare(token) else "punctuation"
    said, heard = reference[edit.reference], hypothesis[edit.hypothesis]
    if _bare(said) == _bare(heard):
        return "punctuation"
    if said.casefold() == heard.casefold():
        return "capitalization"
    if _bare(said).casefold() == _bare(heard).casefold():
        return "others"
    return None


def _bare(text: str) -> str:
    """Without punctuation; what is only punctuation leaves nothing."""
    return " ".join(text.translate(_BARE).split())
