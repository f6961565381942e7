"""Several gloo ranks learn what one process learns from the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.toy import ROOT

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


def trained(file: Path, accumulate: int, ranks: int, *more: str) -> Any:
    launcher = () if ranks == 1 else (*TORCHRUN, str(ranks))
    done = subprocess.run(
        [
            sys.executable,
            *launcher,
            "-m",
            "tests.engine.rank_script",
            str(file),
            str(accumulate),
            *more,
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text(encoding="utf-8"))


def distance(ours: Any, theirs: Any) -> float:
    """The norm of the difference, relative to that of ``theirs``."""
    expected = torch.tensor(theirs, dtype=torch.float64)
    difference = torch.tensor(ours, dtype=torch.float64) - expected
    return float(difference.norm() / expected.norm().clamp(min=1e-9))


@pytest.mark.slow
@pytest.mark.parametrize(("accumulate", "more"), [(1, ()), (2, ()), (2, ("taps",))])
def test_two_ranks_learn_what_one_does(
    tmp_path: Path, accumulate: int, more: tuple[str, ...]
) -> None:
    """Unequal shares, of which one is empty once; with and without accumulation.

    Sums over two ranks are rounded in another order, and each step makes more of that, how much
    depends on the processor: the first step is compared to some units of float32, each later one
    to 1.6 times what the one before may differ by.
    """
    one = trained(tmp_path / "one.json", accumulate, 1, *more)
    two = trained(tmp_path / "two.json", accumulate, 2, *more)
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert len(one["losses"]) == 20
    assert one["losses"][-1] < 0.9 * one["losses"][0]

    unit = torch.finfo(torch.float32).eps
    assert distance(two["gradient"], one["gradient"]) < 500 * unit
    for step, (ours, theirs) in enumerate(zip(two["losses"], one["losses"], strict=True)):
        assert abs(ours - theirs) / theirs < 10 * unit * 1.6**step
    for name, values in one["statistics"].items():
        assert distance(two["statistics"][name], values) < 1e-2, name
