"""A gated recurrent unit on the CPU: training in about half the time of ``nn.GRU``.

``nn.GRU`` records every small operation of every frame and sums the gradient of its weights
frame by frame. Here a pass over the frames is one compiled loop
(:mod:`deepspeech2.model.gru_kernels`) with its own gradient, and the weights' gradient is one
product over all frames of an utterance. The backward direction starts at each utterance's own
end, so that nothing is reversed in memory. With two threads or more the two directions run in
parallel.

Under autocast the products are in bfloat16 with sums in float32: those over all frames wherever
the processor can, that of the recurrence with AMX (:mod:`deepspeech2.model.gru_bf16_kernels`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
import torch
from numba.core.registry import cpu_target
from torch import Tensor, nn

from deepspeech2.console import announce
from deepspeech2.jit import cache_folder
from deepspeech2.model.gru_bf16_kernels import (
    INPUTS,
    OUTPUTS,
    gru_backward_bf16,
    gru_forward_bf16,
)
from deepspeech2.model.gru_kernels import gru_backward, gru_forward

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


def supports(layers: Sequence[nn.Module], data: Tensor) -> bool:
    """Whether :func:`run_directions` can replace ``layers``: GRUs on the CPU, but not float64."""
    return (
        data.device.type == "cpu"
        and data.dtype == torch.float32
        and _products() in (torch.float32, torch.bfloat16)
        and all(isinstance(layer, nn.GRU) for layer in layers)
        and not torch.onnx.is_in_onnx_export()  # which follows no compiled loop
    )


def _products() -> torch.dtype:
    """Return the type in which autocast multiplies on the CPU."""
    enabled = torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if enabled else torch.float32


@cache
def has_amx() -> bool:
    """Whether Numba compiles for a processor with AMX, and the system lets this process use it."""
    features: str = cpu_target.target_context.codegen().magic_tuple()[2]
    return "+amx-bf16" in features.split(",") and torch.cpu._init_amx()


def run_directions(layers: Sequence[nn.RNNBase], data: Tensor, lengths: Tensor) -> list[Tensor]:
    """Run one layer for each direction: the first forwards, the second backwards.

    Args:
        layers: one or two, each of one layer, batch first.
        data: (B, T, I) float32 on the CPU.
        lengths: (B,) frames before the padding.

    Returns:
        States (B, T, H) of each direction, zero in the padding; equal to ``nn.GRU`` on each
        utterance alone, to the accuracy of float32, or of bfloat16 under autocast.
    """
    data = data.to(_products())
    compile_kernels(amx=data.dtype == torch.bfloat16 and has_amx())
    if torch.is_grad_enabled():
        weights = [each for layer in layers for each in layer.all_weights[0]]
        return list(_Gru.apply(lengths, data, *weights))  # type: ignore[no-untyped-call]
    return in_parallel(
        [
            partial(run_direction, layer, data, lengths, backwards=index == 1)
            for index, layer in enumerate(layers)
        ]
    )


def run_direction(
    layer: nn.RNNBase,
    data: Tensor,
    lengths: Tensor,
    memory: Tensor | None = None,
    *,
    backwards: bool = False,
) -> Tensor:
    """Return the states (B, T, H) of one direction, without a gradient.

    Args:
        memory: (B, H) state before the first frame, replaced by that after the last; None: 0.
    """
    compile_kernels()
    weights = layer.all_weights[0]
    return _forward(data, weights, lengths, backwards, memory, for_gradient=False)[0]


class _Gru(torch.autograd.Function):
    """Maps an input (B, T, I) and the weights of ``nn.GRU`` to states.

    Its gradient is not differentiable: a loss that contains gradients raises.
    """

    @staticmethod
    def forward(ctx: Any, lengths: Tensor, data: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        results = in_parallel(
            [
                partial(_forward, data, weights[4 * k : 4 * k + 4], lengths, k == 1)
                for k in range(len(weights) // 4)
            ]
        )
        ctx.save_for_backward(lengths, data, *weights, *(each for one in results for each in one))
        return tuple(states for states, _, _ in results)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        lengths, data, *rest = ctx.saved_tensors
        count = len(above)
        weights, saved = rest[: 4 * count], rest[4 * count :]
        passes = []
        for k in range(count):
            part = weights[4 * k : 4 * k + 4], saved[3 * k : 3 * k + 3]
            passes.append(partial(_backward, above[k].contiguous(), data, *part, lengths, k == 1))
        results = in_parallel(passes)
        of_data = results[0][0] if count == 1 else results[0][0] + results[1][0]
        gradients = (of_data, *(each for one in results for each in one[1:]))
        if torch.is_grad_enabled():  # second derivatives would lack this layer's part
            gradients = _OnceDifferentiable.apply(*(each.requires_grad_() for each in gradients))  # type: ignore[no-untyped-call]
        return None, *gradients


class _OnceDifferentiable(torch.autograd.Function):
    """Passes gradients on, and raises if they are differentiated.

    ``once_differentiable`` does not if the gradient from above is a constant.
    """

    @staticmethod
    def forward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(each.view_as(each) for each in gradients)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "the CPU's recurrent layer is differentiable once: compute second derivatives in"
            " float64, which takes nn.GRU"
        )


@torch.no_grad()
def _forward(
    data: Tensor,
    weights: Sequence[Tensor],
    lengths: Tensor,
    backwards: bool,
    memory: Tensor | None = None,
    *,
    for_gradient: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return states (B, T, H), gates (B, T, 3 H) and recurrent parts of candidates (B, T, H).

    Args:
        weights: those of ``nn.GRU``: of the input, of the state, and their biases.
        memory: (B, H) state before the first frame, replaced by that after the last; None: 0.
        for_gradient: whether the candidates are computed; otherwise they are empty.
    """
    of_input, of_state, input_bias, state_bias = weights
    half = data.dtype == torch.bfloat16
    gates = nn.functional.linear(data, of_input.to(data.dtype), input_bias.to(data.dtype)).float()
    n_rows, n_frames, width = gates.shape
    size = width // 3
    states = gates.new_empty(n_rows, n_frames, size)
    candidates = torch.empty_like(states) if for_gradient else gates.new_empty(0, 0, 0)
    memory = gates.new_zeros(n_rows, size) if memory is None else memory
    if half and has_amx():
        bias = nn.functional.pad(state_bias, (0, -width % OUTPUTS))
        arrays = (gates, _packed(of_state), bias, states, candidates, memory, lengths)
        gru_forward_bf16(*_arrays(arrays), backwards)
    else:
        arrays = (gates, of_state.contiguous(), state_bias, states, candidates, memory, lengths)
        gru_forward(*_arrays(arrays), backwards)
    return states, gates, candidates


