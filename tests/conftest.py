"""Fixtures that every room shares."""

from __future__ import annotations

import os
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


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
