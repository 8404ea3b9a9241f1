"""Structured text: read, checked against the service's limits, expanded into sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mlflow.corpus.structured_text import StructuredText, expand, looks_like_structured_text, parse_structured_text
from speech_mlflow.corpus.text import decode

GOOD = """\
// a comment
@ list dish =
- ice cream
- soup
@ list side dish =
- bread
@ speech:phoneticlexicon
- soup/s uw p
- and/or/ae n d
# Orders_1
- I would like {@dish}
- {@dish} with {@side dish} please
#Greetings
- good morning
"""


def read(text: str) -> StructuredText:
    return parse_structured_text(decode(text.encode(), "a.md"))


def test_everything_is_found() -> None:
    found = read(GOOD)
    assert found.problems == ()
    assert found.lists == {"dish": ("ice cream", "soup"), "side dish": ("bread",)}
    assert [(entry.word, entry.phones) for entry in found.lexicon] == [("soup", ("s", "uw", "p")), ("and/or", ("ae", "n", "d"))]
    assert [(sentence.section, sentence.number, sentence.references) for sentence in found.sentences] == [
        ("Orders_1", 11, ("dish",)),
        ("Orders_1", 12, ("dish", "side dish")),
        ("Greetings", 14, ()),
    ]


def test_references_become_items() -> None:
    assert list(expand(read(GOOD))) == [
        "I would like ice cream",
        "I would like soup",
        "ice cream with bread please",
        "soup with bread please",
        "good morning",
    ]


@pytest.mark.parametrize(
    ("text", "code", "line", "severity"),
    [
        pytest.param("# A\n- eat {@fruit}\n- ok\n", "unknown-list", 2, "error", id="unknown list"),
        pytest.param("# A\n- eat {fruit}\n- ok\n", "reference-form", 2, "error", id="reference without @"),
        pytest.param("@ list x =\n- y\n# A\n- eat {@x\n- {@x}\n", "reference-form", 4, "error", id="reference not closed"),
        pytest.param("- hello\n# A\n- ok\n", "no-section", 1, "error", id="before any section"),
        pytest.param("# A\nhello\n- ok\n", "not-understood", 2, "error", id="no dash"),
        pytest.param("# A\n-\n- ok\n", "empty-item", 2, "error", id="empty item"),
        pytest.param("@ lists x =\n# A\n- ok\n", "not-understood", 1, "error", id="misspelt declaration"),
        pytest.param("@ list x\n# A\n- ok\n", "not-understood", 1, "error", id="no equals sign"),
        pytest.param("@ list x = y\n# A\n- ok\n", "not-understood", 1, "error", id="item behind the equals sign"),
        pytest.param("# A b!\n- ok\n", "section-name", 1, "error", id="section name"),
        pytest.param("@ list x =\n# A\n- {@x}\n- ok\n", "empty-list", 1, "error", id="empty list"),
        pytest.param("@ list x =\n- y\n# A\n- ok\n", "unused-list", 1, "warning", id="unused list"),
        pytest.param("@ list x =\n- a\n@ list x =\n- b\n# A\n- {@x}\n", "duplicate-list", 3, "error", id="list twice"),
        pytest.param("@ list x =\n- {@x}\n- b\n# A\n- {@x}\n", "reference-in-list", 2, "error", id="list in list"),
        pytest.param("@ speech:phoneticlexicon\n- cat k ae t\n# A\n- ok\n", "phones", 2, "error", id="no slash"),
        pytest.param(
            "@ speech:phoneticlexicon\n- a/x\n- A/y\n- a/z\n# A\n- ok\n", "many-pronunciations", 4, "error", id="three ways"
        ),
        pytest.param("@ list x =\n- a\n", "no-sentences", None, "error", id="no sentences"),
    ],
)
def test_problems_are_told_with_their_line(text: str, code: str, line: int | None, severity: str) -> None:
    found = {problem.code: problem for problem in read(text).problems}
    assert (found[code].line, found[code].severity) == (line, severity)


def test_a_rejected_sentence_is_counted_once_and_left_out() -> None:
    found = read("# A\n- {@no} and {@nothing} {left\n- fine\n")
    assert found.rejected == 1
    assert list(expand(found)) == ["fine"]


@pytest.mark.parametrize(("lists", "severity"), [(10, None), (11, "warning"), (20, "warning"), (21, "error")])
def test_number_of_lists(lists: int, severity: str | None) -> None:
    text = "".join(f"@ list x{i} =\n- y\n" for i in range(lists))
    uses = "# A\n" + "".join(f"- {{@x{i}}}\n" for i in range(lists))
    assert [problem.severity for problem in read(text + uses).problems if problem.code == "many-lists"] == (
        [severity] if severity else []
    )


@pytest.mark.parametrize(("items", "severity"), [(4_000, None), (4_001, "warning"), (35_000, "warning"), (35_001, "error")])
def test_number_of_items(items: int, severity: str | None) -> None:
    text = "@ list x =\n" + "- y\n" * items + "# A\n- {@x}\n"
    assert [problem.severity for problem in read(text).problems] == ([severity] if severity else [])


def test_number_of_pronunciations() -> None:
    def text(count: int) -> str:
        return "@ speech:phoneticlexicon\n" + "".join(f"- w{i}/a\n" for i in range(count)) + "# A\n- ok\n"

    assert read(text(15_000)).problems == ()
    assert [problem.code for problem in read(text(15_001)).problems] == ["long-lexicon"]


def test_number_of_sentences() -> None:
    assert read("# A\n" + "- ok\n" * 50_000).problems == ()
    assert [problem.code for problem in read("# A\n" + "- ok\n" * 50_001).problems] == ["many-sentences"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=3), st.integers(1, 50))
def test_expansion_is_bounded_distinct_and_uses_every_item(sizes: list[int], most: int) -> None:
    text = "".join(f"@ list x{i} =\n" + "".join(f"- i{i}n{n}\n" for n in range(size)) for i, size in enumerate(sizes))
    found = read(text + "# A\n- " + " ".join(f"{{@x{i}}}" for i in range(len(sizes))) + "\n")
    sentences = list(expand(found, most=most))
    assert len(sentences) == len(set(sentences)) <= max(most, *sizes)
    words = {word for sentence in sentences for word in sentence.split()}
    assert words == {f"i{i}n{n}" for i, size in enumerate(sizes) for n in range(size)}


def test_huge_products_are_not_computed() -> None:
    lists = "".join(f"@ list x{i} =\n" + "".join(f"- a{n}\n" for n in range(3_000)) for i in range(5))
    found = read(lists + "# A\n- {@x0} {@x1} {@x2} {@x3} {@x4}\n")
    assert len(list(expand(found))) == 3_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [(GOOD, True), ("# A\n- hello\n", True), ("@ list x =\n", True), ("# A\nhello\n", False), ("plain\n", False)],
)
def test_structured_text_is_told_from_other_texts(text: str, expected: bool) -> None:
    assert looks_like_structured_text(decode(text.encode(), "a.md")) is expected


PIECES = ["@ list x =", "@", "@ speech:phoneticlexicon", "- {@x}", "- a/b", "-", "# A", "#", "{@", "- {x"]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PIECES)))
def test_any_lines_are_read_or_explained(lines: list[str]) -> None:
    found = read("\n".join(lines))
    assert found.sentences or found.problems
    assert not any("{" in sentence for sentence in expand(found))
