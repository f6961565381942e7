"""The state of an optimiser and its schedule: saved by parameter names, checked before use."""

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

_KNOWN = ("torch", __name__.partition(".")[0])
"""Packages whose optimisers keep for a parameter only what broadcasts to it.

The state of any other optimiser may have any shape: it has to check it itself.
"""
_NUMBERS = (int, float, list, tuple)
_MOST = 1e16
"""Of a number; the product of two such fits into 32 bits of floating point."""


def named_state(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Any]:
    """Return the state of ``optimizer`` with the parameters' names in ``module`` for numbers."""
    own = optimizer.state_dict()
    names = _names(optimizer, own, module)
    return {
        "state": {names[number]: value for number, value in own["state"].items()},
        "param_groups": [
            {**group, "params": [names[number] for number in group["params"]]}
            for group in own["param_groups"]
        ],
    }


def has_names(saved: Mapping[str, Any]) -> bool:
    """Whether a state has parameters by name; those of earlier versions have their positions."""
    groups = saved.get("param_groups")
    return isinstance(groups, list) and all(
        isinstance(group, Mapping)
        and isinstance(group.get("params"), list)
        and all(isinstance(key, str) for key in group["params"])
        for group in groups
    )


def load_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, saved: Mapping[str, Any], path: Path
) -> list[str]:
    """Give to each parameter of ``optimizer`` what ``saved`` has under its name.

    The parameters change: load the weights afterwards.

    Returns:
        The names of the parameters that begin without a state, because they were frozen.

    Raises:
        CheckpointError: it is the state of another optimiser, or has another shape.
    """
    expected = _trial_state(optimizer)
    try:
        new = _load(optimizer, module, saved, path)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise CheckpointError(f"{path} was written by another optimizer: {reason}") from error
    loaded = optimizer.state_dict()
    difference = _difference(expected["param_groups"], loaded["param_groups"], "param_groups")
    if difference is None and _is_known(optimizer):
        state = {number: expected["state"].get(number) for number in loaded["state"]}
        difference = _difference(state, loaded["state"], "state")
        difference = difference or _out_of_range(type(optimizer), loaded)
    if difference is not None:
        raise CheckpointError(f"{path} was written by another optimizer: {difference}")
    return new


def load_schedule(schedule: LRScheduler | None, saved: Any, path: Path) -> None:
    """Load the state of a schedule of the learning rate.

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


def _load(
    optimizer: torch.optim.Optimizer, module: nn.Module, saved: Mapping[str, Any], path: Path
) -> list[str]:
    """Load a state by names or, of a file of an earlier version, by positions."""
    own = optimizer.state_dict()
    names = _names(optimizer, own, module)
    groups, theirs = own["param_groups"], saved["param_groups"]
    if len(groups) != len(theirs):
        raise CheckpointError(
            f"{path} was written by another optimizer: it has {len(theirs)} groups of parameters"
            f" where this one has {len(groups)}"
        )
    by_name = _by_name(saved, groups, names, path)
    loaded: list[dict[str, Any]] = []
    for group, their in zip(groups, theirs, strict=True):
        # whether it is fused depends on the precision, which may have changed
        own_choice = {key: group[key] for key in ("params", "fused") if key in group}
        loaded.append({**group, **their, **own_choice})
    if _is_known(optimizer):
        shapes = {name: p.shape for name, p in module.named_parameters()}
        for name in by_name.keys() & set(names.values()):
            _check_shapes(name, by_name[name], shapes[name], path)
    state = {number: by_name[name] for number, name in names.items() if name in by_name}
    optimizer.load_state_dict({"state": state, "param_groups": loaded})
    return [name for name in names.values() if by_name and name not in by_name]


def _is_known(optimizer: torch.optim.Optimizer) -> bool:
    return type(optimizer).__module__.partition(".")[0] in _KNOWN


def _names(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any], module: nn.Module
) -> dict[int, str]:
    """The names of the parameters by their numbers in the optimiser's own ``state``."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    return {
        number: names[parameter]
        for packed, group in zip(state["param_groups"], optimizer.param_groups, strict=True)
        for number, parameter in zip(packed["params"], group["params"], strict=True)
    }


def _by_name(
    saved: Mapping[str, Any], groups: list[dict[str, Any]], names: Mapping[int, str], path: Path
) -> dict[str, Any]:
    """What ``saved`` has for each parameter, by name."""
    keys: dict[Any, str] = {}
    for group, theirs in zip(groups, saved["param_groups"], strict=True):
        if has_names(saved):
            keys |= {key: key for key in theirs["params"]}
        elif len(group["params"]) == len(theirs["params"]):
            ours = (names[number] for number in group["params"])
            keys |= zip(theirs["params"], ours, strict=True)
        else:
            raise CheckpointError(
                f"{path} has an optimizer's state for {len(theirs['params'])} parameters, whose"
                f" names it lacks, where this run learns {len(group['params'])}: resume with the"
                " same trainer.freeze"
            )
    return {keys[key]: dict(value) for key, value in saved["state"].items() if key in keys}


def _check_shapes(name: str, state: Mapping[str, Any], shape: torch.Size, path: Path) -> None:
    for key, value in state.items():
        if isinstance(value, Tensor) and not _broadcasts(value.shape, shape):
            raise CheckpointError(
                f"{path} has for {name} of shape {tuple(shape)} a state {key!r} of shape"
                f" {tuple(value.shape)}: it belongs to another parameter"
            )


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    if len(shape) > len(to):
        return False
    return all(own in (1, whole) for own, whole in zip(reversed(shape), reversed(to), strict=False))


def _trial_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state that an optimiser has after a step without gradients."""
    groups = copy.deepcopy(optimizer.state_dict()["param_groups"])
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return {"param_groups": groups, "state": optimizer.state_dict()["state"]}


def _out_of_range(kind: type[torch.optim.Optimizer], loaded: Mapping[str, Any]) -> str | None:
    """Return which option an optimiser of this kind refuses, or an impossible count of steps."""
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


def _difference(own: Any, saved: Any, name: str) -> str | None:
    """Return where ``saved`` has another kind or shape than ``own``; None if nowhere."""
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
    """The kinds that a value counts as."""
    if isinstance(value, bool) or value is None:
        return {"switch"}
    if isinstance(value, int | float):
        return {"number"} if abs(value) < _MOST else set()
    if isinstance(value, Tensor):
        return {"number", value.shape} if value.numel() == 1 else {value.shape}
    return {type(value)}
