"""Every option of a training changed at a resume, one by one: refused by name, or in effect."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from deepspeech2.commands.train import train
from deepspeech2.config.components import options
from deepspeech2.errors import CheckpointError
from deepspeech2.settings import DataloaderSettings, TrainerSettings
from deepspeech2.trainer import Trainer
from tests.toy import config, overrides, write_corpus

BASE = (
    "transforms=small",
    "trainer.n_epochs=1",
    "loss_function=consistent_ctc",
    "model.rnn_layers=2",
    "model.intermediate=[1]",
)
GROUPS = "optimizer", "lr_scheduler", "loss_function", "transforms"

# what a changed value is, where adding one to a number or negating a truth value is none
VALUES: dict[str, str] = {
    "trainer.n_epochs": "40",
    "trainer.epoch_len": "3",
    "trainer.save_every": "7",
    "trainer.monitor": "min val_loss",
    "trainer.early_stop": "3",
    "trainer.ema": "0.9",
    "trainer.average": "last 2",
    "trainer.precision": "bf16",
    "trainer.threads": "2",
    "trainer.device": "auto",
    "trainer.from_pretrained": "models/other.pth",
    "trainer.freeze": "[layers.0.*]",
    "dataloader.max_batch_size": "3",
    "dataloader.num_workers": "1",
    "optimizer": "torch.optim.Adam",
    "optimizer.betas": "[0.8,0.9]",
    "optimizer.foreach": "false",
    "optimizer.fused": "false",
    "lr_scheduler.anneal_strategy": "linear",
    "lr_scheduler.epochs": "3",
    "lr_scheduler.steps_per_epoch": "3",
    "loss_function.intermediate_weight": "0.3",
    "transforms.waveform_transforms": "[]",
    "transforms.feature_transforms": "[]",
}
# where a run lies, and which checkpoint of it goes on: tests of run folders have these
PLACES = {"trainer.resume_from", "trainer.save_dir", "trainer.override"}
# given by the program, not by a config
DERIVED = {"lr_scheduler.total_steps", "lr_scheduler.last_epoch"}
# another class needs other options as well: see test_training.py
SEVERAL = {"lr_scheduler", "loss_function", "optimizer.differentiable"}
# they need a network that learns phones: see test_phones.py
PHONES = {"loss_function.phones_weight", "loss_function.phones_language"}
# how audio is read, which leaves no trace in a checkpoint
READING = {"dataloader.cache", "dataloader.cache_dir", "dataloader.pin_memory"}


def changes() -> Iterator[tuple[str, str]]:
    """Each option that there is, from the settings' own fields, and another value."""
    known = config("an4", *overrides(Path("data"), Path("saved"), *BASE))
    found: dict[str, Any] = {}
    for key, kind in (("trainer", TrainerSettings), ("dataloader", DataloaderSettings)):
        found |= {f"{key}.{each.name}": known[key].get(each.name) for each in fields(kind)}
    for key in GROUPS[:3]:
        found |= options({**known[key]}, key)
    for name, node in known.transforms.items():
        simple = not name.startswith("_") and name not in ("features", "normalization")
        found |= {f"transforms.{name}": node} if simple else {}
    for name, value in found.items():
        if name in PLACES | DERIVED | SEVERAL | READING | PHONES:
            continue
        if name in VALUES:
            yield name, VALUES[name]
        elif isinstance(value, bool):
            yield name, str(not value).lower()
        else:
            yield name, str(round(value / 2 if 0 < value < 1 else value + 1, 6))


def effective(value: Any) -> Any:
    """What objects of ours are made of, as plain values; of others the class."""
    if value is None or isinstance(value, bool | int | float | str | Path):
        return value
    if isinstance(value, list | tuple):
        return [effective(each) for each in value]
    if isinstance(value, dict):
        return {str(key): effective(each) for key, each in value.items()}
    own = type(value).__module__.startswith("deepspeech2.") or isinstance(value, nn.ModuleList)
    if not own:
        return type(value).__name__
    names = [each.name for each in fields(value)] if is_dataclass(value) else list(vars(value))
    return {"": type(value).__name__} | {name: effective(getattr(value, name)) for name in names}


Opened = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings, and a finished run of one epoch on them."""
    data = write_corpus(tmp_path_factory.mktemp("options"), {"train": 6, "val": 1})
    assert train(config("an4", *overrides(data, data / "saved", *BASE))) == 0
    return data


@pytest.fixture
def opened(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Builds a run without training it; returns what it is made of."""
    seen: list[Trainer] = []
    monkeypatch.setattr("deepspeech2.devices.cpu_has_bf16", lambda: True)  # nothing is computed
    monkeypatch.setattr("deepspeech2.devices.torch.compile", lambda function, **_: function)
    monkeypatch.setattr(Trainer, "run", lambda trainer: seen.append(trainer) or 0)

    def run(save_dir: Path, *more: str) -> dict[str, Any]:
        assert train(config("an4", *overrides(corpus, save_dir, *BASE, *more))) == 0
        learner, settings = seen[-1].learner, effective(seen[-1].settings)
        for name in ("save_dir", "resume_from"):
            del settings[name]
        return {
            "settings": settings,
            "loader": effective(seen[-1].data.train),
            "front end": effective(learner.pipeline.front_end),
            "loss": effective(learner.pipeline.loss),
            "engine": (learner.engine.precision, learner.max_grad_norm),
            "frozen": [p.requires_grad for p in learner.pipeline.parameters()],
            "groups": [
                [len(g["params"]), g["weight_decay"]] for g in learner.optimizer.param_groups
            ],
        }

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), list(changes()))
def test_is_refused_or_in_effect(
    name: str, value: str, opened: Opened, corpus: Path, tmp_path: Path
) -> None:
    key = f"{name}._target_" if name in GROUPS else name
    change = f'++{key}="{value}"' if " " in value else f"++{key}={value}"
    resume = "trainer.resume_from=auto"
    refusal = ""
    try:
        resumed = opened(corpus / "saved", change, resume)
    except CheckpointError as error:
        refusal = str(error)
    if refusal:
        assert re.search(rf"trained with {re.escape(name)}=|follows a schedule with", refusal)
        return
    assert resumed == opened(tmp_path, change)  # as a new run would have it
    assert resumed != opened(corpus / "saved", resume)  # and not as it was
