"""Compiled loops of a gated recurrent unit over all frames: its states and their gradient.

K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014, with the reset
gate after the product, as in cuDNN and PyTorch:

    r = sigmoid(x_r + h_r)    z = sigmoid(x_z + h_z)    n = tanh(x_n + r h_n)
    h' = n + z (h - n)

PyTorch reads and writes a batch about ten times for this, and twenty for its gradient; here each
frame is read and written once. A product of a matrix and few vectors is limited by reading the
matrix, so four utterances share it, and the rest of a frame is computed while it is in the cache.
"""

# functions that Numba compiles have no annotations
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from functools import partial

import numba
import numpy as np

from deepspeech2.jit import compiled

_ONE = np.float32(1)
_TWO = np.float32(2)
_HALF = np.float32(0.5)
# exp(-87) is the smallest float32 that is not denormal, nearly
_FURTHEST = np.float32(87)
_LOG2_E = np.float32(1 / math.log(2))
# ln 2 in two parts, of which the first has few enough digits for exact products
_LN_2 = np.float32(0.693359375)
_LN_2_REST = np.float32(math.log(2) - 0.693359375)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))


@numba.njit(inline="always", error_model="numpy")
def _sigmoid(x):
    """1 / (1 + exp(-x)) in float32, in a form that vectorises.

    exp(y) is 2^k exp(f) with |f| <= ln 2 / 2, where Taylor's polynomial of degree 7 is exact to
    float32. NaN stays NaN.
    """
    y = -x
    if y > _FURTHEST:
        y = _FURTHEST
    if y < -_FURTHEST:
        y = -_FURTHEST
    k = np.floor(y * _LOG2_E + _HALF)
    f = (y - k * _LN_2) - k * _LN_2_REST
    series = _C7 * f + _C6
    series = series * f + _C5
    series = series * f + _C4
    series = series * f + _C3
    series = series * f + _C2
    series = (series * f + _ONE) * f + _ONE
    power = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
    return _ONE / (_ONE + series * power)


