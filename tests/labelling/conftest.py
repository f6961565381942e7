"""A folder of recordings to be labelled, and the small trained model of the system tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.serving.conftest import command, recognizer, toy_run

__all__ = ["command", "recognizer", "toy_run"]


@pytest.fixture
def folder(toy_run: Path, tmp_path: Path) -> Path:
    """Six recordings that nobody has transcribed."""
    place = tmp_path / "recordings"
    (place / "in").mkdir(parents=True)
    for number in range(6):
        to = place / ("in" if number == 3 else "") / f"{number}.wav"
        shutil.copyfile(toy_run.parent / f"data/val/val-{number:03d}.wav", to)
    return place
