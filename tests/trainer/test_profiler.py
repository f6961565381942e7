"""trainer.profile writes a trace of a few steps, and changes nothing that is learnt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepspeech2 import checkpoint
from deepspeech2.commands.train import train
from tests.toy import config, overrides, write_corpus


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("toy"), {"train": 8, "val": 2})


def run(data: Path, save_dir: Path, steps: int, *changes: str) -> Path:
    length = (f"trainer.epoch_len={steps}", "trainer.n_epochs=1")
    assert train(config("an4", *overrides(data, save_dir, *length, *changes))) == 0
    return save_dir / "toy"


def test_a_trace_and_the_costliest_operations_of_a_run(data: Path, tmp_path: Path) -> None:
    folder = run(data, tmp_path / "one", 12, "trainer.profile=true")
    content = json.loads((folder / "profile/trace.json").read_text(encoding="utf-8"))
    names = [event["name"] for event in content["traceEvents"] if "dur" in event]
    for part in ("front end", "network", "loss", "backward", "optimizer", "waiting for data"):
        assert names.count(f"step: {part}") == 3, part
    assert names.count("_Gru") == 3  # the one recurrent layer of the toy
    log = (folder / "info.log").read_text(encoding="utf-8")
    table = log.partition("The costliest operations of 3 steps:\n")[2].splitlines()
    assert "operation" in table[0]
    shares = [float(row.split()[-2]) for row in table[2:12]]
    assert shares == sorted(shares, reverse=True)
    assert 30 < sum(shares) <= 100.1

    plain = checkpoint.load(run(data, tmp_path / "other", 12) / "model_best.pth")["state_dict"]
    profiled = checkpoint.load(folder / "model_best.pth")["state_dict"]
    assert all(plain[key].equal(profiled[key]) for key in plain)


def test_a_run_of_too_few_steps_says_so(data: Path, tmp_path: Path) -> None:
    folder = run(data, tmp_path, 6, "trainer.profile=true")
    assert not (folder / "profile").exists()
    log = (folder / "info.log").read_text(encoding="utf-8")
    assert "trainer.profile=true needs 8 steps, but this run took 6" in log
