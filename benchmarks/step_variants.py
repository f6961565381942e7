"""Other ways to do what a training step does, each timed in turn with the product's way.

Nothing here is used by the product: this is where a user with a GPU finds out whether it should
be. Called by ``python -m benchmarks.train_step --variants``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.learners import Ours, interleaved
from benchmarks.plain_deepspeech2 import bidirectional_gru, run_packed
from deepspeech2.model.layers import RecurrentLayer
from deepspeech2.trainer import Learner
from deepspeech2.types import Batch, Padded

RECURRENT = ("aten::_cudnn_rnn", "aten::_cudnn_rnn_backward", "aten::_thnn_fused_gru_cell")
CONVOLUTION = ("aten::cudnn_convolution", "aten::convolution_backward")


class PackedRecurrentLayer(nn.Module):
    """A :class:`RecurrentLayer` whose backward direction runs over packed sequences."""

    def __init__(self, like: RecurrentLayer) -> None:
        super().__init__()
        self.norm = like.norm
        self.gru = bidirectional_gru(like)
        self.dropout = like.dropout

    def forward(self, x: Padded, mask: Tensor, reverse: Tensor, tap: object) -> Padded:
        """As the one that it stands for; asks the device for the lengths."""
        data = self.norm(x.data, mask, channel_dim=2)
        out = run_packed(self.gru, data, x.lengths.cpu())
        return Padded(self.dropout(out) * mask.to(out.dtype), x.lengths)


def channels_last(learner: Learner) -> None:
    """Convolutions with the channels in the innermost axis."""
    # to() has no overload for a memory format alone that mypy would see in a submodule
    learner.pipeline.network.convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def unfused(learner: Learner) -> None:
    """An optimiser of many small kernels, which the step has to wait for."""
    learner.optimizer.defaults["fused"] = False
    for group in learner.optimizer.param_groups:
        group["fused"] = False


def compiled(learner: Learner) -> None:
    """Features by ``torch.compile``, with any number of samples."""
    learner.pipeline.front_end.features.compile(dynamic=True)


def packed(learner: Learner) -> None:
    """Packed bidirectional GRUs instead of a gather before and after the backward direction.

    The optimiser gets the new weights in place of the old.
    """
    network = learner.pipeline.network
    device = learner.engine.device
    for index, layer in enumerate(network.layers):
        assert isinstance(layer, RecurrentLayer)
        network.layers[index] = PackedRecurrentLayer(layer).to(device)
    learner.optimizer.param_groups[0]["params"] = list(network.parameters())


def table(
    learner: Callable[[], Learner], batches: Sequence[Batch], audio: float, repeats: int
) -> dict[str, float]:
    """Median speed of each variant over that of the product; above 1 the variant is faster.

    Args:
        learner: makes a new one.
        audio: seconds in ``batches``.
    """
    changes: dict[str, Callable[[Learner], None]] = {
        "channels-last convolutions": channels_last,
        "optimiser not fused": unfused,
        "compiled features": compiled,
        "packed GRU": packed,
    }
    found = {}
    for name, change in changes.items():
        changed = learner()
        change(changed)
        found[name] = _compare(learner(), Ours(changed, batches), batches, audio, repeats)
    unpinned = Ours(learner(), batches, pinned=False)
    found["copies from pageable memory"] = _compare(learner(), unpinned, batches, audio, repeats)
    for name, ratio in found.items():
        print(f"| {name} | {ratio:.3f} |")
    return found


def _compare(
    product: Learner, variant: Ours, batches: Sequence[Batch], audio: float, repeats: int
) -> float:
    contenders: dict[str, Callable[[], None]] = {
        "product": Ours(product, batches),
        "variant": variant,
    }
    speeds = interleaved(contenders, audio, repeats, product.engine.device)
    ratio = statistics.median(speeds["variant"]) / statistics.median(speeds["product"])
    return round(ratio, 3)


def kernel_share(ours: Ours) -> dict[str, object]:
    """Share of the GPU's busy time that recurrent and convolution kernels have."""
    ours()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        ours()
        torch.cuda.synchronize(ours.learner.engine.device)
    averages: Any = profiler.key_averages()
    # self times of operators count each kernel once, under the operator that launched it
    total = sum(each.self_device_time_total for each in averages if each.key.startswith("aten::"))
    spent = {
        name: sum(each.device_time_total for each in averages if each.key in keys)
        for name, keys in (("recurrent", RECURRENT), ("convolution", CONVOLUTION))
    }
    return {f"{name}_share": round(time / total, 3) for name, time in spent.items()}
