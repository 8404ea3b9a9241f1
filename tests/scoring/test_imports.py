"""What importing costs: heavy packages wait until something needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "pandas", "jinja2", "jiwer", "mlflow", "pyspark", "rapidfuzz")


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("import speech_mlflow.scoring", set()),
        ("import speech_mlflow.scoring.builtin", set()),
        ("import speech_mlflow.scoring.evaluators", set()),
        ("import speech_mlflow.cli.score", set()),
        ("from speech_mlflow.scoring import get_normalizer; get_normalizer('en-US')('5')", set()),
        ("from speech_mlflow.scoring import align; align('a', 'b')", {"numpy", "rapidfuzz"}),
        (
            "from speech_mlflow.scoring import compare, score; one = score(['a'], ['b']); compare(one, one).mapsswe",
            {"numpy", "rapidfuzz", "scipy"},
        ),
    ],
)
def test_imports(statement: str, needed: set[str]) -> None:
    code = f"import sys; {statement}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == needed