@torch.no_grad()
def _backward(
    above: Tensor,
    data: Tensor,
    weights: Sequence[Tensor],
    saved: Sequence[Tensor],
    lengths: Tensor,
    backwards: bool,
) -> tuple[Tensor, ...]:
    """Return the gradients of the input (B, T, I) and of the four weights.

    Args:
        above: (B, T, H) gradient of the states.
        saved: the results of :func:`_forward`.
    """
    of_input, of_state = weights[:2]
    states, gates, candidates = saved
    size = states.shape[2]
    inputs = torch.empty_like(gates, dtype=data.dtype)
    resets = torch.empty_like(candidates, dtype=data.dtype)
    transposed = of_state.t().contiguous()
    if data.dtype == torch.bfloat16 and has_amx():
        given = (gates, candidates, states, above, inputs, resets, _packed(transposed), lengths)
        gru_backward_bf16(*_arrays(given), backwards)
    else:
        outputs = torch.empty_like(gates), torch.empty_like(candidates)
        given = (gates, candidates, states, above, *outputs, transposed, lengths)
        gru_backward(*_arrays(given), backwards)
        inputs, resets = (each.to(data.dtype) for each in outputs)
    # the gradient of the state's weights: each frame's gradient times the state before the frame
    before = torch.zeros_like(states, dtype=data.dtype)
    if backwards:
        before[:, :-1] = states[:, 1:]
    else:
        before[:, 1:] = states[:, :-1]
    before = before.flatten(0, 1)
    rows, reset_rows = inputs.flatten(0, 1), resets.flatten(0, 1)
    gradient = torch.cat((rows[:, : 2 * size].t() @ before, reset_rows.t() @ before))
    input_bias = rows.sum(0, dtype=torch.float32)
    state_bias = torch.cat((input_bias[: 2 * size], reset_rows.sum(0, dtype=torch.float32)))
    of_rows = rows.t() @ data.flatten(0, 1)
    return (
        inputs @ of_input.to(data.dtype),
        of_rows.float(),
        gradient.float(),
        input_bias,
        state_bias,
    )


def _packed(weight: Tensor) -> Tensor:
    """Return a weight (M, K) in bfloat16 as tiles of AMX, with zeros beyond its ends.

    (M / OUTPUTS, K / INPUTS, 4, 16, INPUTS): in a tile, row k has the weights of 16 outputs for
    the inputs 2 k and 2 k + 1.
    """
    n_outputs, n_inputs = weight.shape
    ends = (0, -n_inputs % INPUTS, 0, -n_outputs % OUTPUTS)
    padded = nn.functional.pad(weight.bfloat16(), ends)
    parts = padded.view(-1, OUTPUTS // 16, 16, padded.shape[1] // INPUTS, INPUTS // 2, 2)
    return parts.permute(0, 3, 1, 4, 2, 5).flatten(4).contiguous()


def _arrays(tensors: Sequence[Tensor]) -> list[np.ndarray[Any, Any]]:
    """Return tensors as arrays on the same memory, those of bfloat16 as uint16."""
    half = torch.bfloat16
    plain = (each.detach() for each in tensors)
    return [(x.view(torch.uint16) if x.dtype == half else x).numpy() for x in plain]


def in_parallel(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the results of all tasks, each run in its own thread if torch may use several."""
    threads = torch.get_num_threads()
    if threads == 1 or len(tasks) == 1:
        return [task() for task in tasks]
    # MKL's number of threads is that of the whole process: one within each direction
    torch.set_num_threads(1)
    try:
        waiting = [_pool().submit(task) for task in tasks]
        return [each.result() for each in waiting]
    finally:
        torch.set_num_threads(threads)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, "direction", initializer=torch.set_num_threads, initargs=(1,))


@cache
def compile_kernels(*, amx: bool = False) -> None:
    """Compile what is not in Numba's cache, and announce it, because it takes a while."""
    name = "bf16_kernels.gru_backward_bf16" if amx else "kernels.gru_backward"
    if not list(cache_folder().rglob(f"gru_{name}-*.nbc")):
        announce(_log, "compiling the recurrent layers for this machine, which is done once")
    data = torch.zeros(1, 1, 1, dtype=torch.bfloat16 if amx else torch.float32)
    weights = torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(3), torch.zeros(3)
    lengths = torch.ones(1, dtype=torch.int64)
    saved = _forward(data, weights, lengths, False)
    _backward(saved[0], data, weights, saved, lengths, False)
