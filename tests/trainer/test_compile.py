"""trainer.compile: what is learnt is the same, and a machine without a compiler is told."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deepspeech2.devices import compile_network
from deepspeech2.errors import ConfigError
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


def test_a_machine_without_a_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: Any) -> Any:
        def call(*_: Any) -> None:
            raise RuntimeError("No working C++ compiler found\nand more")

        return call

    monkeypatch.setattr("deepspeech2.devices.torch.compile", refuse)
    with pytest.raises(ConfigError, match=r"for cpu here \(No working C\+\+ compiler found\): "):
        compile_network(nn.Linear(2, 2), CPU)


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
