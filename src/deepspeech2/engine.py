"""Device, precision and ranks: the only module that knows Lightning Fabric.

One process needs no configuration; several are launched by ``torchrun``.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepspeech2.devices import pick_device, pick_precision, use_threads
from deepspeech2.errors import ConfigError
from deepspeech2.ranks import HostGroup
from deepspeech2.types import Padded, Tapped

if TYPE_CHECKING:
    from lightning_fabric.wrappers import _FabricModule

_IN_HALVES = ("cuda", "bf16-mixed")
_BF16_SCALE = 2.0**10
"""Losses are multiplied by it, and gradients divided again, under bf16 on a GPU.

Whatever the precision of autocast, PyTorch passes recurrent layers to cuDNN in float16
(aten/src/ATen/cudnn/AutocastRNN.cpp), where the small gradients of a mean over many characters
would be rounded to zero. A power of two rounds nothing in the other layers.
"""


class _OnTensors(nn.Module):
    """A network on plain tensors: Fabric converts those, but not the tensors of a Padded."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, data: Tensor, lengths: Tensor) -> tuple[Any, ...]:
        out = self.network(Padded(data, lengths))
        if isinstance(out, Tapped):
            return out.data, out.lengths, out.taps, out.phones
        return out.data, out.lengths


class PreparedNetwork:
    """Calls a network that Fabric wrapped; it has no weights of its own."""

    def __init__(self, module: _FabricModule) -> None:
        self.module = module

    def __call__(self, features: Padded) -> Padded:
        out = self.module(features.data, features.lengths)
        return Padded(*out) if len(out) == 2 else Tapped(*out)


