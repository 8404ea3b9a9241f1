"""Pronunciation files."""

from __future__ import annotations

import pytest

from speech_mlflow.corpus.pronunciation import Pronunciations, parse_pronunciations
from speech_mlflow.corpus.text import decode


def read(text: str) -> Pronunciations:
    return parse_pronunciations(decode(text.encode(), "terms.txt"))


def test_lines_are_displayed_tab_spoken() -> None:
    found = read("3CPO\tthree c p o\n\nNew York \t new york\n")
    assert [(line.number, line.displayed, line.spoken) for line in found.lines] == [
        (1, "3CPO", "three c p o"),
        (3, "New York", "new york"),
    ]
    assert found.problems == ()


@pytest.mark.parametrize(
    ("line", "code", "severity"),
    [
        ("3CPO three c p o", "missing-tab", "error"),
        ("3CPO\tthree\tc", "extra-column", "error"),
        ("3CPO\t", "empty-form", "error"),
        ("\tthree", "empty-form", "error"),
        ("ok\to k", "duplicate-line", "warning"),
        ("3CPO\t3 c p o", "digits-spoken", "warning"),
    ],
)
def test_lines_with_problems(line: str, code: str, severity: str) -> None:
    found = read(f"ok\to k\n{line}\n")
    (problem,) = found.problems
    assert (problem.code, problem.severity, problem.line) == (code, severity, 2)
    assert found.rejected == (severity == "error")


def test_a_word_may_have_two_pronunciations() -> None:
    assert read("ok\to k\nok\tokay\n").problems == ()


def test_an_empty_file_says_so() -> None:
    assert [problem.code for problem in read("\n").problems] == ["no-lines"]
