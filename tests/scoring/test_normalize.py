from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jiwer
import pytest

from speech_mlflow.errors import ScoringError
from speech_mlflow.hookspecs import hookimpl
from speech_mlflow.plugins import create_manager
from speech_mlflow.scoring import Normalizer, get_normalizer, score, spoken
from speech_mlflow.scoring.normalize import as_normalizer, normalizers

# what the documentation asks of the person who transcribes and not of the service, or what contradicts itself
NOT_AUTOMATIC = {
    "James Bond, 007",  # "double oh seven": whether to say double is the speaker's choice
    "Ke$ha",  # a dollar sign for an s
    "How long is the 2x4",  # "two by four"
    "The meeting goes from 1-3pm",  # "one to three"
    "My blood type is O+",  # "O positive"
    "Water is H20",  # that is h, twenty
    "Play OU812 by Van Halen",  # an acronym spelt out
    "UTF-8 with BOM",  # an acronym spelt out
    "{12.45}",  # a point in German is no decimal comma
    "3 号楼 504",  # a room number, read digit by digit
}


def documented() -> dict[str, Any]:
    folder = os.environ.get("SPEECH_MLFLOW_SAMPLE_DATA")
    if not folder:
        pytest.skip("SPEECH_MLFLOW_SAMPLE_DATA does not name the folder with the documentation's examples")
    examples: dict[str, Any] = json.loads((Path(folder) / "normalisation_examples.json").read_text(encoding="utf-8"))
    return examples


@pytest.mark.parametrize(
    ("locale", "kinds"),
    [
        ("en-US", ("human", "automatic", "characters")),
        ("de-DE", ("human_then_system", "automatic")),
        ("zh-CN", ("human", "automatic")),
    ],
)
def test_examples_of_the_documentation(locale: str, kinds: tuple[str, ...]) -> None:
    """All forms of an example come out the same; where the last is what the service makes, it is a fixed point."""
    normalize = get_normalizer(locale)
    examples = documented()[locale]
    wrong = []
    for kind in kinds:
        for forms in examples[kind]:
            outcomes = {normalize(form) for form in forms}
            if (len(outcomes) == 1) == (forms[0] in NOT_AUTOMATIC):
                wrong.append((forms, outcomes))
            if kind != "human" and locale != "zh-CN" and forms[0] not in NOT_AUTOMATIC:
                assert normalize(forms[-1]) == forms[-1].lower().replace('"', "").replace("--", " ").replace(",", "").replace(
                    "!", ""
                )
    assert not wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Stop!” she said — at 5:30 p.m.", "stop she said at five thirty pm"),
        ("Mr. O’Neil's well-known e-mail, isn't it?", "mister o'neil's well known e mail isn't it"),
        ("rock 'n' roll, 'em, the dogs' bowls", "rock n roll em the dogs bowls"),
        ("Room 204, 110 and 250; 1,250 people in 1999 and 2005.", None),
        ("the 21st of the 1990s", "the twenty first of the nineteen nineties"),
        ("50% of A&B", "fifty percent of a and b"),
        ("$5 and £1 and $1,200", "five dollars and one pound and one thousand two hundred dollars"),
        ("the U.S. at 9 a.m.", "the u s at nine am"),
        ("0.5 007 90210 3.05", "zero point five oh oh seven nine oh two one oh three point oh five"),
        ("", ""),
        ("...", ""),
    ],
)
def test_english(text: str, expected: str | None) -> None:
    if expected is None:
        expected = (
            "room two oh four one ten and two fifty one thousand two hundred fifty people "
            "in nineteen ninety nine and two thousand five"
        )
    assert get_normalizer("en-US")(text) == expected


@pytest.mark.parametrize(
    ("locale", "text", "expected"),
    [
        ("de-DE", "Um 9:05 Uhr, 3,5 %!", "um neun uhr fünf uhr drei komma fünf prozent"),
        ("de-DE", "Um 9:00 Uhr", "um neun uhr"),
        ("de-DE", "1.250 Äpfel und 101", "ein tausend zwei hundert fünfzig äpfel und ein hundert eins"),
        ("de-DE", "1999", "neunzehn hundert neun und neunzig"),
        ("zh-CN", "我有100元，50%！", "我 有 一 百 元 百 分 之 五 十"),
        ("zh-CN", "ＡＢＣ公司 5:30", "ABC 公 司 五 点 三 十 分"),
        ("ja-JP", "こんにちは、世界。ガ", "こ ん に ち は 世 界 ガ"),
        ("th-TH", "สวัสดี", "ส วั ส ดี"),
        ("hi-IN", "नमस्ते दुनिया!", "नमस्ते दुनिया"),
        ("ar-EG", "مَرْحَبًا، بك", "مَرْحَبًا بك"),
        ("tr-TR", "IŞIK İyi", "ışık iyi"),
        ("fr-FR", "L’été, C'est", "l'été c'est"),
        ("pl-PL", "E\u0301cole", "école"),
    ],
)  # fmt: skip
def test_other_languages(locale: str, text: str, expected: str) -> None:
    assert get_normalizer(locale)(text) == expected


