"""SIGKILL at any step, a full disk, and several ranks that are told to stop."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.commands.train import train
from tests.engine.test_ranks import TORCHRUN
from tests.system.conftest import ENVIRONMENT
from tests.toy import ROOT, config, metrics, overrides, write_corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX"),
]

EVERYTHING = (
    "transforms=small",
    "model.dropout=0.1",
    "dataloader.max_batch_duration=4",
    "trainer.accumulate=2",
    "trainer.ema=0.9",
    "trainer.n_epochs=4",
    "trainer.log_step=1",
    "trainer.save_every=3",
    "trainer.save_period=1",
    'trainer.average="last 2"',
    "trainer.resume_from=auto",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 60, "val": 8})


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until the run has logged ``step``; the file may not exist yet, or end in half a line."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if metrics(run)[-1]["step"] >= step:
                return
        except (OSError, IndexError, ValueError):
            pass
        time.sleep(0.01)
    out, error = process.communicate(timeout=10)
    pytest.fail(f"step {step} did not come: {process.returncode} {out} {error}")


def same(one: Path, other: Path) -> bool:
    first, second = (checkpoint.load(path)["state_dict"] for path in (one, other))
    return all(torch.equal(first[key], second[key]) for key in first)


def test_killed_and_resumed_equals_uninterrupted(data: Path, tmp_path: Path) -> None:
    """Killed twice at random steps; what was learnt since the last save is learnt again."""
    assert train(config("an4", *overrides(data, tmp_path / "whole", *EVERYTHING))) == 0
    total = checkpoint.load(tmp_path / "whole" / "toy" / "checkpoint-last.pth")["step"]
    run = tmp_path / "parts" / "toy"
    steps = sorted(random.sample(range(2, total - 4), 2))
    print("killed at", steps)  # shown if the test fails
    for step in steps:
        words = overrides(data, tmp_path / "parts", *EVERYTHING)
        process = start("train.py", "-cn=an4", *words)
        wait_for_step(run, step, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        reached = metrics(run)[-1]["step"]
        if (run / "checkpoint-last.pth").exists():
            assert checkpoint.load(run / "checkpoint-last.pth")["step"] >= reached - 4
    assert train(config("an4", *overrides(data, tmp_path / "parts", *EVERYTHING))) == 0
    for name in ("checkpoint-last.pth", "model_best.pth"):
        assert same(tmp_path / "whole" / "toy" / name, run / name)
    logged = [row["step"] for row in metrics(run) if "train/loss" in row]
    assert logged == list(range(1, total + 1))
    assert not list(run.glob(".*.tmp"))


def test_a_disk_that_fills_up_during_a_save(tmp_path: Path) -> None:
    """The operating system refuses the second half; the earlier checkpoint loads."""
    program = """
import resource, sys, torch
from pathlib import Path
from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError
path = Path(sys.argv[1])
parts = {"recipe": {}, "state_dict": {"weight": torch.arange(100_000.0)}}
checkpoint.save({**parts, "step": 1}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    checkpoint.save({**parts, "step": 2}, path)
except CheckpointError as error:
    print(error)
    sys.exit(3)
"""
    path = tmp_path / "checkpoint-last.pth"
    process = start("-c", program, str(path))
    out, error = process.communicate(timeout=120)
    assert process.returncode == 3, error
    assert "what was there before is whole" in out
    content = checkpoint.load(path)
    assert content["step"] == 1
    assert torch.equal(content["state_dict"]["weight"], torch.arange(100_000.0))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_two_ranks_stop_together_and_resume_exactly(data: Path, tmp_path: Path) -> None:
    """SIGTERM to the launcher in mid-epoch; the number of ranks must stay."""
    launch = (*TORCHRUN, "2", "train.py", "-cn=an4")
    whole = start(*launch, *overrides(data, tmp_path / "whole", *EVERYTHING))
    _, error = whole.communicate(timeout=200)
    assert whole.returncode == 0, error
    total = checkpoint.load(tmp_path / "whole" / "toy" / "checkpoint-last.pth")["step"]
    run = tmp_path / "parts" / "toy"
    words = overrides(data, tmp_path / "parts", *EVERYTHING)
    stopped = start(*launch, *words)
    wait_for_step(run, total // 2, stopped)
    stopped.terminate()
    out, error = stopped.communicate(timeout=100)
    assert stopped.returncode != 0, error
    assert "trainer.resume_from=auto goes on" in out, error
    assert 0 < checkpoint.load(run / "checkpoint-last.pth")["step"] < total
    alone = start("train.py", "-cn=an4", *words)
    _, error = alone.communicate(timeout=100)
    assert alone.returncode == 2, error
    assert "number of ranks=2 where this run has 1" in error
    resumed = start(*launch, *words)
    _, error = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, error
    for name in ("checkpoint-last.pth", "model_best.pth"):
        assert same(tmp_path / "whole" / "toy" / name, run / name)
    assert out.count("parameters on") == 1  # only the first rank speaks
