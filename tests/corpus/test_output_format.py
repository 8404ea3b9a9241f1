"""Output format files and the patterns in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.corpus.itn_pattern import Class, Literal, PatternError, Phrase, Range, Replacement, parse_pattern
from speech_mlflow.corpus.output_format import OutputFormat, looks_like_output_format, parse_output_format
from speech_mlflow.corpus.text import decode

GOOD = """\
// rules
#ITN
\\d-\\u
# rewrite
covered 19\tCOVID-19
#profanity
fakeprofanity
#test
i have covered 19\tI have COVID-19
"""


def read(text: str) -> OutputFormat:
    return parse_output_format(decode(text.encode(), "format.md"))


def test_everything_is_found() -> None:
    found = read(GOOD)
    assert found.problems == ()
    assert [(rule.number, rule.pattern) for rule in found.itn] == [(3, r"\d-\u")]
    assert [(rule.old, rule.new) for rule in found.rewrites] == [("covered 19", "COVID-19")]
    assert [entry.phrase for entry in found.profanity] == ["fakeprofanity"]
    assert [(test.lexical, test.display) for test in found.tests] == [("i have covered 19", "I have COVID-19")]


@pytest.mark.parametrize(
    ("text", "code", "line", "severity"),
    [
        pytest.param("#rewrite\nno tab\n", "columns", 2, "error", id="rewrite without tab"),
        pytest.param("#rewrite\na\tb\tc\n", "columns", 2, "error", id="rewrite with two tabs"),
        pytest.param("#rewrite\na\t\n", "columns", 2, "error", id="rewrite into nothing"),
        pytest.param("#test\nno tab\n", "columns", 2, "error", id="test without tab"),
        pytest.param("#rewrite\na\tb\nA\tc\n", "duplicate-line", 3, "warning", id="rewritten twice"),
        pytest.param("#profanity\nbad, word\n", "profanity-punctuation", 2, "error", id="punctuation in profanity"),
        pytest.param("#itn\n\\d+\n", "itn-pattern", 2, "error", id="pattern"),
        pytest.param("hello\n#itn\n\\d\n", "no-section", 1, "error", id="before any section"),
        pytest.param("#titn\n\\d\n", "unknown-section", 1, "error", id="unknown section"),
        pytest.param("#itn\n", "no-lines", None, "error", id="no rules"),
    ],
)
def test_problems_are_told_with_their_line(text: str, code: str, line: int | None, severity: str) -> None:
    found = {problem.code: problem for problem in read(text).problems}
    assert (found[code].line, found[code].severity) == (line, severity)


@pytest.mark.parametrize(("section", "most"), [("itn", 200), ("rewrite", 1000), ("profanity", 1000)])
def test_number_of_lines(section: str, most: int) -> None:
    def text(count: int) -> str:
        return f"#{section}\n" + "".join(f"a{i}\tb\n" if section == "rewrite" else f"a{i}\n" for i in range(count))

    assert read(text(most)).problems == ()
    assert [problem.code for problem in read(text(most + 1)).problems] == ["long-section"]


def test_it_is_told_from_other_texts() -> None:
    assert looks_like_output_format(decode(GOOD.encode(), "a.md"))
    assert not looks_like_output_format(decode(b"# Orders\n- hello\n", "a.md"))


@pytest.mark.parametrize(
    ("pattern", "elements"),
    [
        ("JO:500", (Literal("JO:500"),)),
        (r"JO:\d00", (Literal("JO:"), Class("d"), Literal("00"))),
        (r"\l\u\a", (Class("l"), Class("u"), Class("a"))),
        ("[5-7x]", (Range("567x"),)),
        ("[-a]", (Range("-a"),)),
        (r"\\\(\)\{\}\|\+\?\*", (Literal("\\(){}|+?*"),)),
        (
            r"(AB|CD)-(\d)+",
            (Phrase(((Literal("AB"),), (Literal("CD"),)), ""), Literal("-"), Phrase(((Class("d"),),), "+")),
        ),
        ("(a)?(b)*", (Phrase(((Literal("a"),),), "?"), Phrase(((Literal("b"),),), "*"))),
        ("{zippy>ZPI}-", (Replacement("zippy", "ZPI"), Literal("-"))),
        (r"\d{ to >-}\d", (Class("d"), Replacement("to", "-"), Class("d"))),
        ("{write} x", (Replacement("write", ""), Literal(" x"))),
        ("((a)+|b)", (Phrase(((Phrase(((Literal("a"),),), "+"),), (Literal("b"),)), ""),)),
        ("a > b", (Literal("a > b"),)),
    ],
)
def test_patterns(pattern: str, elements: object) -> None:
    assert parse_pattern(pattern) == elements


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"\d+", r"behind no phrase \(character 3\)"),
        ("a?", "behind no phrase"),
        ("(a", "never closed"),
        ("[a", "never closed"),
        ("{a>b", "never closed"),
        ("a)", "has no beginning"),
        ("a|b", "has no beginning"),
        ("(a|)", "an alternative is empty"),
        ("()", "an alternative is empty"),
        ("[]", "holds nothing"),
        ("[9-0]", "no range"),
        ("{>x}", "nothing is spoken"),
        (r"\s", r"\\s is not known"),
        ("a\\", r"is not known"),
        ("", "empty"),
        ("(" * 5000, "more than 20"),
    ],
)
def test_patterns_that_cannot_be_read(pattern: str, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        parse_pattern(pattern)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab\\d(){}[]|>?+*-0", max_size=30))
def test_any_pattern_is_read_or_explained(pattern: str) -> None:
    reason: str | None = None
    try:
        assert parse_pattern(pattern)
    except PatternError as problem:
        reason = str(problem)
    assert reason != ""
