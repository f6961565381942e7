"""Running commands as a user does, and a small trained model for them to use."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepspeech2.commands.train import train
from tests.toy import ROOT, config, overrides, write_corpus

Run = Callable[..., subprocess.CompletedProcess[str]]
CLOSED = "http://127.0.0.1:9"  # the network is a closed port of this machine
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "https_proxy": CLOSED,
    "http_proxy": CLOSED,
    "no_proxy": "",
    "WANDB_MODE": "offline",
}


@pytest.fixture(scope="session")
def command() -> Run:
    """Run one of the repository's programs in a process of its own."""

    def run(*words: str, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **ENVIRONMENT}
        environment.pop("HYDRA_FULL_ERROR", None)
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def quick_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same without the seconds that a new process takes to import torch."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", [program, *words])
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / program), run_name="__main__")
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        assert "HYDRA_FULL_ERROR" not in os.environ  # nor for programs started from there
        out, error = capsys.readouterr()
        return subprocess.CompletedProcess([program, *words], status, out, error)

    return run


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the toy corpus, whose data lies beside it in ``data``."""
    place = tmp_path_factory.mktemp("system")
    data = write_corpus(place / "data", {"train": 60, "val": 8})
    changes = ("transforms=none", "model.dropout=0", "trainer.n_epochs=4")
    assert train(config("an4", *overrides(data, place, *changes))) == 0
    return place / "toy"
