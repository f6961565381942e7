"""The SLURM example, with stand-ins for SLURM's programs: one node, two processes on the CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deepspeech2 import checkpoint
from tests.system.conftest import ENVIRONMENT
from tests.system.test_kill import wait_for_step
from tests.toy import ROOT, overrides, write_corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="SLURM and pkill"),
]

# Starts the task and passes signals on, as srun does; options come first.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
"$@" & task=$!
trap 'kill -USR1 $task' USR1
while kill -0 $task 2>/dev/null; do wait $task; status=$?; done
exit $status
"""
# Holds each rank after its third step until the signal has reached it: a small run would be over.
HELD = """
import signal, time
from tqdm import tqdm

update, steps = tqdm.update, 0

def held(bar, number=1):
    global steps
    stop = getattr(signal.getsignal(signal.SIGUSR1), "__self__", None)
    steps += stop is not None
    while steps >= 3 and stop.signal is None:
        time.sleep(0.05)
    return update(bar, number)

tqdm.update = held
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then echo localhost; else echo "scontrol $*"; fi
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a batch job."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    path = os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))
    return {
        **os.environ,
        **ENVIRONMENT,
        "PATH": path,
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "node",
        "SLURM_NNODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
        "RDZV_PORT": "0",
    }


def submit(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "docs/slurm/train.sbatch", "-cn=an4", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_job_whose_time_is_up_goes_on_in_the_next(slurm: dict[str, str], tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "toy", {"train": 40, "val": 4})
    changes = ("trainer.n_epochs=6", "trainer.log_step=1", "transforms=small")
    words = overrides(data, tmp_path / "saved", *changes)
    run = tmp_path / "saved" / "toy"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HELD, encoding="utf-8")
    first = submit({**slurm, "PYTHONPATH": str(site)}, *words)
    wait_for_step(run, 2, first)
    first.send_signal(signal.SIGUSR1)
    out, error = first.communicate(timeout=120)
    assert first.returncode == 0, error
    assert "job 7 goes back to the queue" in out
    assert "scontrol requeue 7" in out
    reached = checkpoint.load(run / "checkpoint-last.pth")["step"]
    second = submit(slurm, *words)
    out, error = second.communicate(timeout=200)
    assert second.returncode == 0, error
    assert f"at step {reached}" in out
    assert "requeue" not in out
    assert checkpoint.load(run / "checkpoint-last.pth")["step"] > reached


def test_a_job_that_fails_is_not_put_back(slurm: dict[str, str], tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "toy", {"train": 4, "val": 2})
    failed = submit(slurm, *overrides(data, tmp_path / "saved", "trainer.n_epochs=0"))
    out, error = failed.communicate(timeout=120)
    assert failed.returncode != 0, out
    assert "trainer.n_epochs" in error
    assert "requeue" not in out
