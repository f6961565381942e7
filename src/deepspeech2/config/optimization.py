"""Loss, optimiser and schedule from the groups of their names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from deepspeech2.config.components import (
    TARGET,
    create,
    create_function,
    group,
    options,
    plain,
    takes,
    target,
)
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.engine import Engine
from deepspeech2.errors import ConfigError
from deepspeech2.loss import as_loss
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import TrainerSettings, is_number
from deepspeech2.trainer import epoch_ends

_GROUPS = ("optimizer", "lr_scheduler")


def loss_from(config: DictConfig) -> nn.Module:
    """The loss: one of ours, of torch's or a plain function."""
    return as_loss(create_function(group(config, "loss_function"), "loss_function"))


def optimizer_and_schedule(
    config: DictConfig,
    pipeline: Pipeline,
    loader: SpeechLoader,
    settings: TrainerSettings,
    engine: Engine,
) -> tuple[torch.optim.Optimizer, Any]:
    """Optimiser and schedule; the schedule gets the exact number of steps."""
    parameters = [p for p in pipeline.parameters() if p.requires_grad]
    chosen = group(config, "optimizer")
    fused = {"fused": True} if engine.fuses and takes(chosen, "optimizer", "fused") else {}
    optimizer = create(fused | chosen, "optimizer", parameters)
    node = plain(config.get("lr_scheduler"))
    if not node:
        return optimizer, None
    derived: dict[str, int] = {}
    if takes(node, "lr_scheduler", "total_steps"):
        steps = epoch_ends(loader, settings.n_epochs, settings.epoch_len, settings.accumulate)[-1]
        # OneCycleLR divides by the steps of its rise, so a rehearsal of a few needs a few more
        rise = node.get("pct_start", 0.3)
        if rise == 1:  # torch divides by the steps of the fall when it comes to them
            raise ConfigError(
                f"lr_scheduler.pct_start must be below 1, but is {rise}: the learning rate falls"
                " in what it leaves"
            )
        fewest = math.ceil(2 / rise) if is_number(rise) and rise > 0 else 1
        derived["total_steps"] = max(steps, fewest)
    schedule = create(node, "lr_scheduler", optimizer, **derived)
    needed = inspect.signature(schedule.step).parameters.values()
    if any(parameter.default is parameter.empty for parameter in needed):
        raise ConfigError(
            f"lr_scheduler._target_={node[TARGET]} needs a metric at each step, which training does"
            " not give: choose one that counts steps, such as lr_scheduler=onecycle"
        )
    return optimizer, schedule


def planned(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed run must have as before of ``optimizer`` and ``lr_scheduler``, by key.

    Raises:
        ConfigError: a class cannot be found.
    """
    found: dict[str, Any] = {}
    for key in _GROUPS:
        found |= options(plain(config.get(key)), key)
    return found


def planned_before(content: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What the config in a checkpoint says of the same keys, and of some of ``trainer``.

    For checkpoints that are older than a key of the plan. Nothing that a file names is imported:
    the defaults are those of the class that ``config`` names, if it is called the same.
    """
    before = content.get("config")
    if not isinstance(before, Mapping) or not before:
        return {}
    found: dict[str, Any] = {}
    for key in _GROUPS:
        ours, theirs = plain(config.get(key)), before.get(key)
        if not isinstance(theirs, Mapping) or TARGET not in theirs:
            found[key] = None
            continue
        found[key] = str(theirs[TARGET]).rpartition(".")[2]
        if ours and target(ours, key).__name__ == found[key]:
            found |= options({**theirs, TARGET: ours[TARGET]}, key)
    trainer = before.get("trainer")
    for name in ("monitor", "freeze"):
        if isinstance(trainer, Mapping) and name in trainer:
            found[f"trainer.{name}"] = trainer[name]
    return found
