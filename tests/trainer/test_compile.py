"""trainer.compile: what is learnt is the same, and a machine without a compiler is told."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from deepspeech2.devices import compile_network
from deepspeech2.model import DeepSpeech2
from deepspeech2.model.layers import MaskedBatchNorm
from tests.toy import ROOT, metrics, overrides, write_corpus

CPU = torch.device("cpu")


def test_the_normalisations_alone_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr("deepspeech2.devices.torch.compile", lambda function: function)
    monkeypatch.setattr(nn.Module, "compile", lambda module, dynamic: compiled.append(module))
    compile_network(DeepSpeech2(64, 28, rnn_layers=2, rnn_size=8), CPU)
    assert [type(each) for each in compiled] == [MaskedBatchNorm] * 6
    own = nn.Linear(2, 2)
    compile_network(own, CPU)
    assert compiled[-1] is own


@pytest.mark.slow  # a new process imports torch and its compiler
def test_a_machine_without_a_compiler_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    words = ["-c", "import torch; from torch import nn; from deepspeech2.devices import *;"
             "compile_network(nn.Linear(2, 2), torch.device('cpu'))"]  # fmt: skip
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert "trainer.compile=true, but torch cannot compile for cpu here (" in done.stderr
    assert "C++ compiler" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_losses_are_those_without(tmp_path: Path) -> None:
    """In processes of their own, which end, with the default readers, augmentation and resume."""
    data = write_corpus(tmp_path / "data", {"train": 12, "val": 2})

    def losses(name: str, *more: str) -> dict[int, float]:
        words = overrides(data, tmp_path / name, "trainer.n_epochs=2", "trainer.log_step=1", *more)
        arguments = [sys.executable, "train.py", "-cn=an4", *words]
        done = subprocess.run(
            arguments, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr
        rows = metrics(tmp_path / name / "toy")
        return {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}

    plain, compiled = losses("plain"), losses("compiled", "trainer.compile=true")
    assert plain.keys() == compiled.keys()
    assert all(math.isclose(plain[step], compiled[step], rel_tol=1e-3) for step in plain)
    assert plain != compiled  # it was compiled
