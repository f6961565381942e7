"""Running commands as a user does, and a small trained model for them to use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from src.build import train
from tests.toy import ROOT, config, overrides, write_corpus

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def command() -> Run:
    """Run one of the repository's programs; the network is a closed port of this machine."""

    def run(*words: str, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        closed = "http://127.0.0.1:9"
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "https_proxy": closed,
            "http_proxy": closed,
            "no_proxy": "",
            "WANDB_MODE": "offline",
        }
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


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the toy corpus, whose data lies beside it in ``data``."""
    place = tmp_path_factory.mktemp("system")
    data = write_corpus(place / "data", {"train": 60, "val": 8})
    changes = ("transforms=none", "model.dropout=0", "trainer.n_epochs=4")
    assert train(config("an4", *overrides(data, place, *changes))) == 0
    return place / "toy"
