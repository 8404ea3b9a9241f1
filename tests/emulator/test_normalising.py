"""Text as it is said: the documented examples, and that saying it twice changes nothing."""

from __future__ import annotations

import pytest

from speech_mlflow.emulator.normalising import normalise, plain, repeats_too_often, spoken_digits


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ('"Holy cow!" said Batman.', "holy cow said batman"),
        ('"What?" said Batman\'s sidekick, Robin.', "what said batman's sidekick robin"),
        ("Go get -em!", "go get em"),
        ("I'm double-jointed", "i'm double jointed"),
        ("104 Elm Street", "one oh four elm street"),
        ("Tune to 102.7", "tune to one oh two point seven"),
        ("Pi is about 3.14", "pi is about three point one four"),
        ("“Hello world”", "hello world"),
        ("John’s day", "john's day"),
        ("It was good—no, it was great!", "it was good no it was great"),
        ("the U.S. and an MRI", "the u s and an mri"),
        ("20 mg at 8:30, $1,104", "twenty milligrams at eight thirty one thousand one hundred four dollars"),
    ],
)
def test_written_text_becomes_words(written: str, spoken: str) -> None:
    assert normalise(written, "en-US") == spoken
    assert normalise(spoken, "en-US") == spoken  # what was heard goes the same way as the reference


@pytest.mark.timeout(100)  # it takes a tenth of a second; begun anew at each digit, many minutes
def test_a_number_without_end_is_read_in_one_go() -> None:
    assert normalise("1" * 200_000 + "x", "en-US").split()[-2:] == ["one", "x"]


def test_other_locales_lose_case_and_punctuation() -> None:
    assert normalise("Frankfurter Ring, 12!", "de-DE") == "frankfurter ring 12"
    assert normalise("¡Eine Frage!", "de-DE") == "eine frage"


def test_numbers_of_three_digits_with_a_zero_between() -> None:
    assert spoken_digits("104, 1040, 100, 1,104, 104,000, $104, 104th") == "1 oh 4, 1040, 100, 1,104, 104,000, $104, 104th"


def test_plain() -> None:
    assert plain("‘a’ “b”\u00a0—") == "'a' \"b\"  -- "


@pytest.mark.parametrize(
    ("text", "too_often"),
    [
        ("yeah yeah yeah", False),
        ("yeah yeah yeah yeah", True),
        ("and so on and so on and so on and so on", True),
        ("aaa", False),
        ("aaaa", True),
        ("1111 2222", False),
        ("", False),
    ],
)
def test_repetitions(text: str, too_often: bool) -> None:
    assert repeats_too_often(text) is too_often
