"""Exchange between the processes of a run; a process alone exchanges nothing."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "onnection refused",
)
"""In the messages of gloo and NCCL."""


def n_ranks() -> int:
    """Return the number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """Add up ``values`` over all ranks, each of which must call this; differentiable.

    The gradient is that of the sum of all ranks' losses: it, too, is added up.
    """
    if n_ranks() == 1:
        return values
    from torch.distributed.nn.functional import all_reduce

    total = all_reduce(values.contiguous())  # type: ignore[no-untyped-call]
    assert isinstance(total, Tensor)
    return total


def rank_lost(error: RuntimeError) -> bool:
    """Whether ``error`` means that another process of this run has ended."""
    return n_ranks() > 1 and any(words in str(error) for words in _LOST)


class HostGroup:
    """Exchanges values between the ranks' processors.

    It never waits for a device, which the group of the gradients would on a GPU. Every rank
    must make one, and the same calls in the same order.
    """

    def __init__(self) -> None:
        self._group: Any = None
        if n_ranks() > 1:
            self._group = dist.new_group(backend="gloo")

    def numbers(self, *values: float) -> Tensor:
        """Return (ranks, len(values)) float64: the values of each rank."""
        own = torch.tensor(values, dtype=torch.float64)
        if self._group is None:
            return own[None]
        rows = [torch.empty_like(own) for _ in range(n_ranks())]
        dist.all_gather(rows, own, group=self._group)
        return torch.stack(rows)

    def objects(self, value: Any) -> list[Any]:
        """Return the object of each rank, pickled on the way."""
        if self._group is None:
            return [value]
        gathered: list[Any] = [None] * n_ranks()
        dist.all_gather_object(gathered, value, group=self._group)
        return gathered
