"""Words that are in no dictionary: how well they are spoken, measured on words that the model never saw."""

from __future__ import annotations

from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from speech_mlflow.emulator.sphinx.align_letters import align, spell
from speech_mlflow.emulator.sphinx.dictionary import Lexicon, shipped_dictionary, write_dictionary
from speech_mlflow.emulator.sphinx.g2p import G2P, train


def split(every: int) -> tuple[dict[str, list[tuple[str, ...]]], dict[str, list[tuple[str, ...]]]]:
    """Every n-th word of the shipped dictionary to learn from, and 400 others."""
    words = [word for word in shipped_dictionary() if spell(word) == word and len(word) > 1]
    held = set(words[7 :: len(words) // 400])
    learnt = {word: shipped_dictionary()[word] for n, word in enumerate(words) if word not in held and n % every == 0}
    return learnt, {word: shipped_dictionary()[word] for word in sorted(held)}


def accuracy(model: G2P, held: dict[str, list[tuple[str, ...]]]) -> tuple[float, float]:
    """Share of words spoken as one of their pronunciations, and phone errors by phones."""
    right = errors = phones = 0
    for word, pronunciations in held.items():
        said = model.speak(word)[0][0]
        distance, length = min((Levenshtein.distance(said, known), len(known)) for known in pronunciations)
        right, errors, phones = right + (distance == 0), errors + distance, phones + length
    return right / len(held), errors / phones


@pytest.fixture(scope="module")
def small() -> tuple[G2P, dict[str, list[tuple[str, ...]]]]:
    learnt, held = split(8)
    return train(learnt), held


def test_unseen_words_from_an_eighth_of_the_dictionary(small: tuple[G2P, dict[str, list[tuple[str, ...]]]]) -> None:
    words, phones = accuracy(*small)
    assert words > 0.48
    assert phones < 0.14


@pytest.mark.slow
def test_unseen_words_from_the_whole_dictionary() -> None:
    learnt, held = split(1)
    words, phones = accuracy(train(learnt), held)
    assert words > 0.70
    assert phones < 0.075


def test_a_saved_model_speaks_the_same(small: tuple[G2P, dict[str, list[tuple[str, ...]]]], tmp_path: Path) -> None:
    model, held = small
    model.save(tmp_path)
    again = G2P.load(tmp_path)
    for word in list(held)[:20]:
        assert again.speak(word, 3) == model.speak(word, 3)


def test_what_has_no_letters_is_not_spoken(small: tuple[G2P, dict[str, list[tuple[str, ...]]]]) -> None:
    assert small[0].speak("123") == []
    assert small[0].speak("\u4f60\u597d") == []
    assert small[0].speak("caf\u00e9") == small[0].speak("cafe")


def test_an_alignment_spends_all_phones_in_order() -> None:
    pairs = [(word, phones) for word, spoken in list(shipped_dictionary().items())[::400] for phones in spoken if spell(word)]
    aligned = align(pairs)
    assert len(aligned) > 0.95 * len(pairs)
    known = set(pairs)
    for units in aligned:
        phones = tuple(phone for _, said in units for phone in said)
        assert any(spell(word) == "".join(letter for letter, _ in units) and phones == spoken for word, spoken in known)


def test_pronunciations_of_the_data_come_first_and_unknown_words_from_their_parts() -> None:
    lexicon = Lexicon()
    assert lexicon.add_spoken("oviraptor", ["over", "raptor"])
    assert ("OW", "V", "ER", "R", "AE", "P", "T", "ER") in lexicon.pronunciations("oviraptor")
    assert lexicon.add_spoken("cntk", ["c", "n", "t", "k"])
    assert lexicon.pronunciations("cntk")[0] == ("S", "IY", "EH", "N", "T", "IY", "K", "EY")
    assert lexicon.pronunciations("hello") == shipped_dictionary()["hello"]
    assert not lexicon.add_spoken("silence", [])


def test_acronyms_are_spelt_and_longer_ones_also_read() -> None:
    lexicon = Lexicon()
    lexicon.add_acronym("qxz")
    assert lexicon.pronunciations("qxz")[0] == ("K", "Y", "UW", "EH", "K", "S", "Z", "IY")
    lexicon.add_acronym("sparq")
    said = lexicon.pronunciations("sparq")
    assert any(len(phones) <= 5 for phones in said)
    assert any(phones[:3] == ("EH", "S", "P") for phones in said)


def test_the_dictionary_file_has_the_words_asked_for_and_no_others(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "words.dict", ["tomato", "a"], Lexicon())
    lines = (tmp_path / "words.dict").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["a", "a(2)", "tomato", "tomato(2)"]
