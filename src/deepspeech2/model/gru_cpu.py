"""A gated recurrent unit on the CPU: training in about half the time of ``nn.GRU``.

``nn.GRU`` records every small operation of every frame and sums the gradient of its weights
frame by frame. Here a pass over the frames is one compiled loop
(:mod:`deepspeech2.model.gru_kernels`) with its own gradient, and the weights' gradient is one
product over all frames of an utterance. The backward direction starts at each utterance's own
end, so that nothing is reversed in memory. With two threads or more the two directions run in
parallel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from deepspeech2.console import announce
from deepspeech2.jit import cache_folder
from deepspeech2.model.gru_kernels import gru_backward, gru_forward

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


def supports(layers: Sequence[nn.Module], data: Tensor) -> bool:
    """Whether :func:`run_directions` can replace ``layers``: GRUs in float32 on the CPU."""
    return (
        data.device.type == "cpu"
        and data.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and all(isinstance(layer, nn.GRU) for layer in layers)
        and not torch.onnx.is_in_onnx_export()  # which follows no compiled loop
    )


def run_directions(layers: Sequence[nn.RNNBase], data: Tensor, lengths: Tensor) -> list[Tensor]:
    """Run one layer for each direction: the first forwards, the second backwards.

    Args:
        layers: one or two, each of one layer, batch first.
        data: (B, T, I) float32 on the CPU.
        lengths: (B,) frames before the padding.

    Returns:
        States (B, T, H) of each direction, zero in the padding; equal to ``nn.GRU`` on each
        utterance alone, to float32's accuracy.
    """
    compile_kernels()
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
    gates = nn.functional.linear(data, of_input, input_bias)
    n_rows, n_frames, width = gates.shape
    size = width // 3
    states = gates.new_empty(n_rows, n_frames, size)
    candidates = torch.empty_like(states) if for_gradient else gates.new_empty(0, 0, 0)
    memory = gates.new_zeros(n_rows, size) if memory is None else memory
    arrays = (gates, of_state.contiguous(), state_bias, states, candidates, memory, lengths)
    gru_forward(*[each.detach().numpy() for each in arrays], backwards)
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
    n_rows, n_frames, size = states.shape
    inputs, resets = torch.empty_like(gates), torch.empty_like(candidates)
    transposed = of_state.t().contiguous()
    arrays = (gates, candidates, states, above, inputs, resets, transposed, lengths)
    gru_backward(*[each.detach().numpy() for each in arrays], backwards)
    # the gradient of the state's weights: each frame's gradient times the state before the frame
    now, last = slice(1, n_frames), slice(0, n_frames - 1)
    if backwards:
        now, last = last, now
    gradient = torch.zeros_like(of_state)
    for row in range(n_rows):
        gradient[: 2 * size].addmm_(inputs[row, now, : 2 * size].t(), states[row, last])
        gradient[2 * size :].addmm_(resets[row, now].t(), states[row, last])
    rows = inputs.flatten(0, 1)
    input_bias = rows.sum(0)
    state_bias = torch.cat((input_bias[: 2 * size], resets.sum((0, 1))))
    return inputs @ of_input, rows.t() @ data.flatten(0, 1), gradient, input_bias, state_bias


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
def compile_kernels() -> None:
    """Compile what is not in Numba's cache, and announce it, because it takes a while."""
    if not list(cache_folder().rglob("gru_kernels.gru_backward-*.nbc")):
        announce(_log, "compiling the recurrent layers for this machine, which is done once")
    gates, states = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 1), np.float32)
    weight, lengths = np.zeros((3, 1), np.float32), np.ones(1, np.int64)
    gru_forward(gates, weight, gates[0, 0], states, states, states[0], lengths, False)
    gru_backward(gates, states, states, states, gates, states, gates[0], lengths, False)
