"""Language models: the file format against PocketSphinx itself, and the arithmetic against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pocketsphinx import Config, LogMath, NGramModel

from speech_mlflow.emulator.sphinx import base
from speech_mlflow.emulator.sphinx.domain import estimate
from speech_mlflow.emulator.sphinx.language import LEAST, MOST, best_weight, mix
from speech_mlflow.emulator.sphinx.ngrams import BEGIN, END, NGrams, interpolate, most_frequent, prune, sentence_probabilities
from speech_mlflow.emulator.sphinx.trie import read_trie, write_trie
from speech_mlflow.errors import EngineError
from tests.emulator.engine.material import sentences

LOG = LogMath(1.0001, 0, False)


@pytest.fixture(scope="module")
def shipped() -> NGrams:
    return read_trie(base.language_path())


@pytest.fixture(scope="module")
def general(shipped: NGrams) -> NGrams:
    return prune(shipped, most_frequent(shipped, 2000))


@pytest.fixture(scope="module")
def domain() -> NGrams:
    return estimate([line.lower().rstrip(".").split() for line in sentences("training")])


@pytest.fixture(scope="module")
def mixed(domain: NGrams, general: NGrams) -> NGrams:
    return interpolate(domain, general, 0.7)


def loaded(path: Path) -> NGramModel:
    return NGramModel(Config(lm=None), LOG, str(path))


def sample(model: NGrams, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trigrams, some of the model's own, some with a known bigram, some by chance."""
    random = np.random.default_rng(seed)
    third, second, any_ = random.integers(0, len(model.p3), 150), random.integers(0, len(model.p2), 150), random.integers
    size = len(model.words)
    g = np.concatenate([model.g3[third], any_(0, size, 150), any_(0, size, 150)])
    h = np.concatenate([model.h3[third], model.h1[second], any_(0, size, 150)])
    w = np.concatenate([model.w3[third], model.w2[second], any_(0, size, 150)])
    usable = w != model.ids[BEGIN]
    return g[usable], h[usable], w[usable]


def difference(model: NGrams, other: NGramModel) -> float:
    """Largest difference in natural logarithms over a sample; PocketSphinx takes the words in reverse order."""
    g, h, w = sample(model)
    ours = np.log(model.probability3(g, h, w))
    theirs = [other.prob([model.words[c], model.words[b], model.words[a]]) for a, b, c in zip(g, h, w, strict=True)]
    return float(np.abs(ours - np.array(theirs) * np.log(1.0001)).max())


def assert_sums_to_one(model: NGrams, tolerance: float = 1e-9) -> None:
    """In contexts that the model has, in ones it has half of, and in ones it has not."""
    size = len(model.words)
    random = np.random.default_rng(1)
    some = random.integers(0, len(model.p3), 12)
    contexts = [*zip(model.g3[some], model.h3[some], strict=True), *random.integers(0, size, (12, 2)).tolist()]
    for g, h in contexts:
        everything = model.probability3(np.full(size, g), np.full(size, h), np.arange(size))
        assert everything.sum() - everything[model.ids[BEGIN]] == pytest.approx(1.0, abs=tolerance)


def test_the_shipped_model_is_read_as_pocketsphinx_reads_it(shipped: NGrams) -> None:
    assert (len(shipped.words), len(shipped.p3)) == (72_547, 1_669_625)
    assert difference(shipped, loaded(base.language_path())) < 1e-3
    assert_sums_to_one(shipped, 5e-3)  # its own rounding


def test_a_written_model_is_read_alike_by_us_and_by_pocketsphinx(mixed: NGrams, tmp_path: Path) -> None:
    write_trie(mixed, tmp_path / "lm.bin")
    assert difference(mixed, loaded(tmp_path / "lm.bin")) < 1e-3
    again = read_trie(tmp_path / "lm.bin")
    assert again.words == mixed.words
    assert np.array_equal(again.keys3, mixed.keys3)
    assert np.abs(np.log(again.p3 / mixed.p3)).max() < 1e-3


def test_the_binary_file_says_what_the_arpa_file_says(domain: NGrams, tmp_path: Path) -> None:
    """PocketSphinx's own reader of ARPA text is a second opinion on all of it: words, order, back-offs."""
    words = domain.words

    def log10(p: float) -> float:
        return float(np.log10(p)) if p > 0 else -99.0

    lines = ["\\data\\", f"ngram 1={len(words)}", f"ngram 2={len(domain.p2)}", f"ngram 3={len(domain.p3)}", "", "\\1-grams:"]
    lines += [f"{log10(p):.7f} {w} {log10(b):.7f}" for w, p, b in zip(words, domain.p1, domain.b1, strict=True)]
    pairs = zip(domain.h1, domain.w2, domain.p2, domain.b2, strict=True)
    lines += ["", "\\2-grams:", *(f"{log10(p):.7f} {words[h]} {words[w]} {log10(b):.7f}" for h, w, p, b in pairs)]
    triples = zip(domain.g3, domain.h3, domain.w3, domain.p3, strict=True)
    lines += [
        "",
        "\\3-grams:",
        *(f"{log10(p):.7f} {words[g]} {words[h]} {words[w]}" for g, h, w, p in triples),
        "",
        "\\end\\",
        "",
    ]
    (tmp_path / "lm.arpa").write_text("\n".join(lines))
    write_trie(domain, tmp_path / "lm.bin")
    assert difference(domain, loaded(tmp_path / "lm.arpa")) < 1e-3
    assert difference(domain, loaded(tmp_path / "lm.bin")) < 1e-3


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lm.bin").write_bytes(b"Trie Language Model" + bytes(40))
    with pytest.raises(EngineError, match=r"lm\.bin"):
        read_trie(tmp_path / "lm.bin")


