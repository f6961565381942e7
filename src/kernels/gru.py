"""What a gated recurrent unit does in one frame apart from its matrix product.

K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014, with the reset
gate after the product, as cuDNN and PyTorch have it:

    r = sigmoid(x_r + h_r)    z = sigmoid(x_z + h_z)    n = tanh(x_n + r h_n)
    h' = n + z (h - n)

PyTorch goes over a batch some ten times for this, and twenty for its gradient; here each frame
is read and written once. Rows of a batch that have ended get a state of 0 and no gradient.
"""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from functools import partial

import numba
import numpy as np

from src.kernels import compiled

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
    float32. A value that is not a number stays one.
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


@partial(compiled, fused=True)
def advance(gates, recurrent, states, candidates, lengths, frame, earlier):
    """One frame forward.

    Args:
        gates: (B, T, 3 H) projections of the input, in the order r, z, n; in ``frame`` they
            become the gates.
        recurrent: (B, 3 H) projections of the state before.
        states: (B, T, H), written in ``frame``.
        candidates: (B, T, H) h_n, written in ``frame``.
        lengths: (B,) int64 frames before the padding.
        earlier: frame of the state before; -1 if there is none, which is a state of 0.
    """
    size = states.shape[2]
    nothing = np.zeros(size, np.float32)
    for row in range(len(lengths)):
        state = states[row, frame]
        if frame >= lengths[row]:
            state[:] = np.float32(0)
            continue
        gate, projected, candidate = gates[row, frame], recurrent[row], candidates[row, frame]
        last = states[row, earlier] if earlier >= 0 else nothing
        for i in range(2 * size):
            gate[i] = _sigmoid(gate[i] + projected[i])
        for i in range(size):
            candidate[i] = projected[2 * size + i]
            n = _TWO * _sigmoid(_TWO * (gate[2 * size + i] + gate[i] * projected[2 * size + i]))
            gate[2 * size + i] = n - _ONE
        for i in range(size):
            n = gate[2 * size + i]
            state[i] = n + gate[size + i] * (last[i] - n)


@partial(compiled, fused=True)
def retreat(
    gates, candidates, states, above, carried, inputs, resets, recurrent, lengths, frame, earlier
):
    """One frame of the gradient.

    Args:
        gates, candidates, states, lengths, earlier: as :func:`advance` had and left them.
        above: (B, T, H) gradient of the states from the layer above.
        carried: (B, H) gradient of the frame's state from later frames; becomes that part of
            the gradient of the state before which does not pass through the matrix product.
        inputs: (B, T, 3 H) gradient of the input's projections, written in ``frame``.
        resets: (B, T, H) gradient of h_n, written in ``frame``.
        recurrent: (B, 3 H) gradient of the projections of the state before, written.
    """
    size = states.shape[2]
    nothing = np.zeros(size, np.float32)
    for row in range(len(lengths)):
        given, passed, carry = inputs[row, frame], recurrent[row], carried[row]
        reset = resets[row, frame]
        if frame >= lengths[row]:
            given[:] = np.float32(0)
            passed[:] = np.float32(0)
            carry[:] = np.float32(0)
            reset[:] = np.float32(0)
            continue
        gate, candidate, upper = gates[row, frame], candidates[row, frame], above[row, frame]
        last = states[row, earlier] if earlier >= 0 else nothing
        for i in range(size):
            r, z, n = gate[i], gate[size + i], gate[2 * size + i]
            state = carry[i] + upper[i]
            d_n = state * (_ONE - z) * (_ONE - n * n)
            d_r = d_n * candidate[i] * r * (_ONE - r)
            d_z = state * (last[i] - n) * z * (_ONE - z)
            given[i] = d_r
            given[size + i] = d_z
            given[2 * size + i] = d_n
            passed[i] = d_r
            passed[size + i] = d_z
            passed[2 * size + i] = d_n * r
            reset[i] = d_n * r
            carry[i] = state * z
