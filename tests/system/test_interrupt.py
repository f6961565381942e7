"""Signals as a terminal or a scheduler sends them: to the program and to its workers at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepspeech2 import checkpoint
from tests.system.conftest import ENVIRONMENT
from tests.toy import ROOT, overrides


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_to_all_processes_saves(toy_run: Path, tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    words = overrides(
        toy_run.parent / "data",
        tmp_path,
        "transforms=small",
        "trainer.n_epochs=400",
        "dataloader.num_workers=1",
        "dataloader.cache=none",
    )
    process = subprocess.Popen(
        [sys.executable, "train.py", "-cn=an4", *words],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = tmp_path / "toy" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.1)
    os.killpg(process.pid, number)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 128 + number, error
    assert "Traceback" not in error
    assert "trainer.resume_from=auto goes on" in out
    assert checkpoint.load(tmp_path / "toy" / "checkpoint-last.pth")["step"] > 0
