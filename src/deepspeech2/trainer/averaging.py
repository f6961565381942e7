"""Averages of weights: exponential over the steps of a run, or plain over its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError


class MovingAverage:
    """Exponential moving average of a module's weights and statistics.

    After step n of it, average += (1 - d) (weights - average) with d = min(decay,
    (1 + n) / (10 + n)), so that the start does not weigh for long (as in TensorFlow's
    ``ExponentialMovingAverage``). Running statistics are averaged like the weights.

    Args:
        module: on its device already.
        decay: between 0 and 1; 0.999 looks back over about a thousand steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        floats = {k: v for k, v in module.state_dict().items() if v.is_floating_point()}
        self._names = list(floats)
        self._live = list(floats.values())
        self._average = [value.clone() for value in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights as they are now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the average for its weights; afterwards its own, to the bit."""
        kept = [value.clone() for value in self._live]
        self._fill(self._average)
        try:
            yield
        finally:
            self._fill(kept)

    def state(self) -> dict[str, Any]:
        weights = dict(zip(self._names, self._average, strict=True))
        return {"steps": self.steps, "weights": weights}

    def load(self, state: Any, path: Path) -> None:
        """Take up a saved average.

        Raises:
            CheckpointError: it is one of other weights.
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(f"{path} holds no moving average under 'ema'")
        weights, steps = state.get("weights"), state.get("steps")
        live = dict(zip(self._names, self._live, strict=True))
        if (
            not isinstance(weights, Mapping)
            or set(weights) != set(live)
            or any(getattr(weights[name], "shape", None) != live[name].shape for name in live)
            or type(steps) is not int
            or steps < 0
        ):
            raise CheckpointError(f"{path} holds a moving average of other weights")
        self.steps = steps
        for name, average in zip(self._names, self._average, strict=True):
            average.copy_(weights[name])

    @torch.no_grad()
    def _fill(self, values: Sequence[Tensor]) -> None:
        for live, value in zip(self._live, values, strict=True):
            live.copy_(value)


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights of checkpoints of one network, computed in float64.

    Raises:
        CheckpointError: one cannot be read, or they do not fit together.
    """
    total: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for path in paths:
        weights: dict[str, Tensor] = checkpoint.load(path)["state_dict"]
        if total and set(weights) != set(total):
            raise CheckpointError(f"{path} holds other weights than {paths[0]}: no mean of them")
        for name, value in weights.items():
            kinds[name] = value.dtype
            total[name] = total[name] + value.double() if name in total else value.double()
    return {name: (value / len(paths)).to(kinds[name]) for name, value in total.items()}
