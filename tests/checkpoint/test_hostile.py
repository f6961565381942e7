"""Hundreds of damaged and hostile files of each kind: a sentence or a model, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deepspeech2.paths import ROOT


@pytest.mark.slow
def test_each_ends_in_a_sentence_or_a_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoint.hostile", "150"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 11
    for line in lines[:-1]:
        assert "'refused'" in line or line.startswith("tar"), line
