"""The report in a browser: opened from disk and inside a sandboxed frame, clicked through by mouse and keyboard."""

from __future__ import annotations

import io
import json
import math
import struct
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.scoring import Score, score
from speech_mlflow.scoring.report import render_report
from tests.scoring.oracle import corpus, heard_again
from tests.ui import browser

SETTLED = 600  # milliseconds: the page folds lines 200 ms after its size changed
WAIT = 60

REFERENCES = {
    "one": "Take Amoxicillin now.",
    "two": "the cat sat on the mat",
    "three": "hello there <b>world</b>",
    "four": "all is well",
    "five": "",
    "six": "good bye",
}
BASE = {
    "one": "take a moxie now",
    "two": "the cut sat on mat",
    "three": "hello there b world b",
    "four": "all is well",
    "five": "uh",
    "six": "good bye",
}
CUSTOM = {
    "one": "take amoxicillin now",
    "two": "the cut sat on the mat",
    "three": "hello their b world b",
    "four": "all as well now",
    "five": "",
    "six": "good bye",
}
SPEAKERS = ["ann", "bob", "ann", "</script>", "bob", "bob"]


def tone(seconds: float = 0.6) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        samples = (int(9000 * math.sin(2 * math.pi * 440 * n / 16_000)) for n in range(int(seconds * 16_000)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return buffer.getvalue()


def small_report() -> str:
    scores: dict[str, Score] = {
        name: score(REFERENCES, texts, groups={"speaker": SPEAKERS}, normalizer="en-US")
        for name, texts in {"base": BASE, "custom": CUSTOM}.items()
    }
    sound = tone()
    return render_report(
        scores,
        title="Small <i>report</i>",
        audio=lambda name: None if name == "four" else sound,
        extra_columns={"seconds": [3, 1, 2, 5, 4, 0.5], "known": ["", "", "audio", "", "", ""]},
        resamples=200,
    )


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    started = browser.start(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    page = small_report()
    (folder / "report.html").write_text(page, encoding="utf-8")
    text = json.dumps(page).replace("<", "\\u003c")
    (folder / "frame.html").write_text(
        "<!doctype html><meta charset=utf-8><iframe id=frame sandbox='allow-scripts' width=1200 height=900></iframe>"
        f"<script>const page = new Blob([{text}], {{type: 'text/html'}});"
        "document.getElementById('frame').src = URL.createObjectURL(page)</script>",
        encoding="utf-8",
    )
    return folder


class Report:
    """What a reader does with the page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def wait(self, condition: Callable[[], Any]) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, WAIT).until(lambda _: condition())

    @property
    def ids(self) -> list[str]:
        script = "return [...document.querySelectorAll('#list h3')].map(h => h.textContent)"
        listed: list[str] = self.driver.execute_script(script)
        return listed

    def shows(self, expected: list[str], in_order: bool = True) -> None:
        """The list comes to be this; a click on an option takes effect a moment after it returns."""
        from selenium.common.exceptions import TimeoutException

        def arranged() -> list[str]:
            return self.ids if in_order else sorted(self.ids)

        try:
            self.wait(lambda: arranged() == expected)
        except TimeoutException:
            assert arranged() == expected

    def click(self, element: Any) -> None:
        """Click where nothing of the page covers it, once it has been drawn there."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        element.click()

    @property
    def count(self) -> str:
        return str(self.find("#count").text)

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_value(value)

    def rows(self, number: int) -> list[list[str]]:
        """The alignment of the utterance at a place of the list, as its cells read."""
        script = (
            "return [...document.querySelectorAll('#list > li')[arguments[0]].querySelectorAll('.lines tr')]"
            ".map(tr => [...tr.querySelectorAll('td:not(.wrongs)')].map(td => td.textContent))"
        )
        cells: list[list[str]] = self.driver.execute_script(script, number)
        return cells

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(params=["from disk", "in a sandboxed frame"])
def report(request: pytest.FixtureRequest, driver: Any, files: Path) -> Iterator[Report]:
    """The small report, freshly opened; afterwards nothing may have gone wrong in the browser."""
    opened = Report(driver)
    driver.get_log("browser")
    if request.param == "from disk":
        driver.get((files / "report.html").as_uri())
    else:
        driver.get((files / "frame.html").as_uri())
        driver.switch_to.frame("frame")
    opened.wait(lambda: opened.all("#list > li"))
    # a frame gets its size, and so its lines their folds, a moment after it was opened
    opened.wait(lambda: driver.execute_script("return performance.now()") > SETTLED)
    yield opened
    assert opened.errors() == []
    driver.switch_to.default_content()


def test_opens_with_the_worst_first(report: Report) -> None:
    assert report.find("h1").text == "Small <i>report</i>"
    assert report.count == "6 of 6 utterances"
    # custom: two errors in four, one each in three and two, of 5 and 6 words; none in the others
    report.shows(["four", "three", "two", "one", "five", "six"])
    assert report.driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_alignments_of_all_models_stand_under_the_reference(report: Report) -> None:
    two = report.rows(report.ids.index("two"))
    assert two[0] == ["the", "cat", "sat", "on", "the", "mat"]
    assert two[1] == ["the", "substituted: cut", "sat", "on", "–missing", "mat"]
    assert two[2] == ["the", "substituted: cut", "sat", "on", "the", "mat"]
    one = report.rows(report.ids.index("one"))
    assert one[0] == ["take", "", "amoxicillin", "now"]
    assert one[1] == ["take", "inserted: a", "substituted: moxie", "now"]
    assert one[2] == ["take", "", "amoxicillin", "now"]
    four = report.rows(report.ids.index("four"))
    assert four[1] == ["all", "is", "well", ""]
    assert four[2] == ["all", "substituted: as", "well", "inserted: now"]
    five = report.rows(report.ids.index("five"))
    assert five == [[""], ["inserted: uh"], [""]]


def test_texts_as_written_are_at_hand(report: Report) -> None:
    item = next(one for one in report.all("#list > li") if "three" in one.text)
    report.click(item.find_element("css selector", "summary"))
    assert "hello there <b>world</b>" in item.text
    assert report.all("#list b") == []


def test_got_worse_and_got_better(report: Report) -> None:
    report.choose("#show", "worse")
    report.shows(["four", "three"], in_order=False)
    report.choose("#show", "better")
    report.shows(["five", "one", "two"], in_order=False)
    report.choose("#model", "0")
    report.choose("#against", "1")
    report.shows(["four", "three"], in_order=False)
    report.choose("#show", "errors")
    report.shows(["five", "one", "two"], in_order=False)
    report.choose("#show", "differ")
    report.wait(lambda: len(report.ids) == 5)
    report.click(report.find("#reset"))
    report.wait(lambda: report.count == "6 of 6 utterances" and report.ids[0] == "four")


def test_search_by_word_prefix_id_and_what_was_heard(report: Report) -> None:
    box = report.find("#query")
    for typed, expected in (("amox", ["one"]), ("moxie", ["one"]), ("three", ["three"]), ("CAT", ["two"]), ("oxi", [])):
        box.clear()
        box.send_keys(typed)
        report.shows(expected)
    assert report.count == "0 of 6 utterances"
    box.clear()
    box.send_keys("the ")
    report.shows(["two"])  # a whole word: not "there"


def test_sorting(report: Report) -> None:
    report.choose("#sort", "given")
    report.shows(["one", "two", "three", "four", "five", "six"])
    report.choose("#sort", "long")
    report.shows(["two", "three", "one", "four", "six", "five"])
    report.choose("#sort", "column-0")
    report.shows(["four", "five", "one", "three", "two", "six"])
    report.choose("#sort", "column-1")
    report.shows(["three", "one", "two", "four", "five", "six"])
    heads = [box.text for box in report.all("#list header")]
    assert ["known" in head for head in heads] == [True, False, False, False, False, False]
    report.choose("#sort", "gained")
    report.wait(lambda: report.ids[0] == "one")
    report.choose("#sort", "lost")
    report.wait(lambda: report.ids[0] == "four")


def test_a_confusion_leads_to_its_utterances(report: Report) -> None:
    button = next(one for one in report.all("#confusions button") if "cat" in one.text)
    assert "cut" in button.text
    report.click(button)
    report.shows(["two"])
    chip = report.find("#chip")
    assert chip.get_attribute("aria-label") == "Remove the filter cat → cut"
    report.click(chip)
    assert report.count == "6 of 6 utterances"
    report.click(next(one for one in report.all("#inserted button") if one.text == "uh"))
    report.shows(["five"])
    report.click(report.find("#reset"))
    report.wait(lambda: not report.all("#chip"))
    report.click(next(one for one in report.all("#missed button") if one.text == "amoxicillin"))
    report.shows(["one"])


def test_a_group_leads_to_its_utterances(report: Report) -> None:
    report.click(next(one for one in report.all("[data-filter=group]") if one.text == "</script>"))
    report.shows(["four"])
    report.choose("[data-group='0']", "0")
    report.shows(["one", "three"], in_order=False)


def test_tables_are_sortable(report: Report) -> None:
    table = next(one for one in report.all("table.sortable") if "By speaker" in one.text)
    head = table.find_elements("css selector", "thead th")[3]
    report.click(head.find_element("css selector", "button"))
    assert head.get_attribute("aria-sort") == "descending"
    column = [row.find_elements("css selector", "td")[2].text for row in table.find_elements("css selector", "tbody tr")]
    rates = [float(text.removesuffix(" %")) for text in column]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) > 1
    report.click(head.find_element("css selector", "button"))
    assert head.get_attribute("aria-sort") == "ascending"


def test_recordings_play(report: Report) -> None:
    assert "5 of 6 recordings are in this file" in report.find("#audio-message").text
    buttons = {one.get_attribute("aria-label"): one for one in report.all(".play")}
    assert set(buttons) == {f"Play utterance {name}" for name in ("one", "two", "three", "five", "six")}
    report.click(buttons["Play utterance two"])
    script = "const a = document.querySelector('audio'); return a && {time: a.currentTime, length: a.duration, error: a.error}"
    report.wait(lambda: (report.driver.execute_script(script) or {}).get("time", 0) > 0)
    state = report.driver.execute_script(script)
    assert state["length"] == pytest.approx(0.6, abs=0.01)
    assert state["error"] is None
    # one at a time
    report.click(buttons["Play utterance one"])
    paused = "return [...document.querySelectorAll('audio')].filter(a => !a.paused).length"
    report.wait(lambda: report.driver.execute_script("return document.querySelectorAll('audio').length") == 2)
    report.wait(lambda: report.driver.execute_script(paused) <= 1)


def test_by_keyboard_alone(report: Report) -> None:
    from selenium.webdriver.common.keys import Keys

    report.find("h1").click()  # the keys of a frame are its own once it has been clicked into
    report.find("body").send_keys("/")
    active = report.driver.switch_to.active_element
    assert active.get_attribute("id") == "query"
    active.send_keys("cat")
    report.shows(["two"])
    active.send_keys(Keys.ESCAPE)
    report.find("#reset").send_keys(Keys.ENTER)
    report.wait(lambda: len(report.ids) == 6)
    where = "return document.activeElement.querySelector('h3') && document.activeElement.querySelector('h3').textContent"
    for key, expected in (("j", "four"), ("j", "three"), ("j", "two"), ("k", "three")):
        report.driver.switch_to.active_element.send_keys(key)
        assert report.driver.execute_script(where) == expected
    report.driver.switch_to.active_element.send_keys("p")
    report.wait(lambda: report.all("audio"))


def test_for_screen_readers(report: Report) -> None:
    """Landmarks, names of controls, heads of tables, a live count; and nothing without a name."""
    assert report.find("#count").get_attribute("aria-live") == "polite"
    script = """
        const named = (e) => (e.textContent || '').trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length);
        return [
          [...document.querySelectorAll('button, input, select, svg')].filter(e => !named(e)).map(e => e.outerHTML),
          [...document.querySelectorAll('section')].filter(s => !document.getElementById(s.getAttribute('aria-labelledby')))
            .map(s => s.outerHTML),
          [...document.querySelectorAll('table')].filter(t => !t.caption && !t.closest('.lines')).map(t => t.outerHTML),
          [...document.querySelectorAll('th')].filter(h => !h.scope).map(h => h.outerHTML),
        ]"""
    assert report.driver.execute_script(script) == [[], [], [], []]
    assert report.all("header, main, footer, [role=search]")


def test_dark_and_light(report: Report) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    before = report.driver.execute_script(background)
    report.find("#theme").click()
    assert report.driver.execute_script(background) != before
    assert report.find("#theme").get_attribute("aria-pressed") == "true"
    report.find("#theme").click()
    assert report.driver.execute_script(background) == before


def test_contrast_of_texts(report: Report) -> None:
    """WCAG AA, 4.5 to 1, for every colour of text on what lies below it, light and dark."""
    script = """
        const parse = (c) => c.match(/[\\d.]+/g).map(Number);
        const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const light = (c) => { const [r, g, b] = c.slice(0, 3).map(v => linear(v / 255));
                               return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const below = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
                               if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
        const found = new Set();
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
          const e = walk.currentNode.parentElement;
          if (!walk.currentNode.textContent.trim() || !e.offsetParent || e.closest('option, .sr, script')) continue;
          const [a, b] = [light(parse(getComputedStyle(e).color)), light(below(e))];
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) found.add(e.className + ' ' + e.tagName + ' ' + ratio.toFixed(2));
        }
        return [...found]"""
    assert report.driver.execute_script(script) == []
    report.find("#theme").click()
    assert report.driver.execute_script(script) == []


def test_many_utterances_are_rendered_as_they_are_needed(driver: Any, tmp_path: Path) -> None:
    """5,000 utterances of three models: a few are made at once, more on the way down, and all are searched."""
    references, hypotheses = corpus(5000, seed=21)
    references[4321] += " needle"
    scores = {
        "a": score(references, hypotheses),
        "b": score(references, heard_again(references, 2, 0.1)),
        "c": score(references, heard_again(references, 3, 0.08)),
    }
    path = tmp_path / "large.html"
    path.write_text(render_report(scores, resamples=200), encoding="utf-8")
    driver.get(path.as_uri())
    report = Report(driver)
    assert report.count == "5,000 of 5,000 utterances"
    first = len(report.all("#list > li"))
    assert 10 < first < 200
    driver.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    report.wait(lambda: len(report.all("#list > li")) > first)
    report.find("#query").send_keys("needle")
    report.shows(["4321"])
    assert report.errors() == []


def test_counts_of_long_words_are_seen(driver: Any, tmp_path: Path) -> None:
    """A word as long as a drug's name is broken; the counts beside it stay in sight."""
    long = "hydrochlorothiazidebendroflumethiazide"
    scores = {
        name: score([f"{long} a b"] * 3, [heard] * 3)
        for name, heard in (("x", "a b"), ("y", f"{long} a {long} b"), ("z", "a b"))
    }
    page = tmp_path / "words.html"
    page.write_text(render_report(scores, resamples=100), encoding="utf-8")
    driver.get(page.as_uri())
    wide = "return [...document.querySelectorAll('.columns.three .panel')].map(box => box.scrollWidth - box.clientWidth)"
    assert driver.execute_script(wide) == [0, 0, 0]


def test_a_very_long_utterance(driver: Any, tmp_path: Path) -> None:
    """It is broken into lines that fit, and only its beginning is shown until asked for."""
    words = [f"word{number}" for number in range(3000)]
    one = score([" ".join(words)], [" ".join([*words[:1500], "wrong", *words[1501:]])])
    path = tmp_path / "long.html"
    path.write_text(render_report({"m": one}), encoding="utf-8")
    driver.get(path.as_uri())
    report = Report(driver)
    wide = "const b = document.querySelector('.lines'); return b.scrollWidth - b.clientWidth"
    assert driver.execute_script(wide) <= 1
    shown = len(report.all(".lines td:not(.wrongs)"))
    button = report.find(".lines button")
    assert button.text == "Show all 3000 words"
    report.click(button)
    assert len(report.all(".lines td:not(.wrongs)")) > shown
    assert len(report.all(".lines .sub")) == 1
    assert driver.execute_script(wide) <= 1
    assert report.errors() == []
