"""Augmentations that know nothing of this program: modules and functions of one tensor."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.types import Padded


class TensorTransform:
    """Calls a module or function of one tensor, whose padding is zero, as an augmentation.

    Torch's generators are seeded for it and put back afterwards, so that a resumed run draws the
    same; on a GPU that waits for the device.

    Args:
        function: returns a tensor of the shape that it takes.
        features: whether it takes features (B, F, T), as torchaudio's masking does, instead of
            waveforms (B, S).
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, features: bool = False) -> None:
        self.function = function
        self.features = features
        self.name = type(function).__name__ if isinstance(function, nn.Module) else repr(function)

    def __call__(self, inputs: Padded, generator: torch.Generator) -> Padded:
        data = inputs.data.transpose(1, 2) if self.features else inputs.data
        seed = int(torch.randint(2**31, (), generator=generator, device=data.device))
        if isinstance(self.function, nn.Module):
            self.function.to(data.device).train()
        gpus = [] if data.device.type == "cpu" else [data.device]
        with torch.random.fork_rng(gpus, device_type=data.device.type if gpus else "cuda"):
            torch.manual_seed(seed)
            out = self.function(data.clone())
        if getattr(out, "shape", None) != data.shape:
            raise ConfigError(
                f"transforms has {self.name}, which makes {getattr(out, 'shape', out)!r} of"
                f" {tuple(data.shape)}: what changes lengths must be a WaveformTransform"
            )
        return Padded(out.transpose(1, 2) if self.features else out, inputs.lengths).masked()

    def shortest(self, lengths: Tensor) -> Tensor:
        return lengths

    def longest(self, lengths: Tensor) -> Tensor:
        return lengths


def as_transform(transform: Any, *, features: bool = False) -> Any:
    """``transform`` itself if it takes a padded batch and a generator, else wrapped."""
    call = transform.forward if isinstance(transform, nn.Module) else transform
    needed = [
        each
        for each in inspect.signature(call).parameters.values()
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    ]
    return TensorTransform(transform, features=features) if len(needed) < 2 else transform
