"""A training that ends in time: what fits is planned, and the plan is a training like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from deepspeech2 import checkpoint
from deepspeech2.commands import training_parts
from deepspeech2.commands.budget import Measured, within_budget
from deepspeech2.commands.train import train
from deepspeech2.errors import ConfigError
from deepspeech2.trainer import Pace, measure_pace
from tests.toy import config, overrides, write_corpus

SECONDS = {"tiny": 0.1, "small": 0.4, "medium": 1.0, "deepspeech2": 30.0}
SIZES = {2: "tiny", 3: "small", 4: "medium", 7: "deepspeech2"}  # by recurrent layers


def measure(changed: DictConfig) -> Measured:
    """Steps of a pass over 1,000 batches of 96 s, by the size of the network."""
    name = SIZES[changed.model.rnn_layers]
    share = changed.dataloader.max_batch_duration / 96
    return Measured(Pace(share * SECONDS[name], 20.0, 10.0), round(1000 / share), 30.0)


def planned(budget: str, *changes: str, before: dict[str, Any] | None = None) -> DictConfig:
    made = config("librispeech_8h", "data_dir=nowhere", f"budget={budget}", *changes)
    return within_budget(made, measure, before or {})


@pytest.mark.parametrize(
    ("budget", "name", "epochs"),
    [
        ("2h", "tiny", 56),
        ("3 h", "small", 24),
        ("600min", "medium", 33),
        ("1000 h", "deepspeech2", 113),
    ],
)
def test_the_largest_network_that_makes_twenty_passes_is_taken(
    budget: str, name: str, epochs: int
) -> None:
    found = planned(budget)
    assert SIZES[found.model.rnn_layers] == name
    assert found.trainer.n_epochs == epochs
    assert found.dataloader.max_batch_duration == 96


def test_batches_are_halved_for_a_short_training() -> None:
    found = planned("10 min")  # four passes of the fastest network, 4,000 steps
    assert found.dataloader.max_batch_duration == 48
    assert found.trainer.n_epochs == 4
    found = planned("3 min")  # one pass
    assert found.dataloader.max_batch_duration == 24
    assert found.trainer.n_epochs == 1


def test_a_network_of_ones_own_stays() -> None:
    assert planned("2h", "model.rnn_size=200").model.rnn_size == 200
    assert planned("2h", "budget_models=null").model.rnn_size == 256


def test_a_resumed_run_keeps_its_plan() -> None:
    before = OmegaConf.to_container(planned("2h"))
    assert isinstance(before, dict)
    again = planned("10h", before={str(key): value for key, value in before.items()})
    for key in ("trainer.n_epochs", "dataloader.max_batch_duration", "model"):
        assert OmegaConf.select(again, key) == OmegaConf.select(OmegaConf.create(before), key)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["2"], "budget must be a time"),
        (["0h"], "budget must be a time"),
        (["2 days"], "budget must be a time"),
        (["1 min"], "too short for one pass, which takes 2 min"),
        (["2h", "budget_models=[tny]"], "has 'tny'"),
    ],
)
def test_what_cannot_be_planned_is_said(changes: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(*changes)


def test_a_planned_training_is_that_of_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: the steps that were measured leave nothing behind. Resumed, the plan stays."""
    data = write_corpus(tmp_path / "data", {"train": 60, "val": 12})

    def run(name: str, *changes: str) -> dict[str, Any]:
        words = overrides(data, tmp_path, f"writer.run_name={name}", *changes)
        assert train(config("an4", *words)) == 0
        return checkpoint.load(tmp_path / name / "checkpoint-last.pth")

    def slow(*arguments: Any) -> Pace:
        pace = measure_pace(*arguments)
        assert 0 < pace.step < 20
        assert 0 < pace.epoch_end < 60
        assert pace.run_end == 0  # there is no test corpus
        return Pace(20.0, 0.0, 0.0)

    monkeypatch.setattr(training_parts, "measure_pace", slow)
    budgeted = run("budgeted", "budget=30 min")
    trainer, loader = (budgeted["config"][key] for key in ("trainer", "dataloader"))
    assert trainer["n_epochs"] >= 1
    plan = (
        f"trainer.n_epochs={trainer['n_epochs']}",
        f"dataloader.max_batch_duration={loader['max_batch_duration']}",
    )
    plain = run("plain", *plan)["state_dict"]
    assert budgeted["state_dict"].keys() == plain.keys()
    assert all(torch.equal(budgeted["state_dict"][key], plain[key]) for key in plain)
    again = run("budgeted", "budget=5h", "trainer.resume_from=auto")
    assert again["config"]["trainer"]["n_epochs"] == trainer["n_epochs"]
    assert again["step"] == budgeted["step"]
