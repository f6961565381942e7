"""An optimiser's state by the names of its parameters, so that each finds its own again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import CheckpointError

OURS_OR_TORCHS = ("torch", __name__.partition(".")[0])
"""Packages whose optimisers keep for a parameter only what broadcasts to it.

What another optimiser keeps may have any shape: it has to look at it itself.
"""


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
    """Whether a state knows parameters by name; those of earlier versions have their places."""
    groups = saved.get("param_groups")
    return isinstance(groups, list) and all(
        isinstance(group, Mapping)
        and isinstance(group.get("params"), list)
        and all(isinstance(key, str) for key in group["params"])
        for group in groups
    )


def load_named_state(
    optimizer: torch.optim.Optimizer, module: nn.Module, saved: Mapping[str, Any], path: Path
) -> list[str]:
    """Give to each parameter of ``optimizer`` what ``saved`` has under its name.

    A file of an earlier version has the parameters' places instead: see :func:`has_names`.

    Returns:
        The names of the parameters that begin without a state, because they were frozen.

    Raises:
        CheckpointError: it is the state of another optimiser, or has another shape.
    """
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
    if type(optimizer).__module__.partition(".")[0] in OURS_OR_TORCHS:
        shapes = {name: p.shape for name, p in module.named_parameters()}
        for name in by_name.keys() & set(names.values()):
            _check_shapes(name, by_name[name], shapes[name], path)
    state = {number: by_name[name] for number, name in names.items() if name in by_name}
    optimizer.load_state_dict({"state": state, "param_groups": loaded})
    return [name for name in names.values() if by_name and name not in by_name]


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
