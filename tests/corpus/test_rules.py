"""Rules for single lines, by kind and locale."""

from __future__ import annotations

import pytest

from speech_mlflow.corpus.rules import apply_rules, rules_for


def found(line: str, kind: str, locale: str, purpose: str | None = None) -> list[str]:
    problems, _ = apply_rules(rules_for(kind, locale, purpose), [(1, line)], "a.txt")
    assert all(problem.severity == "warning" for problem in problems)
    return [problem.code for problem in problems]


def rejected(line: str, kind: str, locale: str) -> bool:
    return bool(apply_rules(rules_for(kind, locale, None), [(1, line)], "a.txt")[1])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("aaaa", True),
        ("aaa", False),
        ("it costs 10000", False),
        ("yeah yeah yeah yeah", True),
        ("yeah yeah yeah", False),
        ("Yeah, yeah. yeah! yeah", True),
        ("that's it that's it that's it that's it", True),
        ("that's it that's it that's it", False),
        ("well a b c a b c a b c a b c then", True),
        ("one two one two one two three", False),
        ("a b c d e f g h i j k l m n o p", False),
    ],
)
def test_repetition(line: str, expected: bool) -> None:
    assert found(line, "Language", "en-US") == (["repetition"] if expected else [])
    assert not rejected(line, "Language", "en-US")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("go to https://example.com/a?b=c now", True),
        ("go to www.example.com", True),
        ("mailto:a@b.c", True),
        ("at ten: start", False),
        ("a www is not an address", False),
    ],
)
def test_uris_are_rejected_from_text(line: str, expected: bool) -> None:
    assert found(line, "Language", "en-US") == (["uri"] if expected else [])
    assert rejected(line, "Language", "en-US") is expected
    assert "uri" not in found(line, "Acoustic", "en-US")


@pytest.mark.parametrize(
    ("line", "locale", "codes"),
    [
        ("café", "en-US", ["special-character"]),
        ("a\u00a0b ¡", "en-US", []),  # U+00A0 and U+00A1 are not above U+00A1
        ("Straße über", "de-DE", []),
        ("Marke™", "de-DE", ["special-character"]),
        ("日本語", "ja-JP", []),
        ("日本語🎤", "ja-JP", ["special-character"]),
        ("a\tb", "en-US", ["tab"]),
        ("word " * 1001, "en-US", ["long-line", "repetition"]),
    ],
)
def test_characters_in_text(line: str, locale: str, codes: list[str]) -> None:
    assert found(line, "Language", locale) == codes


@pytest.mark.parametrize(
    ("line", "training", "testing"),
    [
        ("John’s day", ["not-ascii"], ["not-ascii"]),
        ("Dr. Bruce Banner", ["as-spoken"], []),
        ("How long is the 2x4", ["as-spoken"], []),
        ("Water is H20", ["as-spoken"], []),
        ("The meeting goes from 1-3pm", ["as-spoken"], []),
        ("on the 1st of the 90s", [], []),
        ("room 104", [], []),
        ("doctor bruce banner", [], []),
    ],
)
def test_english_transcripts(line: str, training: list[str], testing: list[str]) -> None:
    assert found(line, "Acoustic", "en-US", "training") == training
    assert found(line, "Acoustic", "en-US", "testing") == testing


@pytest.mark.parametrize(
    ("line", "codes", "rejects"),
    [
        ("das kostet 5 ¢", ["discarded-character"], True),
        ("2 × 3", ["discarded-character"], True),
        ("Größe über Öl", [], False),
        ("Citroën", ["umlaut"], False),
        ("Es ist 12.23 Uhr", ["decimal-point"], False),
        ("Es ist 12:23 Uhr", [], False),
        ("am 24.12. um acht", [], False),
        ("1.000 Stück", [], False),
        ("2 + 3", ["operator"], False),
        ("E-Mail", [], False),
        ("a = b", ["operator"], False),
        ("3/4 voll", ["fraction"], False),
        ("5 €", ["currency"], False),
    ],
)
def test_german(line: str, codes: list[str], rejects: bool) -> None:
    assert found(line, "Acoustic", "de-DE") == codes
    assert rejected(line, "Acoustic", "de-DE") is rejects


def test_japanese_sentences_have_at_most_ninety_characters() -> None:
    letters = "いろはにほへとちりぬるをわかよたれそつねならむうゐのおくやまけふこえてあさきゆめみしゑひもせす"
    ninety = (letters * 2)[:90]
    assert found(ninety + "。" + ninety, "Acoustic", "ja-JP") == []
    assert found(ninety + "ん", "Acoustic", "ja-JP") == ["long-sentence"]
    assert rejected(ninety + "ん", "Acoustic", "ja-JP")


@pytest.mark.parametrize(
    ("line", "expected"), [("需要什么帮助?", True), ("需要什么帮助？", False), ("3.1415", False), ("下午 5:00 的航班", False)]
)
def test_chinese_punctuation(line: str, expected: bool) -> None:
    assert found(line, "Acoustic", "zh-CN") == (["half-width-punctuation"] if expected else [])


def test_a_rule_broken_in_every_line_is_listed_so_far_and_counted() -> None:
    lines = [(number, "see http://example.com") for number in range(1, 31)]
    problems, rejects = apply_rules(rules_for("Language", "en-US", None), lines, "a.txt", most=10)
    assert len(problems) == 11
    assert "20 more lines" in problems[-1].message
    assert len(rejects) == 30


def test_a_line_of_megabytes_takes_its_time_only_once() -> None:
    problems, _ = apply_rules(rules_for("Language", "en-US", None), [(1, "ab " * 1_000_000)], "a.txt")
    assert {problem.code for problem in problems} == {"long-line", "repetition"}
    assert all(len(str(problem)) < 300 for problem in problems)
