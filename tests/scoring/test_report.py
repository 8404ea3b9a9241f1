"""The report as text: complete, escaped, without a network. How it behaves in a browser is in tests/ui."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import wave
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring import Score, compare, compare_all, score
from speech_mlflow.scoring.comparison import ComparisonTable, wer_intervals_by
from speech_mlflow.scoring.report import figures, render_report
from tests.scoring.oracle import corpus, heard_again

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "<!-- --> & &lt; \u2028 \u2029",
    "]]> {{ 7*7 }} {% raw %} ${x}",
    "\ud800 lone \udc00",
]


class Page(HTMLParser):
    """Elements of a page, with the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.within = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within == "script":
            self.scripts[-1] += data
        elif not self.within:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def wav(seconds: float = 0.1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(seconds * 8000) * 2))
    return buffer.getvalue()


def scores(models: int = 3, utterances: int = 60) -> dict[str, Score]:
    references, _ = corpus(utterances, seed=1)
    groups = {"speaker": [f"s{index % 7}" for index in range(utterances)]}
    return {
        f"model {number}": score(references, heard_again(references, number, 0.25 / (number + 1)), groups=groups)
        for number in range(models)
    }


@pytest.mark.parametrize("models", [1, 2, 4])
def test_a_report_on_any_number_of_models(models: int) -> None:
    page = Page(render_report(scores(models), title="A title"))
    assert page.data["models"] == [f"model {number}" for number in range(models)]
    assert len(page.data["ids"]) == 60
    assert "A title" in page.text


def test_alignments_can_be_rebuilt_from_the_data() -> None:
    given = scores(2)
    page = Page(render_report(given))
    for system, one in zip(page.data["systems"], given.values(), strict=True):
        for index, flat in enumerate(system["edits"]):
            steps = [step for step in one.alignment(index) if step.op != "hit"]
            assert flat[1::3] == [("sub", "del", "ins").index(step.op) + 1 for step in steps]
            assert flat[2::3] == [step.hypothesis or "" for step in steps]


def test_hostile_texts_are_data_and_nothing_else() -> None:
    """Names, ids, texts, groups and columns from anywhere: no element of theirs comes to be."""
    clean = Page(render_report({"m": score(["a b"] * 6, ["a c"] * 6, groups={"g": ["x"] * 6})}, extra_columns={"e": [""] * 6}))
    given = score(
        HOSTILE, [text + " more" for text in HOSTILE], ids=[f"{i} {text}" for i, text in enumerate(HOSTILE)],
        groups={HOSTILE[0]: HOSTILE, HOSTILE[2]: HOSTILE},
    )  # fmt: skip
    other = score(HOSTILE, HOSTILE, ids=given.ids, groups=given.groups)
    text = render_report(
        {HOSTILE[0]: given, HOSTILE[1]: other},
        title=HOSTILE[0],
        metadata={HOSTILE[1]: HOSTILE[2]},
        extra_columns={HOSTILE[1]: list(HOSTILE)},
    )
    text.encode("utf-8")
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert names <= {tag for tag, _ in clean.tags} | {"ul", "li", "strong", "option", "figure", "line", "span"}
    assert "img" not in names
    assert len(page.scripts) == len(clean.scripts) == 3
    assert page.scripts[2] == clean.scripts[2]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.data["written"] == [
        text if text != " ".join(text.split()) else None for text in HOSTILE
    ]  # words joined by single spaces are not repeated
    assert not set("<>&") & set(page.scripts[0] + page.scripts[1])
    assert page.data["ids"] == list(given.ids)
    assert page.data["models"] == HOSTILE[:2]
    assert page.data["groups"][0]["labels"] == HOSTILE
    assert "alert(1)" in page.text  # it is shown


