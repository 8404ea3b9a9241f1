"""Written text becomes the words that are said."""

from __future__ import annotations

import pytest

from speech_mlflow.emulator.sphinx.text import acronyms, sentences, spoken_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The patient's BP is 120/80.", "the patient's bp is one hundred twenty eighty"),
        ("3.5% of $1,250.50", "three point five percent of one thousand two hundred fifty dollars fifty cents"),
        ("$3 million at 10:30, 9:05 and 8:00", "three million dollars at ten thirty nine oh five and eight o'clock"),
        ("In 1999 and 2024, on the 21st", "in nineteen ninety nine and twenty twenty four on the twenty first"),
        ("250 mg or 5ml, code 007", "two hundred fifty milligrams or five milliliters code zero zero seven"),
        ("The U.S. state-of-the-art MRI", "the u. s. state of the art mri"),
        ("“Dr. O’Neil’s rock ’n’ roll”", "doctor o'neil's rock n roll"),
        ("COVID-19 \u2013 caf\u00e9", "covid nineteen caf\u00e9"),
        (
            "12345678901234567890",
            "one two three four five six seven eight nine zero one two three four five six seven eight nine zero",
        ),
        ("the 1,000th and the 007th", "the one thousandth and the seventh"),
        ("?!", ""),
    ],
)
def test_spoken_words(text: str, words: str) -> None:
    assert " ".join(spoken_words(text)) == words


def test_a_number_of_any_length_can_be_said() -> None:
    assert spoken_words("9" * 5000 + "th") == ["nine"] * 4999 + ["ninth"]


def test_acronyms_are_found_except_where_everything_is_capitals() -> None:
    assert acronyms("An MRI or CT of the U.S. fleet") == {"mri", "ct"}
    assert acronyms("STOP THE PRESS") == set()


def test_a_line_is_split_at_sentence_ends_only() -> None:
    assert sentences("It hurts. Dr. Smith saw 3.5 mg! Did he?") == ["It hurts.", "Dr. Smith saw 3.5 mg!", "Did he?"]
