"""Scores: how many words a recogniser got right, over a test set and in each utterance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from speech_mlflow.errors import ScoringError
from speech_mlflow.progress import Progress, ProgressEvent, silent
from speech_mlflow.scoring.alignment import AlignedWord, expand
from speech_mlflow.scoring.batch import CHUNK, Aligned, align_pairs, join
from speech_mlflow.scoring.characters import character_counts
from speech_mlflow.scoring.display import TokenErrors, token_errors
from speech_mlflow.scoring.inputs import Groups, read_groups, read_ids, read_texts
from speech_mlflow.scoring.normalize import NOTHING, Normalizer, as_normalizer
from speech_mlflow.scoring.records import CountArrays, Counts, Edits, Totals
from speech_mlflow.scoring.words import (
    Confusion,
    InsertedWord,
    KeywordReport,
    MissedWord,
    OovReport,
    WordErrors,
    keyword_recall,
    out_of_vocabulary,
    word_errors,
)

if TYPE_CHECKING:
    import jiwer

NormalizerLike = str | Normalizer | Callable[[str], Any] | None


@dataclass(frozen=True)
class UtteranceScore(Counts):
    """One utterance: its counts, both texts as they were given, and the alignment of the normalised words."""

    index: int = 0
    id: str = ""
    reference: str = ""
    hypothesis: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    alignment: tuple[AlignedWord, ...] = field(default=(), repr=False)


@dataclass(frozen=True, eq=False)
class Score:
    """The score of one recogniser on one test set.

    Totals are computed when the score is made; everything else (characters, display form, confusions, ...) when it
    is asked for. All rates are fractions. Iterating gives an `UtteranceScore` per utterance.

    `arrays` and `edits` hold the counts and errors of every utterance for those who compute on; `references` and
    `hypotheses` are the texts as given, None for a score that was streamed without keeping them.
    """

    normalizer: Normalizer
    arrays: CountArrays = field(repr=False)
    edits: Edits = field(repr=False)
    references: tuple[str, ...] | None = field(default=None, repr=False)
    hypotheses: tuple[str, ...] | None = field(default=None, repr=False)
    given_ids: tuple[str, ...] | None = field(default=None, repr=False)
    groups: Groups = field(default_factory=dict, repr=False)

    # --- totals -------------------------------------------------------------------------------------------------

    @cached_property
    def totals(self) -> Totals:
        """The counts over all utterances."""
        return self.arrays.total()

    @property
    def words(self) -> int:
        """Words in the references."""
        return self.totals.words

    @property
    def hits(self) -> int:
        return self.totals.hits

    @property
    def substitutions(self) -> int:
        return self.totals.substitutions

    @property
    def deletions(self) -> int:
        return self.totals.deletions

    @property
    def insertions(self) -> int:
        return self.totals.insertions

    @property
    def errors(self) -> int:
        return self.totals.errors

    @property
    def wer(self) -> float:
        """Word error rate of the corpus: all errors over all reference words, not the mean over utterances."""
        return self.totals.wer

    @property
    def ser(self) -> float:
        """Sentence error rate: the share of utterances that are not entirely right."""
        return self.totals.ser

    @property
    def mer(self) -> float:
        """Match error rate."""
        return self.totals.mer

    @property
    def wil(self) -> float:
        """Word information lost."""
        return self.totals.wil

    @property
    def wip(self) -> float:
        """Word information preserved."""
        return self.totals.wip

    def summary(self) -> dict[str, float]:
        """The totals and rates by name, as they are logged."""
        names = ("wer", "ser", "mer", "wil", "wip", "words", "hits", "substitutions", "deletions", "insertions", "errors")
        return {name: getattr(self, name) for name in names} | {"utterances": len(self)}

    # --- utterances ---------------------------------------------------------------------------------------------

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """One id per utterance; where none were given, positions from "0"."""
        return tuple(map(str, range(len(self)))) if self.given_ids is None else self.given_ids

    def __len__(self) -> int:
        return len(self.arrays.words)

    def __iter__(self) -> Iterator[UtteranceScore]:
        return map(self.utterance, range(len(self)))

    def __getitem__(self, key: int | str) -> UtteranceScore:
        """An utterance by position or by id."""
        if isinstance(key, str):
            try:
                return self.utterance(self._positions[key])
            except KeyError:
                raise KeyError(f"there is no utterance with the id {key!r}") from None
        return self.utterance(range(len(self))[key])

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.ids)}

    def utterance(self, index: int) -> UtteranceScore:
        """The utterance at a position, with its alignment. Raises ScoringError where texts were not kept."""
        references, hypotheses = self.texts()
        counts = self.arrays.at(index)
        return UtteranceScore(
            counts.words,
            counts.hits,
            counts.substitutions,
            counts.deletions,
            counts.insertions,
            index=index,
            id=self.ids[index],
            reference=references[index],
            hypothesis=hypotheses[index],
            groups={name: labels[index] for name, labels in self.groups.items()},
            alignment=self.alignment(index),
        )

    def alignment(self, index: int) -> tuple[AlignedWord, ...]:
        """The alignment whose errors are counted, of the normalised words."""
        return expand(self.edits.of(index), self.reference_words(index), self.hypothesis_words(index))

    def reference_words(self, index: int) -> list[str]:
        """The normalised words of a reference."""
        return self.normalizer(self.texts()[0][index]).split()

    def hypothesis_words(self, index: int) -> list[str]:
        """The normalised words of a hypothesis."""
        return self.normalizer(self.texts()[1][index]).split()

    def texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """References and hypotheses as given. Raises ScoringError for a score streamed without keeping them."""
        if self.references is None or self.hypotheses is None:
            raise ScoringError("this score was made without keeping its texts", hint="use score_stream(..., keep_texts=True)")
        return self.references, self.hypotheses

    def worst(self, count: int = 10) -> list[UtteranceScore]:
        """The utterances with the most errors, the higher rate first among equals."""
        errors = self.arrays.errors
        share = errors / np.maximum(self.arrays.words, 1)
        order = np.lexsort((-share, -errors))[:count]
        return [self.utterance(int(index)) for index in order if errors[index]]

    def table(self) -> dict[str, list[Any]]:
        """One column per field and one row per utterance, ready for a data frame or `mlflow.log_table`."""
        references, hypotheses = self.texts()
        arrays = self.arrays
        errors = arrays.errors
        with np.errstate(divide="ignore", invalid="ignore"):
            wer = np.where(arrays.words > 0, errors / arrays.words, np.where(errors > 0, np.inf, 0.0))
        return {
            "id": list(self.ids),
            **{name: list(labels) for name, labels in self.groups.items()},
            "reference": list(references),
            "hypothesis": list(hypotheses),
            "words": arrays.words.tolist(),
            "hits": arrays.hits.tolist(),
            "substitutions": arrays.substitutions.tolist(),
            "deletions": arrays.deletions.tolist(),
            "insertions": arrays.insertions.tolist(),
            "errors": errors.tolist(),
            "wer": wer.tolist(),
        }

    # --- groups -------------------------------------------------------------------------------------------------

    def column(self, name: str | None = None) -> tuple[str, ...]:
        """The labels of a group column; the first one where no name is given."""
        if not self.groups:
            raise ScoringError("this score has no groups", hint='pass groups={"speaker": [...]} to score')
        name = next(iter(self.groups)) if name is None else name
        if name not in self.groups:
            raise ScoringError(f"there is no group column {name!r}", hint=f"columns: {', '.join(self.groups)}")
        return self.groups[name]

    def by_group(self, name: str | None = None) -> dict[str, Totals]:
        """Totals by label of a group column (the first one where no name is given), in order of appearance."""
        return self.totals_by(self.column(name))

    def totals_by(self, labels: Sequence[str]) -> dict[str, Totals]:
        """Totals by any labels, one per utterance."""
        rows: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            rows.setdefault(label, []).append(index)
        return {label: self.arrays.total(np.array(where, dtype=np.int64)) for label, where in rows.items()}

    # --- on demand ----------------------------------------------------------------------------------------------

    @cached_property
    def character_arrays(self) -> CountArrays:
        """Counts per utterance with characters of the normalised texts in the place of words."""
        return character_counts(*self.texts(), self.normalizer)

    @cached_property
    def characters(self) -> Totals:
        """Counts of characters; spaces between words count, except in languages written without."""
        return self.character_arrays.total()

    @property
    def cer(self) -> float:
        """Character error rate of the normalised texts."""
        return self.characters.wer

    @cached_property
    def tokens(self) -> TokenErrors:
        """Token errors of the texts as given, for references and hypotheses in display form."""
        return token_errors(*self.texts(), normalizer=self.normalizer)

    @cached_property
    def word_errors(self) -> WordErrors:
        """Confusions, missed and inserted words."""
        return word_errors(self)

    def confusions(self, count: int | None = 20) -> list[Confusion]:
        """The most frequent pairs of words confused."""
        return self.word_errors.confusions(count)

    def missed(self, count: int | None = 20) -> list[MissedWord]:
        """The reference words most often substituted or deleted."""
        return self.word_errors.missed(count)

    def inserted(self, count: int | None = 20) -> list[InsertedWord]:
        """The words most often inserted."""
        return self.word_errors.inserted(count)

    def keywords(self, keywords: Iterable[str] | Mapping[str, Iterable[str]]) -> dict[str, KeywordReport]:
        """Recall and precision of words or phrases, by kind; see `speech_mlflow.scoring.words.keyword_recall`."""
        return keyword_recall(self, keywords)

    def oov(self, vocabulary: Iterable[str]) -> OovReport:
        """How words that are not in a vocabulary fared."""
        return out_of_vocabulary(self, vocabulary)

    def to_jiwer(self) -> jiwer.WordOutput:
        """The alignments as jiwer holds them, for code that is written for jiwer (visualize_alignment and others).

        They are the ones counted here. jiwer's own have as many errors, but may split them into other kinds.
        """
        from speech_mlflow.scoring.jiwer_output import word_output

        return word_output(self)

    def rescore(self, normalizer: NormalizerLike) -> Score:
        """The same texts scored under another normaliser."""
        references, hypotheses = self.texts()
        return score(references, hypotheses, ids=self.given_ids, groups=self.groups, normalizer=normalizer)

    def _repr_html_(self) -> str:
        from speech_mlflow.scoring.report import score_html

        return score_html(self)

    def __str__(self) -> str:
        total = self.totals
        return (
            f"WER {total.wer:.2%} ({total.errors} errors in {total.words} words: {total.substitutions} substitutions, "
            f"{total.deletions} deletions, {total.insertions} insertions), "
            f"SER {total.ser:.2%} of {total.utterances} utterances, normaliser {self.normalizer.label}"
        )


def score(
    references: Iterable[str] | Mapping[str, str],
    hypotheses: Iterable[str] | Mapping[str, str],
    *,
    ids: Iterable[str] | None = None,
    groups: Iterable[str | None] | Mapping[str, Iterable[str | None]] | None = None,
    normalizer: NormalizerLike = None,
    progress: Progress | None = None,
) -> Score:
    """Score hypotheses against references.

    references, hypotheses: one text per utterance, or two mappings from id to text with the same ids. Words are
        separated by white space of any kind. An empty text is an utterance without words.
    ids: one per utterance, each only once.
    groups: one label per utterance (a speaker, a voice), or several such columns by name.
    normalizer: a locale ("en-US"), a name, a `Normalizer`, a function from text to text or a transform of jiwer.
        None compares words as they stand.

    Raises ScoringError, with everything that does not fit.
    """
    reference_texts, hypothesis_texts, own_ids = read_texts(references, hypotheses)
    count = len(reference_texts)
    given_ids = read_ids(own_ids if ids is None else ids, count)
    columns = read_groups(groups, count)
    rule = as_normalizer(normalizer)
    tell = progress or silent
    parts: list[Aligned] = []
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        parts.append(align_texts(rule, reference_texts[rows], hypothesis_texts[rows]))
        tell(ProgressEvent("score", min(start + CHUNK, count), count, "utterances"))
    aligned = join(parts)
    return Score(
        rule,
        CountArrays.from_edits(aligned.words, aligned.edits),
        aligned.edits,
        reference_texts,
        hypothesis_texts,
        given_ids,
        columns,
    )


def align_texts(rule: Normalizer, references: tuple[str, ...], hypotheses: tuple[str, ...]) -> Aligned:
    """Normalise and align."""
    if rule is NOTHING:
        return align_pairs(references, hypotheses)
    return align_pairs(rule.many(references), rule.many(hypotheses))
