"""Fixtures that every room shares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def speech_data() -> Path:
    """The folder of real speech; tests that need it skip where it is absent."""
    path = ROOT / os.environ.get("SPEECH_DATA", "../shared/data")
    if not (path / "LibriSpeech").is_dir():
        pytest.skip("real speech is absent (SPEECH_DATA names its folder)")
    return path


@pytest.fixture(scope="session")
def speech_cases(speech_data: Path) -> Path:
    """Small inputs of kinds that people have; tests that need them skip where they are absent."""
    path = speech_data.parent / "cases"
    if not path.is_dir():
        pytest.skip("the small cases beside the real speech are absent")
    return path


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
