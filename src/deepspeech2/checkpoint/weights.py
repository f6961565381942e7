"""Weights into a network, and what a checkpoint must agree with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepspeech2.errors import CheckpointError


def load_weights(module: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Load every weight, strictly.

    Raises:
        CheckpointError: see :func:`check_weights`.
    """
    check_weights(module, weights, path)
    module.load_state_dict(dict(weights))


def check_weights(module: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Hold weights against those of a module, which may be on the device "meta".

    Raises:
        CheckpointError: names the first key that is missing, too many, or of another shape.
    """
    own = module.state_dict()
    for key, value in own.items():
        if key not in weights:
            raise CheckpointError(f"{path} belongs to another architecture: it lacks {key!r}")
        given = weights[key]
        # statistics of features are empty until they are fitted or loaded
        fits = isinstance(given, torch.Tensor) and (given.shape == value.shape or not value.numel())
        if fits and given.is_floating_point() != value.is_floating_point():
            raise CheckpointError(f"{path} has {key!r} as {given.dtype}, not as {value.dtype}")
        if not fits:
            shape = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
            raise CheckpointError(
                f"{path} belongs to another architecture: {key!r} is {shape} there and"
                f" {tuple(value.shape)} here"
            )
    for key in weights:
        if key not in own:
            raise CheckpointError(
                f"{path} belongs to another architecture: {key!r} has no place here"
            )


def check_recipe(
    content: Mapping[str, Any], recipe: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """Raise CheckpointError if the checkpoint was made with other settings; names the first."""
    for part in ("model", "features", "normalization", "text_encoder"):
        theirs, ours = content["recipe"].get(part, {}), recipe[part]
        for key in (*ours, *theirs):
            if theirs.get(key) != ours.get(key):
                raise CheckpointError(
                    f"{path} was trained with {part}.{key}={theirs.get(key)!r}, but the config"
                    f" says {ours.get(key)!r}"
                )


def first_line(error: BaseException) -> str:
    """Of the error's message, without control characters, or its kind where it has none."""
    return printable(next(iter(str(error).strip().splitlines()), type(error).__name__))


def printable(text: str, most: int = 200) -> str:
    """The beginning of a text without control characters."""
    return "".join(each if each.isprintable() else "?" for each in text[:most])
