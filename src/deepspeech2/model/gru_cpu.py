"""A gated recurrent unit on the CPU: training in about half the time of ``nn.GRU``.

``nn.GRU`` records every small operation of every frame and sums the gradient of its weights
frame by frame. Here a pass over the frames is one compiled loop
(:mod:`deepspeech2.model.gru_kernels`) with a gradient of its own, and the weights' gradient is one
product over all frames of an utterance. The backward direction starts at each utterance's own end,
so that nothing is turned around in memory. With two threads or more the two directions run side by
side.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepspeech2.console import announce
from deepspeech2.jit import cache_folder
from deepspeech2.model.gru_kernels import advance, retreat

_log = logging.getLogger(__name__)


def suits(layers: Sequence[nn.Module], data: Tensor) -> bool:
    """Whether ``sweep`` can take the place of ``layers``: float32, on the CPU."""
    return (
        data.device.type == "cpu"
        and data.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and all(isinstance(layer, nn.GRU) for layer in layers)
    )


def sweep(layers: Sequence[nn.RNNBase], data: Tensor, lengths: Tensor) -> list[Tensor]:
    """States of one layer a direction: the first runs forwards, the second backwards.

    Args:
        layers: one or two, of one layer each, batch first.
        data: (B, T, I) float32 on the CPU.
        lengths: (B,) frames before the padding.

    Returns:
        (B, T, H) for each direction, zero in the padding; equal to ``nn.GRU`` on each utterance
        alone to float32's accuracy.
    """
    prepare()
    if not torch.is_grad_enabled():
        passes = [
            (partial(carried, backwards=backwards), (layer, data, None, lengths))
            for layer, backwards in zip(layers, (False, True), strict=False)
        ]
        return [states for (states,) in side_by_side(passes)]
    weights = [each for layer in layers for each in layer.all_weights[0]]
    return list(_Sweep.apply(lengths, data, *weights))  # type: ignore[no-untyped-call]


def carried(
    layer: nn.RNNBase,
    data: Tensor,
    memory: Tensor | None,
    lengths: Tensor,
    *,
    backwards: bool = False,
) -> tuple[Tensor]:
    """States (B, T, H) of one direction without what a gradient needs.

    Args:
        memory: (B, H) state before the first frame, which becomes that after the last; None: 0.
    """
    of_input, of_state, input_bias, state_bias = layer.all_weights[0]
    given = (data, of_input, of_state, input_bias, state_bias, lengths, backwards, memory)
    return _forward(*given, kept=False)[:1]


class _Sweep(torch.autograd.Function):
    """Input (B, T, I) and the weights of ``nn.GRU`` in, states out.

    Its gradient has none: a loss that contains gradients, as a penalty on them, raises.
    """

    @staticmethod
    def forward(ctx: Any, lengths: Tensor, data: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        passes = [
            (_forward, (data, *weights[4 * k : 4 * k + 4], lengths, k == 1))
            for k in range(len(weights) // 4)
        ]
        results = side_by_side(passes)
        ctx.save_for_backward(lengths, data, *weights, *(each for one in results for each in one))
        return tuple(states for states, _, _ in results)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        lengths, data, *rest = ctx.saved_tensors
        count = len(above)
        weights, saved = rest[: 4 * count], rest[4 * count :]
        passes = []
        for k in range(count):
            of_input, of_state = weights[4 * k : 4 * k + 2]
            given = (data, of_input, of_state, *saved[3 * k : 3 * k + 3], lengths, k == 1)
            passes.append((_backward, (above[k].contiguous(), *given)))
        results = side_by_side(passes)
        of_data = results[0][0] if count == 1 else results[0][0] + results[1][0]
        gradients = (of_data, *(each for one in results for each in one[1:]))
        if torch.is_grad_enabled():  # for a gradient of these, which would lack this layer's part
            gradients = _Once.apply(*(each.requires_grad_() for each in gradients))  # type: ignore[no-untyped-call]
        return None, *gradients


class _Once(torch.autograd.Function):
    """Passes gradients on, and raises where they are differentiated.

    ``once_differentiable`` does not where the gradient from above is a constant.
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
    of_input: Tensor,
    of_state: Tensor,
    input_bias: Tensor,
    state_bias: Tensor,
    lengths: Tensor,
    backwards: bool,
    memory: Tensor | None = None,
    *,
    kept: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """States (B, T, H), gates (B, T, 3 H) and the candidates' recurrent parts (B, T, H).

    Args:
        memory: (B, H) state before the first frame, which becomes that after the last; None: 0.
        kept: whether candidates are written; otherwise there are none.
    """
    gates = nn.functional.linear(data, of_input, input_bias)
    n_rows, n_frames, width = gates.shape
    size = width // 3
    states = gates.new_empty(n_rows, n_frames, size)
    candidates = torch.empty_like(states) if kept else gates.new_empty(0, 0, 0)
    memory = gates.new_zeros(n_rows, size) if memory is None else memory
    given = (gates, of_state.contiguous(), state_bias, states, candidates, memory, lengths)
    advance(*[each.detach().numpy() for each in given], backwards)
    return states, gates, candidates


@torch.no_grad()
def _backward(
    above: Tensor,
    data: Tensor,
    of_input: Tensor,
    of_state: Tensor,
    states: Tensor,
    gates: Tensor,
    candidates: Tensor,
    lengths: Tensor,
    backwards: bool,
) -> tuple[Tensor, ...]:
    """Gradients of the input (B, T, I) and of the four weights."""
    n_rows, n_frames, size = states.shape
    inputs, resets = torch.empty_like(gates), torch.empty_like(candidates)
    across = of_state.t().contiguous()
    given = (gates, candidates, states, above, inputs, resets, across, lengths)
    retreat(*[each.detach().numpy() for each in given], backwards)
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


def side_by_side(
    passes: Sequence[tuple[Callable[..., tuple[Tensor, ...]], tuple[Any, ...]]],
) -> list[tuple[Tensor, ...]]:
    """The results of all passes; with threads to spare each has one of its own."""
    threads = torch.get_num_threads()
    if threads == 1 or len(passes) == 1:
        return [function(*arguments) for function, arguments in passes]
    # MKL's threads are set for the whole process: within a direction there is one
    torch.set_num_threads(1)
    try:
        pool = _pool()
        waiting = [pool.submit(function, *arguments) for function, arguments in passes]
        return [each.result() for each in waiting]
    finally:
        torch.set_num_threads(threads)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, "direction", initializer=torch.set_num_threads, initargs=(1,))


@cache
def prepare() -> None:
    """Compile what is not in Numba's cache, and say so, for it takes a while."""
    if not list(cache_folder().rglob("gru.retreat-*.nbc")):
        announce(_log, "compiling the recurrent layers for this machine, which is done once")
    gates, states = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 1), np.float32)
    weight, lengths = np.zeros((3, 1), np.float32), np.ones(1, np.int64)
    advance(gates, weight, gates[0, 0], states, states, states[0], lengths, False)
    retreat(gates, states, states, states, gates, states, gates[0], lengths, False)