class Engine:
    """The seam to Fabric.

    Only the network runs under the mixed precision; front end, normalisation and CTC stay in
    float32. Loaders are never wrapped: the sampler knows rank and world size.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto (bf16 on GPUs that have it, else 32), 32, bf16 or 16; on a CPU
            not 16, and bf16 only if it has instructions for it.
        threads: CPU threads of torch; None: see :func:`use_threads`.

    Attributes:
        host: exchange of plain numbers and objects with the other ranks.
    """

    def __init__(
        self, device: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        # takes three seconds to import, which recognition need not wait for
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
        from lightning_fabric.strategies.ddp import DDPStrategy

        use_threads(threads)
        chosen = pick_device(device)
        several = torch.distributed.is_torchelastic_launched()
        if several and chosen.type == "mps":
            raise ConfigError("device mps takes one process: start without torchrun, or use cpu")
        ranks = int(os.environ["WORLD_SIZE"]) if several else 1
        local_ranks = int(os.environ["LOCAL_WORLD_SIZE"]) if several else 1
        devices: int | list[int] = local_ranks
        if ranks == 1 and chosen.type == "cuda":
            devices = [chosen.index or 0]
        self.precision = pick_precision(precision, chosen)
        self._scale = _BF16_SCALE if (chosen.type, self.precision) == _IN_HALVES else 1.0
        self._fabric = Fabric(
            accelerator=chosen.type,
            devices=devices,
            num_nodes=ranks // local_ranks,
            # the buffers are statistics of all ranks already, and evaluation may be uneven
            strategy=DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
            if ranks > 1
            else "auto",
            # explicit, because Fabric would guess from the variables of a cluster's scheduler
            plugins=[TorchElasticEnvironment() if several else LightningEnvironment()],
            precision=self.precision,
        )
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # no banner of each rank
        self._fabric.launch()
        self.host = HostGroup()

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

    @property
    def fuses(self) -> bool:
        """Whether a fused optimiser may be used.

        Fabric refuses one beside the scaler of 16. On Apple's GPU nobody has tried whether it
        leaves the weights where :meth:`step` asks for that.
        """
        return self.precision != "16-mixed" and self.device.type != "mps"

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[PreparedNetwork, torch.optim.Optimizer]:
        """Put the network on its device under precision and ranks, and wrap the optimiser.

        Args:
            network: maps Padded features to Padded log-probabilities.
        """
        module = PreparedNetwork(self._fabric.setup_module(_OnTensors(network)))
        wrapped = self._fabric.setup_optimizers(optimizer)
        assert isinstance(wrapped, torch.optim.Optimizer)
        return module, wrapped

    def accumulating(self, network: PreparedNetwork, more: bool) -> AbstractContextManager[None]:
        """Within, gradients stay on their rank if ``more`` are to be added to them."""
        context: AbstractContextManager[None] = self._fabric.no_backward_sync(
            network.module, enabled=more and self.world_size > 1
        )
        return context

    def backward(self, loss: Tensor, network: PreparedNetwork) -> None:
        """Add to the gradients, which are too large by a constant factor until :meth:`clip`."""
        self._fabric.backward(loss * self._scale, model=network.module)

    def clip(
        self, network: PreparedNetwork, optimizer: torch.optim.Optimizer, max_norm: float | None
    ) -> Tensor:
        """Scale the gradients to at most ``max_norm``, return their norm before that.

        Call it once in each step, whether or not there is a limit.
        """
        gradients = [p.grad for p in network.module.parameters() if p.grad is not None]
        if self._scale != 1.0 and gradients:
            torch._foreach_mul_(gradients, 1.0 / self._scale)
        norm = self._fabric.clip_gradients(
            network.module,
            optimizer,
            max_norm=float("inf") if max_norm is None else max_norm,
            error_if_nonfinite=False,
        )
        assert norm is not None
        return norm

    def step(self, optimizer: torch.optim.Optimizer, finite: Tensor) -> None:
        """Step the optimiser, or leave the weights where ``finite`` (a scalar bool) is false.

        A fused optimiser decides that on the device; any other has to wait for the answer. The
        gradient scaler of 16 skips such a step itself, and must see it to lower its scale.

        Args:
            optimizer: as :meth:`setup` returned it.
        """
        inner: Any = getattr(optimizer, "optimizer", optimizer)
        # products of matrices within an optimiser are as precise as the network's
        mixed = self.device.type == "cpu" and self.precision == "bf16-mixed"
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            if self.precision_state():
                optimizer.step()
            elif inner.defaults.get("fused"):
                inner.grad_scale, inner.found_inf = None, (~finite).float()
                optimizer.step()
                del inner.grad_scale, inner.found_inf
            else:
                if not bool(finite):
                    inner.zero_grad()  # without gradients nothing is changed
                optimizer.step()

    def sum(self, value: Tensor) -> Tensor:
        """Add up ``value`` over all ranks, on the device."""
        if self.world_size == 1:
            return value
        total = value.clone()
        torch.distributed.all_reduce(total)  # Fabric's would make the host wait at a barrier first
        return total

    def barrier(self) -> None:
        self._fabric.barrier()

    def close(self) -> None:
        """End the exchange with the other ranks; each must call this last.

        A process that ends while threads of gloo still run is sometimes aborted, and its
        launcher then reports that the whole run failed.
        """
        if self.world_size > 1:
            self.barrier()
            torch.distributed.destroy_process_group()

    def peak_memory(self) -> float:
        """Return the most memory so far in GiB: of the GPU, or of this process on the CPU.

        Of Apple's GPU it is what Metal has given, with what torch keeps for reuse.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        if self.device.type == "mps":
            return torch.mps.driver_allocated_memory() / 2**30
        try:
            import resource
        except ImportError:  # not on Windows
            return 0.0
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30

    def release_memory(self) -> None:
        """Give the memory that torch keeps for reuse back to the GPU."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def precision_state(self) -> dict[str, Any]:
        """Return the state of the gradient scaler for a checkpoint; empty without one."""
        return dict(self._fabric.strategy.precision.state_dict())

    def load_precision_state(self, state: dict[str, Any]) -> None:
        """Load a :meth:`precision_state`; that of another precision is empty."""
        if state:
            self._fabric.strategy.precision.load_state_dict(state)