@pytest.mark.parametrize("name", sorted(normalizers()))
@pytest.mark.parametrize("text", ["“It’s 3:15—no, $4.50!”", "日本 2021年", "ก็\u200b ไม่", "Ünïcödé 1.5", "it's one"])
def test_normalising_twice_changes_nothing(name: str, text: str) -> None:
    normalize = get_normalizer(name)
    once = normalize(text)
    if name == "none":
        assert once == text
    else:
        assert normalize(once) == once == " ".join(once.split())


def test_spoken_numbers() -> None:
    assert spoken.english_number("1001") == "one thousand one"
    assert spoken.english_number("2010") == "twenty ten"
    assert spoken.english_number("12000") == "twelve thousand"
    assert spoken.english_cardinal(1_002_003) == "one million two thousand three"
    assert spoken.english_ordinal("30") == "thirtieth"
    assert spoken.german_number("21") == "ein und zwanzig"
    assert spoken.german_number("1000") == "ein tausend"
    assert spoken.chinese_number("10") == "十"
    assert spoken.chinese_number("101") == "一百零一"
    assert spoken.chinese_number("10010") == "一万零一十"
    assert spoken.chinese_number("20000300") == "二千万零三百"
    assert spoken.chinese_number("100010000") == "一亿零一万"


def test_every_english_number_below_ten_thousand_is_said_differently() -> None:
    said = [spoken.english_number(str(number)) for number in range(10_000)]
    assert len(set(said)) == len(said)


def test_locale_falls_back_to_its_language_and_then_to_basic() -> None:
    assert get_normalizer("en-GB").name == "en-US"
    assert get_normalizer("de-AT").name == "de-DE"
    assert get_normalizer("zh-HK").name == "zh-CN"
    assert get_normalizer("ja-JP").name == "characters"
    assert get_normalizer("fr-CA").name == "basic"
    assert get_normalizer("sr-Latn-RS").name == "basic"
    assert get_normalizer("EN-us").name == "en-US"


def test_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(ScoringError) as caught:
        get_normalizer("no such")
    assert "en-US" in (caught.value.hint or "")


def test_plugins_add_and_replace() -> None:
    @hookimpl
    def register_normalizers(register: Callable[[Normalizer], None]) -> None:
        register(Normalizer("upper", str.upper))
        register(Normalizer("en-GB", str.title, languages=("en",)))
        register(Normalizer("basic", str.swapcase))

    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(SimpleNamespace(register_normalizers=register_normalizers))
    assert get_normalizer("upper", manager=manager)("a") == "A"
    assert get_normalizer("en-GB", manager=manager)("a") == "A"
    assert get_normalizer("en-US", manager=manager).name == "en-US"
    assert get_normalizer("en-AU", manager=manager).name == "en-GB"
    assert get_normalizer("fr-FR", manager=manager)("aB") == "Ab"


def test_references_are_normalised_once_for_many_models() -> None:
    seen: list[str] = []

    def rule(text: str) -> str:
        seen.append(text)
        return text.lower()

    normalizer = Normalizer("counted", rule)
    references = ["A b", "C d", "A b"]
    first = score(references, ["a b", "c", ""], normalizer=normalizer)
    second = score(references, ["a", "c d", "b"], normalizer=normalizer)
    assert seen.count("A b") == seen.count("C d") == 1
    assert first.words == second.words == 6
    assert first.alignment(1)[1].op == "del"
    assert seen.count("C d") == 1


def test_memory_is_bounded() -> None:
    normalizer = Normalizer("small", str.lower)
    many = 300_000
    assert normalizer.many(map(str, range(many))) == list(map(str, range(many)))
    assert len(normalizer._memory) < many


def test_a_pickled_normaliser_leaves_its_memory_behind() -> None:
    normalizer = get_normalizer("en-US")
    normalizer("Some Text")
    copy = pickle.loads(pickle.dumps(normalizer))
    assert copy == normalizer
    assert copy._memory == {}
    assert copy("Some Text") == "some text"


def test_transforms_of_jiwer_are_normalisers() -> None:
    transform = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.ReduceToListOfListOfWords()])
    found = score(["Hello, World!"], ["hello world"], normalizer=transform)
    assert found.wer == 0
    assert found.normalizer.name == "ToLowerCase+RemovePunctuation+ReduceToListOfListOfWords"
    assert score(["Hello"], ["hello"], normalizer=jiwer.ToLowerCase()).wer == 0


def test_a_segmenter_is_a_normaliser() -> None:
    """What is written without spaces is scored by character, or by the words that a segmenter finds."""

    def segment(text: str) -> list[str]:
        return re.findall("今天|天气|很好|.", text)

    by_character = score(["今天天气很好"], ["今天天汽很好"], normalizer="zh-CN")
    assert (by_character.words, by_character.errors) == (6, 1)
    for rule in (segment, Normalizer("zh-words", lambda text: " ".join(segment(text)))):
        by_word = score(["今天天气很好"], ["今天天汽很好"], normalizer=rule)
        assert (by_word.words, by_word.substitutions, by_word.insertions) == (3, 1, 1)


def test_what_is_not_a_normaliser() -> None:
    with pytest.raises(ScoringError):
        as_normalizer(3)  # type: ignore[arg-type]
    with pytest.raises(ScoringError, match="returned int"):
        score(["a"], ["a"], normalizer=len)