def test_no_network_and_no_storage() -> None:
    text = render_report(scores(), audio=lambda _: wav())
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    page = Page(text)
    assert not [tag for tag, attributes in page.tags if tag != "a" and ("src" in attributes or "href" in attributes)]
    policy = next(attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    digest = base64.b64encode(hashlib.sha256(page.scripts[2].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    for word in (
        "localStorage",
        "sessionStorage",
        "indexedDB",
        "document.cookie",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
        "eval(",
    ):
        assert word not in page.scripts[2]


def test_audio_is_embedded_worst_first_up_to_the_limit() -> None:
    given = {"m": score(["a b", "c d", "e f"], ["a b", "x y", "e x"], ids=["right", "worst", "bad"])}
    sound = wav()
    page = Page(render_report(given, audio=lambda _: sound, audio_limit=2 * len(sound)))
    recordings = json.loads(page.scripts[1])
    assert {page.data["ids"][int(row)] for row in recordings} == {"worst", "bad"}
    assert all(base64.b64decode(content) == sound for content in recordings.values())
    assert page.data["audio"] == [1, 2]
    assert "2 of 3 recordings are in this file, unchanged, those with the most errors first" in page.text
    assert "1 would make the file larger than its limit" in page.text


def test_what_is_said_of_audio() -> None:
    given = {"m": score(["a", "b", "c"], ["a", "b", "c"], ids=["x", "y", "z"])}
    everything = Page(render_report(given, audio=lambda _: wav()))
    assert "All 3 recordings are in this file, unchanged." in everything.text
    sources = {"x": wav(), "y": None, "z": b"ID3 not a WAV file"}
    some = Page(render_report(given, audio=sources.__getitem__))
    assert "1 of 3 recordings are in this file, unchanged: 1 were not found and 1 are not WAV files." in some.text
    assert "recordings" not in Page(render_report(given)).text


def test_the_largest_reports_list_the_worst_utterances() -> None:
    given = scores(2)
    page = Page(render_report(given, max_utterances=10))
    errors = sorted((sum(one.arrays.errors[index] for one in given.values()) for index in range(60)), reverse=True)
    listed = [
        len(first) // 3 + len(second) // 3 for first, second in zip(*(s["edits"] for s in page.data["systems"]), strict=True)
    ]
    assert sorted(listed, reverse=True) == errors[:10]
    assert "The 10 utterances with the most errors of 60 are listed" in page.text


def test_other_references_and_columns() -> None:
    given = {"m": score(["a b"], ["a"])}
    page = Page(
        render_report(given, references=["A, b!"], extra_columns={"n": [float("nan")], "t": ["x"]}, groups={"room": ["1"]})
    )
    assert page.data["written"] == ["A, b!"]
    assert page.data["columns"] == [{"name": "n", "values": [None]}, {"name": "t", "values": ["x"]}]
    assert page.data["groups"] == [{"name": "room", "labels": ["1"], "index": [0]}]


def test_what_does_not_fit() -> None:
    one = score(["a b"], ["a"])
    with pytest.raises(ScoringError, match="at least one"):
        render_report({})
    with pytest.raises(ScoringError, match="cannot be compared"):
        render_report({"a": one, "b": score(["a c"], ["a"])})
    with pytest.raises(ScoringError, match="'x' has 2 values"):
        render_report({"a": one}, extra_columns={"x": [1, 2]})
    with pytest.raises(ScoringError, match="2 references"):
        render_report({"a": one}, references=["a", "b"])


def test_nothing_was_scored() -> None:
    page = Page(render_report({"m": score([], [])}))
    assert page.data["ids"] == []


def test_an_utterance_without_reference_words() -> None:
    page = Page(render_report({"a": score([""], ["x"]), "b": score([""], [""])}))
    assert "∞" in page.text


def test_what_is_more_than_chance_is_so_after_correction() -> None:
    """One of three pairs whose p value of 0.03 is 0.09 among three: neither words nor colours say that it is better."""
    given = {name: score(["a b"] * 60, [heard] * 60) for name, heard in (("x", "a c"), ("y", "a b"), ("z", "a c"))}
    table = compare_all(given, resamples=200)
    sure = render_report(given, comparison=table)
    assert "better by 50.00 points of WER" in sure
    rough = ComparisonTable(given, {names: replace(pair, p_value=0.03) for names, pair in table.pairs.items()})
    page = render_report(given, comparison=rough)
    assert "better by" not in page
    assert "no difference beyond chance, corrected for 3 comparisons" in page
    plots = [figures(given, comparison=one)["difference"] for one in (table, rough)]
    coloured = [plot.count("var(--ins-bar") + plot.count("var(--del-bar") for plot in plots]
    assert coloured[0] > 0
    assert coloured[1] == 0


def test_tables_say_what_the_scores_say() -> None:
    given = scores(2)
    table = compare_all(given, groups="speaker", resamples=500)
    page = Page(render_report(given, comparison=table))
    for one in given.values():
        assert f"{one.wer * 100:.2f} %" in page.text
        assert f"{one.by_group()['s3'].wer * 100:.2f} %" in page.text
    pair = table.pairs["model 0", "model 1"]
    assert f"{pair.difference * 100:+.2f}".replace("-", "−") in page.text
    top = given["model 0"].confusions(1)[0]
    assert re.search(rf"{top.reference}\s*→\s*recognised as\s*{top.hypothesis}", page.text)


def test_figures_are_files_of_their_own() -> None:
    given = scores(3)
    found = figures(given, resamples=200)
    assert set(found) == {"wer", "kinds", "distribution", "difference", "by_speaker"}
    for text in found.values():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("aria-label")
        assert int(root.get("width", "0")) > 0, "it has a size where no style sheet gives it one"
    one = given["model 0"]
    interval = wer_intervals_by(one, one.groups["speaker"], ["s1"], resamples=200)["s1"]
    assert f"s1, model 0: {one.by_group()['s1'].wer:.2%}, between {interval.low:.2%} and" in found["by_speaker"]
    assert set(figures({"m": score(["a"], ["b"])}, resamples=100)) == {"wer", "kinds", "distribution"}


def test_notebooks() -> None:
    hostile = score(HOSTILE, [text + " x" for text in HOSTILE], ids=[f"{i}{text}" for i, text in enumerate(HOSTILE)])
    other = score(HOSTILE, HOSTILE, ids=hostile.ids)
    pair = compare(hostile, other, names=(HOSTILE[0], HOSTILE[1]), resamples=100)
    table = compare_all({HOSTILE[0]: hostile, HOSTILE[1]: other}, resamples=100)
    for fragment in (hostile._repr_html_(), pair._repr_html_(), table._repr_html_()):
        fragment.encode("utf-8")
        page = Page(fragment)
        tags = {tag for tag, _ in page.tags}
        assert not tags & {"script", "img", "iframe"}
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for shown in (Page(table._repr_html_()).text, str(table), str(pair)):
        assert "only 6 utterances: the interval is rough" in shown
    assert table.verdict(table.names) in Page(table._repr_html_()).text
    assert "100.00 %" in Page(score(["a"], ["b"])._repr_html_()).text
    assert "first" in Page(compare(hostile, other, resamples=100)._repr_html_()).text
