"""How a model writes what it heard: its locale, and the output format that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from speech_mlflow.corpus.output_format import OutputFormat, parse_output_format
from speech_mlflow.corpus.text import Text
from speech_mlflow.emulator.display import DisplayForm, ProfanityMode, display_form

RULES_FILE = "outputformat.md"
"""The output format in a model's directory."""
NO_MARK = ("None", "Dictated")
"""Values of ``punctuationMode`` that put no mark of their own."""


@dataclass(frozen=True)
class Writer:
    """Writes the forms of recognised words. ``mark`` tells whether the display form gets a mark at its end."""

    locale: str
    rules: OutputFormat | None = None
    profanity: ProfanityMode = "masked"
    mark: bool = True

    def forms(self, lexical: str) -> DisplayForm:
        """ITN, masked ITN and display form."""
        forms = display_form(lexical, self.locale, rules=self.rules, profanity=self.profanity)
        return forms if self.mark else forms._replace(display=forms.display.rstrip(".?!"))


def read_rules(directory: Path | None) -> OutputFormat | None:
    """The rules in a model's directory, None where it has none."""
    path = None if directory is None else directory / RULES_FILE
    if path is None or not path.exists():
        return None
    return _parse(path, path.stat().st_mtime_ns)


def write_rules(directory: Path, texts: list[str]) -> None:
    """Put output formats, one after another, into a model's directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RULES_FILE).write_text("\n".join(texts), encoding="utf-8")


@lru_cache(maxsize=16)
def _parse(path: Path, changed: int) -> OutputFormat:
    lines = path.read_text(encoding="utf-8").split("\n")
    return parse_output_format(Text(path.name, tuple(lines), "utf-8", False))
