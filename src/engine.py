"""Device, precision and ranks. The only module that knows Lightning Fabric.

One process needs no configuration; several are launched by ``torchrun``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from src.errors import ConfigError
from src.types import Padded

if TYPE_CHECKING:
    from lightning_fabric.wrappers import _FabricModule

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def pick_device(name: str) -> torch.device:
    """``auto`` is the GPU if there is one.

    Raises:
        ConfigError: the device does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, but is {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, but is {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {name!r}, but torch sees no GPU here: use auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device is {name!r}, but there are {torch.cuda.device_count()} GPUs")
    return device


def _pick_precision(
    name: str, device: torch.device
) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    if name == "auto":
        bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return "bf16-mixed" if bf16 else "32-true"
    if name not in PRECISIONS:
        allowed = ", ".join(["auto", *PRECISIONS])
        raise ConfigError(f"precision must be one of {allowed}, but is {name!r}")
    if name == "16" and device.type == "cpu":
        raise ConfigError("precision 16 needs a GPU: use 32 or bf16 on the CPU")
    return PRECISIONS[name]


class _OnTensors(nn.Module):
    """A network between plain tensors: Fabric looks into what passes, not into frozen values."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, data: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        out = self.network(Padded(data, lengths))
        return out.data, out.lengths


class PreparedNetwork:
    """Calls a network as Fabric wrapped it; holds no weights of its own."""

    def __init__(self, module: _FabricModule) -> None:
        self.module = module

    def __call__(self, features: Padded) -> Padded:
        return Padded(*self.module(features.data, features.lengths))


class Engine:
    """The seam to Fabric.

    Only the network runs under the mixed precision; front end, normalisation and CTC stay in
    float32. Loaders are never wrapped: the sampler knows rank and world size.

    Args:
        device: auto, cpu, cuda or cuda:N.
        precision: auto (bf16 on GPUs that have it, else 32), 32, bf16 or 16.
        threads: CPU threads of torch; None leaves torch's choice.
    """

    def __init__(
        self, device: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        # takes three seconds to import, which recognition need not wait for
        from lightning_fabric import Fabric

        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads must be at least 1, but is {threads}")
            torch.set_num_threads(threads)
        chosen = pick_device(device)
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        devices: int | list[int] = local_ranks
        if ranks == 1 and chosen.type == "cuda":
            devices = [chosen.index or 0]
        self._fabric = Fabric(
            accelerator=chosen.type,
            devices=devices,
            num_nodes=ranks // local_ranks,
            strategy="ddp" if ranks > 1 else "auto",
            precision=_pick_precision(precision, chosen),
        )
        self._fabric.launch()

    @property
    def device(self) -> torch.device:
        return self._fabric.device

    @property
    def rank(self) -> int:
        return self._fabric.global_rank

    @property
    def world_size(self) -> int:
        return self._fabric.world_size

    @property
    def is_main(self) -> bool:
        return self._fabric.is_global_zero

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[PreparedNetwork, torch.optim.Optimizer]:
        """The network on its device under precision and ranks, and the optimiser with it.

        Args:
            network: maps Padded features to Padded log-probabilities.
        """
        module = PreparedNetwork(self._fabric.setup_module(_OnTensors(network)))
        wrapped = self._fabric.setup_optimizers(optimizer)
        assert isinstance(wrapped, torch.optim.Optimizer)
        return module, wrapped

    def backward(self, loss: Tensor, network: PreparedNetwork) -> None:
        self._fabric.backward(loss, model=network.module)

    def clip(
        self, network: PreparedNetwork, optimizer: torch.optim.Optimizer, max_norm: float | None
    ) -> Tensor:
        """Scale the gradients to at most ``max_norm``; returns their norm before that."""
        norm = self._fabric.clip_gradients(
            network.module,
            optimizer,
            max_norm=float("inf") if max_norm is None else max_norm,
            error_if_nonfinite=False,
        )
        assert norm is not None
        return norm

    def step(self, optimizer: torch.optim.Optimizer, norm: Tensor) -> bool:
        """Step the optimiser if the gradient norm is finite; says whether it did."""
        finite = bool(torch.isfinite(norm))
        # the gradient scaler of 16 skips such a step itself, and must see it to lower its scale
        if finite or self.precision_state():
            optimizer.step()
        return finite

    def sum(self, value: Tensor) -> Tensor:
        """``value`` added up over all ranks."""
        if self.world_size == 1:
            return value
        total = self._fabric.all_reduce(value, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def barrier(self) -> None:
        self._fabric.barrier()

    def precision_state(self) -> dict[str, Any]:
        """The state of the gradient scaler (empty without one): part of a checkpoint."""
        return dict(self._fabric.strategy.precision.state_dict())

    def load_precision_state(self, state: dict[str, Any]) -> None:
        self._fabric.strategy.precision.load_state_dict(state)
