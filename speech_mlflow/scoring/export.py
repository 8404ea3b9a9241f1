"""Writing the table of utterances for a spreadsheet or another program."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from speech_mlflow.errors import ScoringError
from speech_mlflow.scoring.report_data import plain
from speech_mlflow.scoring.scores import Score

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_table(score: Score, path: str | Path) -> None:
    """Write one row per utterance, as CSV or (`.jsonl`) as JSON lines.

    In CSV, texts that a spreadsheet would run as a formula get an apostrophe in front. Raises ScoringError for another
    ending.
    """
    target = Path(path)
    table = score.table()
    rows = zip(*table.values(), strict=True)
    if target.suffix.lower() == ".csv":
        with target.open("w", encoding="utf-8", newline="", errors="replace") as file:
            writer = csv.writer(file)
            writer.writerow(map(_cell, table))
            writer.writerows(map(_cell, row) for row in rows)
    elif target.suffix.lower() == ".jsonl":
        with target.open("w", encoding="utf-8") as file:
            for row in rows:
                # ASCII, so that a lone surrogate in a text can be written
                file.write(json.dumps(dict(zip(table, map(plain, row), strict=True))) + "\n")
    else:
        raise ScoringError(f"a table is written as .csv or .jsonl, not {target.suffix or 'without ending'}: {target}")


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
