"""Display forms: numbers, capitals, marks, profanity, and the rules of an output format."""

from __future__ import annotations

import pytest

from speech_mlflow.corpus.output_format import OutputFormat, parse_output_format
from speech_mlflow.corpus.text import Text
from speech_mlflow.emulator.display import display_form


def rules(*lines: str) -> OutputFormat:
    parsed = parse_output_format(Text("rules.md", lines, "utf-8", True))
    assert not parsed.problems
    return parsed


@pytest.mark.parametrize(
    ("lexical", "itn"),
    [
        ("give two hundred milligrams", "give 200 milligrams"),
        ("one hundred and twenty over eighty", "120 over 80"),
        ("in nineteen ninety nine", "in 1999"),
        ("in nineteen oh five", "in 1905"),
        ("since twenty twenty four", "since 2024"),
        ("three point five", "3.5"),
        ("ten point oh one percent", "10.01%"),
        ("five dollars and ten percent", "$5 and 10%"),
        ("the twenty first patient", "the 21st patient"),
        ("the second time", "the second time"),
        ("the twelfth", "the 12th"),
        ("two dogs", "two dogs"),
        ("call five five five oh one two three", "call 5550123"),
        ("twelve thousand three hundred", "12,300"),
        ("one million two hundred thousand", "1,200,000"),
        ("nineteen hundred people", "1900 people"),
        ("a hundred", "a hundred"),
        ("point taken", "point taken"),
    ],
)
def test_numbers(lexical: str, itn: str) -> None:
    assert display_form(lexical, "en-US").itn == itn


@pytest.mark.parametrize(
    ("lexical", "display"),
    [
        ("i'm here on monday", "I'm here on Monday."),
        ("what is it", "What is it?"),
        ("two dogs", "Two dogs."),
        ("", ""),
    ],
)
def test_capitals_and_marks(lexical: str, display: str) -> None:
    assert display_form(lexical, "en-US").display == display


def test_profanity_as_asked() -> None:
    forms = {
        mode: display_form("this bullshit again", "en-US", profanity=mode) for mode in ("masked", "removed", "tags", "raw")
    }
    assert {mode: form.display for mode, form in forms.items()} == {
        "masked": "This ******** again.",
        "removed": "This again.",
        "tags": "This <profanity>bullshit</profanity> again.",
        "raw": "This bullshit again.",
    }
    assert {(form.itn, form.masked_itn) for form in forms.values()} == {("this bullshit again", "this ******** again")}


def test_a_pattern_may_write_nothing() -> None:
    found = rules("#itn", "{um>}")
    assert display_form("um", "en-US", rules=found) == ("", "", "")
    assert display_form("um hello um there", "en-US", rules=found) == ("hello there", "hello there", "Hello there.")


def test_a_word_that_only_contains_profanity_is_not_masked() -> None:
    assert display_form("scunthorpe and dickens", "en-US").display == "Scunthorpe and dickens."


@pytest.mark.parametrize(
    ("pattern", "lexical", "itn"),
    [
        (r"\d-\d-\d", "code one two three please", "code 1-2-3 please"),
        (r"\d-\d-\d", "code one dash two dash three", "code 1-2-3"),
        (r"\d-\d-\d", "code one two three four", "code 1234"),
        (r"JO:\d00", "item j o five hundred", "item JO:500"),
        (r"JO:\d00", "item j o five", "item j o five"),
        (r"(AB|CD)-(\d)+", "c d nine oh one two", "CD-9012"),
        (r"\u\u", "grade a b", "grade AB"),
        (r"[x-z]\d", "y two", "y2"),
        (r"{dollar sign>$}\d", "dollar sign five", "$5"),
        (r"N(o)?\d", "n seven and n o seven", "N7 and No7"),
    ],
)
def test_patterns(pattern: str, lexical: str, itn: str) -> None:
    assert display_form(lexical, "en-US", rules=rules("#itn", pattern)).itn == itn


def test_rewrites_take_the_longer_phrase_in_any_case() -> None:
    found = rules("#rewrite", "covid 19\tCOVID-19", "covid 19 test\tPCR", "new york\tNY")
    assert display_form("covid nineteen in new york", "en-US", rules=found).display == "COVID-19 in NY."
    assert display_form("the covid nineteen test", "en-US", rules=found).display == "The PCR."
    assert display_form("covid nineteen", "en-US", rules=found).itn == "covid 19"


def test_the_sample_of_the_documentation() -> None:
    found = rules("#profanity", "fakeprofanity", "#test", "Mask the fakeprofanity word\tMask the ************* word")
    assert display_form("mask the fakeprofanity word", "en-US", rules=found).display == "Mask the ************* word."


def test_other_locales_get_rules_but_no_english_numbers() -> None:
    found = rules("#rewrite", "two\tzwei")
    assert display_form("two hundred i", "de-DE", rules=found).display == "zwei hundred i."


def test_a_nasty_pattern_comes_to_an_end() -> None:
    words = " ".join(["one"] * 60 + ["a"] * 60)
    nasty = rules("#itn", r"(((\d)*)*)*x", r"((\a)+(\a)+)+9")
    assert display_form(words, "en-US", rules=nasty).itn == display_form(words, "en-US").itn
