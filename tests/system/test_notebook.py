"""The notebook runs from top to bottom in a fresh kernel, in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.toy import ROOT

NOTEBOOK = ROOT / "notebooks/tour.ipynb"
WHOLE = 'SETTINGS = ["trainer.n_epochs=5"]'
FEW = ["trainer.n_epochs=1", "datasets.train.limit=60", "datasets.val.limit=10"]
EXECUTE = """
import sys, nbclient, nbformat
book = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(book, timeout=900, kernel_name="python3").execute()
nbformat.write(book, sys.argv[2])
"""


def test_the_file_is_small_and_names_no_folder_of_a_machine() -> None:
    book = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(book)
    assert NOTEBOOK.stat().st_size < 100_000
    for cell in book.cells:
        assert not re.search(r"(/home|/Users|/work|/root|/tmp|[A-Z]:\\)", cell.source)
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize(
    "settings", [FEW, pytest.param(None, marks=pytest.mark.exhaustive)], ids=["few", "whole"]
)
def test_every_cell_runs(settings: list[str] | None, tmp_path: Path) -> None:
    copy, executed = tmp_path / "copy", tmp_path / "executed.ipynb"
    for name in ("configs", "models", "notebooks", "src"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "train.py"):
        shutil.copy2(ROOT / name, copy / name)
    place = copy / "notebooks/tour.ipynb"
    if settings:
        text = nbformat.read(place, 4)
        (cell,) = (each for each in text.cells if WHOLE in each.source)
        cell.source = cell.source.replace(WHOLE, f"SETTINGS = {settings}")
        nbformat.write(text, place)
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, place.name, executed],
        cwd=place.parent,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    cells = [cell for cell in nbformat.read(executed, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    setup, train, curves, score, compare, errors, recording, transcribe = map(shown, cells)
    assert setup == ""  # nothing is installed
    assert "Best model: " in train
    assert curves.count("[image/png]") == 2
    assert re.search(r"\nWER: [\d.]+ % .*\nCER: [\d.]+ %", score)
    assert score.count("REF: ") == 3
    assert re.search(r"Compared on 72 utterances: .* p = ", compare)
    assert "of 72 utterances have an error" in errors
    assert "with a language model" in errors
    assert "[text/html]" in recording
    assert "start (s)" in transcribe
    for folder in ("saved/tour/model_best.pth", "data/lm/tour.arpa", "data/tour.wav"):
        assert (copy / folder).is_file()  # in the clone, not beside the notebook
    if not settings:
        rate = float(re.findall(r"\nWER: ([\d.]+) %", score)[-1])
        assert rate < 20
        assert "monday" in transcribe


def shown(cell: nbformat.NotebookNode) -> str:
    """What a cell printed and displayed, as text; of pictures and pages their kinds too."""
    parts = []
    for output in cell.outputs:
        assert output.output_type != "error"
        parts.append(output.get("text", ""))
        for kind, content in output.get("data", {}).items():
            parts.append(f"[{kind}]" + (content if kind.startswith("text") else ""))
    return "".join(parts)
