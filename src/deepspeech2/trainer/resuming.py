"""Whether the state of a training is one that this training can take up."""

from __future__ import annotations

import copy
import inspect
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from deepspeech2.errors import CheckpointError, SpeechError
from deepspeech2.escaping import first_line
from deepspeech2.optim.state import OURS_OR_TORCHS

_NUMBERS = (int, float, list, tuple)
_MOST = 1e16
"""Of a number; the product of two such has a place in 32 bits."""


def trial_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimiser keeps, which a step without gradients shows: load the weights after it."""
    groups = copy.deepcopy(optimizer.state_dict()["param_groups"])
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return {"param_groups": groups, "state": optimizer.state_dict()["state"]}


def check_optimizer(optimizer: torch.optim.Optimizer, kept: Mapping[str, Any], path: Path) -> None:
    """Hold the state that was loaded against what :func:`trial_state` gave before.

    Raises:
        CheckpointError: it is that of another optimiser.
    """
    loaded = optimizer.state_dict()
    difference = _difference(kept["param_groups"], loaded["param_groups"], "param_groups")
    if difference is None and type(optimizer).__module__.partition(".")[0] in OURS_OR_TORCHS:
        state = {number: kept["state"].get(number) for number in loaded["state"]}
        difference = difference or _difference(state, loaded["state"], "state")
        difference = difference or _out_of_range(type(optimizer), loaded)
    if difference is not None:
        raise CheckpointError(f"{path} was written by another optimizer: {difference}")


def _out_of_range(kind: type[torch.optim.Optimizer], loaded: Mapping[str, Any]) -> str | None:
    """Which option an optimiser of this kind would refuse, or which count of steps cannot be."""
    taken = inspect.signature(kind).parameters.keys() - {"params"}
    for group in loaded["param_groups"]:
        numbers = {k: group[k] for k in taken & group.keys() if type(group[k]) in _NUMBERS}
        try:
            kind([nn.Parameter(torch.zeros(1))], **numbers)
        except (ValueError, SpeechError) as error:
            return first_line(error)
    for state in loaded["state"].values():
        if not float(state.get("step", 0)) >= 0:
            return f"a parameter has taken {float(state['step'])} steps"
    return None


def load_schedule(schedule: LRScheduler | None, saved: Any, path: Path) -> None:
    """Take up the state of a schedule of the learning rate.

    Raises:
        CheckpointError: it is that of another schedule, or of a longer or shorter one.
    """
    planned = None if schedule is None else schedule.state_dict()
    if (planned is None) != (saved is None):
        raise CheckpointError(f"{path} was written with another lr_scheduler")
    if schedule is None or planned is None:
        return
    difference = _difference(planned, saved, "lr_scheduler")
    if difference is not None:
        raise CheckpointError(f"{path} was written with another lr_scheduler: {difference}")
    for key in ("total_steps", "base_lrs"):
        if planned.get(key) != saved.get(key):
            raise CheckpointError(
                f"{path} follows a schedule with {key}={saved.get(key)}, but the config"
                f" plans {planned.get(key)}: resume with the same n_epochs, data and"
                " batches, or start a new run with trainer.from_pretrained"
            )
    schedule.load_state_dict(dict(saved))


def _difference(own: Any, saved: Any, name: str) -> str | None:
    """In what ``saved`` is of another kind or shape than ``own``; None if in nothing."""
    if isinstance(own, Mapping) and isinstance(saved, Mapping):
        missing = next((key for key in own if key not in saved), None)
        if missing is not None:
            return f"{name} lacks {missing!r}"
        pairs = [(own[key], saved[key], f"{name}.{key}") for key in own]
    elif isinstance(own, list | tuple) and isinstance(saved, list | tuple):
        if len(own) != len(saved):
            return f"{name} has {len(saved)} entries there and {len(own)} here"
        pairs = [(*each, name) for each in zip(own, saved, strict=True)]
    elif _kind(own) & _kind(saved):
        return None
    else:
        return f"{name} cannot be {reprlib.repr(saved)}"
    return next((found for pair in pairs if (found := _difference(*pair))), None)


def _kind(value: Any) -> set[Any]:
    """What a value may be taken for."""
    if isinstance(value, bool) or value is None:
        return {"switch"}
    if isinstance(value, int | float):
        return {"number"} if abs(value) < _MOST else set()
    if isinstance(value, Tensor):
        return {"number", value.shape} if value.numel() == 1 else {value.shape}
    return {type(value)}
