"""The notebook of the examples, executed as a reader would, and what it shows compared with what is kept in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.emulator.process import stop

EXAMPLES = Path(__file__).parents[2] / "examples"

nbclient = pytest.importorskip("nbclient", reason="needs the extra slow")
nbformat = pytest.importorskip("nbformat", reason="needs the extra slow")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


def printed(notebook: Any) -> list[str]:
    """What each code cell prints or shows as text, ids of runs and addresses of objects aside."""
    return [
        output.get("text") or output["data"]["text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code" and "source_run_id" not in cell.source
        for output in cell.outputs
        if output.output_type == "stream" or " at 0x" not in output["data"]["text/plain"]
    ]


def test_the_notebook_runs_and_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPEECH_MLFLOW_STATE_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    os.symlink(EXAMPLES / "clinic", tmp_path / "clinic")
    kept = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    run = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    try:
        nbclient.NotebookClient(run, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        stop(tmp_path / "notebook-work" / "speech")
    assert len(printed(kept)) >= 7
    assert printed(run) == printed(kept)
    pictures = [o for cell in run.cells if cell.cell_type == "code" for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 1