@partial(compiled, reordered=True)
def project(weight, bias, state, projected):
    """Write ``weight`` (M, N) times ``state`` (N,) plus ``bias`` (M,) to ``projected`` (M,).

    Four rows at a time share one reading of the state.
    """
    n_rows, width = weight.shape
    for j in range(0, n_rows - 3, 4):
        first, second, third, fourth = bias[j], bias[j + 1], bias[j + 2], bias[j + 3]
        for k in range(width):
            value = state[k]
            first += weight[j, k] * value
            second += weight[j + 1, k] * value
            third += weight[j + 2, k] * value
            fourth += weight[j + 3, k] * value
        projected[j], projected[j + 1] = first, second
        projected[j + 2], projected[j + 3] = third, fourth
    for j in range(n_rows // 4 * 4, n_rows):
        first = bias[j]
        for k in range(width):
            first += weight[j, k] * state[k]
        projected[j] = first


@partial(compiled, reordered=True)
def project_four(weight, bias, states, projected):
    """Do the same for ``states`` (4, N) and ``projected`` (4, M), reading the weights once."""
    n_rows, width = weight.shape
    for j in range(n_rows):
        first = second = third = fourth = bias[j]
        for k in range(width):
            value = weight[j, k]
            first += value * states[0, k]
            second += value * states[1, k]
            third += value * states[2, k]
            fourth += value * states[3, k]
        projected[0, j], projected[1, j] = first, second
        projected[2, j], projected[3, j] = third, fourth


@numba.njit(inline="always", error_model="numpy")
def advance(gate, projection, state):
    """Replace a frame's projections of the input (3 H,) by its gates and ``state`` by the next.

    Args:
        projection: of the state (3 H,).
    """
    size = len(state)
    for i in range(2 * size):
        gate[i] = _sigmoid(gate[i] + projection[i])
    for i in range(size):
        n = gate[2 * size + i] + gate[i] * projection[2 * size + i]
        gate[2 * size + i] = _TWO * _sigmoid(_TWO * n) - _ONE
    for i in range(size):
        n = gate[2 * size + i]
        state[i] = n + gate[size + i] * (state[i] - n)


@numba.njit(inline="always", error_model="numpy")
def retreat(gate, candidate, last, above, carried, gradients):
    """Write to ``gradients`` (4 H,) those of a frame's projections: r, z, n and h_n.

    Args:
        last: (H,) state before the frame.
        above: (H,) gradient of the state from the layer above.
        carried: (H,) the same from the next frame; replaced by what passes to the last state
            past the product.
    """
    size = len(carried)
    for i in range(size):
        r, z, n = gate[i], gate[size + i], gate[2 * size + i]
        state = carried[i] + above[i]
        d_n = state * (_ONE - z) * (_ONE - n * n)
        gradients[i] = d_n * candidate[i] * r * (_ONE - r)
        gradients[size + i] = state * (last[i] - n) * z * (_ONE - z)
        gradients[2 * size + i] = d_n
        gradients[3 * size + i] = d_n * r
        carried[i] = state * z


@numba.njit(inline="always", error_model="numpy")
def _two_longest(lengths):
    """Return the two largest lengths, the second 0 if there is only one."""
    longest, second = 0, 0
    for count in lengths:
        second = max(second, min(longest, count))
        longest = max(longest, count)
    return longest, second


@partial(compiled, fused=True)
def gru_forward(gates, weight, bias, states, candidates, memory, lengths, backwards):
    """Compute the states of all frames, four utterances at a time.

    Args:
        gates: (B, T, 3 H) projections of the input, in the order r, z, n; replaced by the gates.
        weight, bias: (3 H, H) and (3 H,) of the state.
        states: (B, T, H), output; 0 in the padding.
        candidates: (B, T, H) h_n for the gradient, output; (0, 0, 0) without a gradient.
        memory: (B, H) state before the first frame; replaced by that after the last one.
        lengths: (B,) int64 frames before the padding.
        backwards: whether to begin at each utterance's own end.
    """
    n_rows, _, size = states.shape
    with_candidates = len(candidates) > 0
    four = np.zeros((4, size), np.float32)
    projected = np.zeros((4, 3 * size), np.float32)
    for first in range(0, n_rows, 4):
        counts = lengths[first : first + 4]
        four[: len(counts)] = memory[first : first + 4]
        longest, second = _two_longest(counts)
        for place in range(longest):
            if place < second:
                project_four(weight, bias, four, projected)
            for row in range(len(counts)):
                if place >= counts[row]:
                    continue
                state, projection = four[row], projected[row]
                if place >= second:
                    project(weight, bias, state, projection)
                frame = counts[row] - 1 - place if backwards else place
                advance(gates[first + row, frame], projection, state)
                states[first + row, frame] = state
                if with_candidates:
                    candidates[first + row, frame] = projection[2 * size :]
        memory[first : first + 4] = four[: len(counts)]
        for row in range(len(counts)):
            states[first + row, counts[row] :] = np.float32(0)


@partial(compiled, fused=True)
def gru_backward(gates, candidates, states, above, inputs, resets, weight, lengths, backwards):
    """Compute the gradient of all frames, four utterances at a time.

    Args:
        gates, candidates, states, lengths, backwards: the arguments and results of
            :func:`gru_forward`, which began with a state of 0.
        above: (B, T, H) gradient of the states from the layer above.
        inputs: (B, T, 3 H) gradient of the input's projections, output; 0 in the padding.
        resets: (B, T, H) gradient of h_n, output; 0 in the padding.
        weight: (H, 3 H) of the state, transposed.
    """
    n_rows, _, size = states.shape
    nothing = np.zeros(size, np.float32)
    recurrent, gradients = np.zeros((4, 3 * size), np.float32), np.zeros(4 * size, np.float32)
    carried, passed = np.zeros((4, size), np.float32), np.zeros((4, size), np.float32)
    for first in range(0, n_rows, 4):
        counts = lengths[first : first + 4]
        recurrent[:], carried[:] = np.float32(0), np.float32(0)
        longest, second = _two_longest(counts)
        for place in range(longest - 1, -1, -1):
            for row in range(len(counts)):
                if place >= counts[row]:
                    continue
                frame = counts[row] - 1 - place if backwards else place
                place_before = frame + 1 if backwards else frame - 1
                last = states[first + row, place_before] if place else nothing
                gate, candidate = gates[first + row, frame], candidates[first + row, frame]
                given, reset = inputs[first + row, frame], resets[first + row, frame]
                back = recurrent[row]
                retreat(gate, candidate, last, above[first + row, frame], carried[row], gradients)
                given[:], reset[:] = gradients[: 3 * size], gradients[3 * size :]
                back[: 2 * size], back[2 * size :] = given[: 2 * size], reset
                if place >= second:
                    project(weight, nothing, back, passed[row])
            if place < second:
                project_four(weight, nothing, recurrent, passed)
            for row in range(len(counts)):
                if place < counts[row]:
                    for i in range(size):
                        carried[row, i] += passed[row, i]
        for row in range(len(counts)):
            inputs[first + row, counts[row] :] = np.float32(0)
            resets[first + row, counts[row] :] = np.float32(0)