def test_a_trigram_without_its_bigram_is_not_written(domain: NGrams, tmp_path: Path) -> None:
    fields = {name: getattr(domain, name) for name in NGrams.__dataclass_fields__}
    for name in ("h1", "w2", "p2", "b2"):
        fields[name] = fields[name][:-50]
    with pytest.raises(ValueError, match="lacks the bigram"):
        write_trie(NGrams(**fields), tmp_path / "lm.bin")


def test_every_model_sums_to_one(general: NGrams, domain: NGrams, mixed: NGrams) -> None:
    for model in (general, domain, mixed):
        assert_sums_to_one(model)
        assert model.p1.sum() == pytest.approx(1.0)


def test_the_mixture_is_the_weighted_sum(general: NGrams, domain: NGrams, mixed: NGrams) -> None:
    """For every kind of n-gram that the mixture has, computed from the two models by words."""

    def p(model: NGrams, g: str, h: str, w: str) -> float:
        """By the definition of back-off, one n-gram at a time."""
        if w not in model.ids:
            return 0.0
        if h not in model.ids:
            return float(model.p1[model.ids[w]])
        if g not in model.ids:
            return float(model.probability2(np.array([model.ids[h]]), np.array([model.ids[w]]))[0])
        return float(model.probability3(*(np.array([model.ids[word]]) for word in (g, h, w)))[0])

    random = np.random.default_rng(2)
    ours = [n for n in range(len(mixed.p3)) if {mixed.words[mixed.g3[n]], mixed.words[mixed.w3[n]]} <= set(domain.ids)]
    for n in [*random.choice(len(mixed.p3), 100), *random.choice(ours, 100)]:
        words = tuple(mixed.words[column[n]] for column in (mixed.g3, mixed.h3, mixed.w3))
        assert mixed.p3[n] == pytest.approx(0.7 * p(domain, *words) + 0.3 * p(general, *words), rel=1e-3)


def test_witten_bell_by_hand() -> None:
    model = estimate([["a", "b"], ["a", "c"]])
    a, b = model.ids["a"], model.ids["b"]
    assert model.p1[b] == pytest.approx(1 / 6)  # a a b c </s> </s>
    assert model.probability2(np.array([a]), np.array([b]))[0] == pytest.approx((1 + 2 / 6) / 4)
    third = model.probability3(np.array([model.ids[BEGIN]]), np.array([a]), np.array([b]))[0]
    assert third == pytest.approx((1 + 2 * (1 + 2 / 6) / 4) / 4)


def test_pruning_keeps_what_was_asked_for(shipped: NGrams, general: NGrams) -> None:
    assert {"the", "hello", BEGIN, END} <= set(general.words)
    assert len(general.words) <= 2002
    kept = general.probability3(*(np.array([general.ids[word]]) for word in ("one", "of", "the")))
    assert kept == pytest.approx(
        shipped.probability3(*(np.array([shipped.ids[word]]) for word in ("one", "of", "the"))), rel=0.02
    )


def test_the_weight_that_is_chosen_fits_the_text(general: NGrams) -> None:
    assert best_weight(np.array([0.2, 0.2, 0.1]), np.array([0.01, 0.02, 0.01])) > 0.95
    assert best_weight(np.array([0.001, 0.002]), np.array([0.1, 0.2])) < 0.05
    narrow = [line.lower().rstrip(".").split() for line in sentences("training")]
    assert LEAST < mix(general, narrow, [], weight=None, base_vocabulary=500).weight <= MOST
    assert mix(general, narrow, [], weight=0.3, base_vocabulary=500).weight == 0.3


def test_a_mixture_predicts_unseen_sentences_better(general: NGrams) -> None:
    narrow = [line.lower().rstrip(".").split() for line in sentences("training")]
    model = mix(general, narrow[::2], [], weight=None, base_vocabulary=500).model
    known = [line for line in narrow[1::2] if line not in narrow[::2] and set(line) <= set(model.words) & set(general.words)]
    assert known
    before = np.concatenate([np.log(sentence_probabilities(general, line)) for line in known]).mean()
    after = np.concatenate([np.log(sentence_probabilities(model, line)) for line in known]).mean()
    assert after > before + 0.5
