"""A server in a process of its own, with the small trained model of the system tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepspeech2.decoding import GreedyDecoder
from deepspeech2.inference import Recognizer
from tests.system.conftest import ENVIRONMENT, command, toy_run
from tests.toy import ROOT

__all__ = ["command", "toy_run"]


@pytest.fixture(scope="session")
def recognizer(toy_run: Path) -> Recognizer:
    checkpoint = toy_run / "model_best.pth"
    return Recognizer.from_checkpoint(checkpoint, device="cpu", decoder=GreedyDecoder)


@pytest.fixture(scope="session")
def recording(toy_run: Path) -> Path:
    return toy_run.parent / "data/val/val-001.wav"


@pytest.fixture(scope="session")
def server(toy_run: Path) -> Iterator[str]:
    """Where it answers."""
    command = [sys.executable, "scripts/serve.py", "--port", "0", "--greedy", "--threads", "1"]
    with subprocess.Popen(
        [*command, "--checkpoint", str(toy_run / "model_best.pth")],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(20) == 143
