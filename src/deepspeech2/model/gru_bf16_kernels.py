"""The loops of :mod:`deepspeech2.model.gru_kernels` with their product in bfloat16.

Intel's matrix extension AMX multiplies up to 16 utterances by the weights at once, in bfloat16
with sums in float32 ("Intel 64 and IA-32 Architectures Software Developer's Manual", volume 1,
chapter 18). A tile is a register of up to 16 rows of 64 bytes. States, gates and what one frame
passes to the next remain float32; the gradients of the projections are written in bfloat16, which
is what they are multiplied in.
"""

# functions that Numba compiles have no annotations
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, unreachable"

from __future__ import annotations

from functools import partial

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepspeech2.jit import compiled
from deepspeech2.model.gru_kernels import advance, retreat

ROWS = 16
"""Most utterances in a tile."""
INPUTS = 32
"""Values of a state in a row of a tile."""
OUTPUTS = 64
"""Results that are summed at a time: a row of four tiles of float32."""

_BYTE, _LONG = ir.IntType(8), ir.IntType(64)
_SUMS = 4
_STATES = 4  # the tile after the four of sums; the other three have weights
_TILE = 16 * INPUTS  # weights in a tile


def _instruct(builder, name, *arguments):
    """Append an instruction of AMX; a plain number is that of a tile."""
    values = [_BYTE(each) if isinstance(each, int) else each for each in arguments]
    kind = ir.FunctionType(ir.VoidType(), [each.type for each in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


def _address(context, builder, kind, array, offset):
    """Return the address of an element of a contiguous array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), _BYTE.as_pointer())


@intrinsic
def _configure(typing_context, shapes):
    """Give the tiles the shapes in ``shapes`` (64,) uint8; they become 0."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature.args[0], arguments[0], _LONG(0))
        _instruct(builder, "ldtilecfg", address)
        return context.get_dummy_value()

    return types.void(shapes), generate


@intrinsic
def _release(typing_context):
    """Leave the tiles unused, so that the system need not save them."""

    def generate(context, builder, signature, arguments):
        _instruct(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _begin(typing_context, bias, start):
    """Set the sums to ``bias[start : start + OUTPUTS]``, the same in all rows."""

    def generate(context, builder, signature, arguments):
        for tile in range(_SUMS):
            offset = builder.add(arguments[1], _LONG(16 * tile))
            address = _address(context, builder, signature.args[0], arguments[0], offset)
            _instruct(builder, "tileloadd64", tile, address, _LONG(0))
        return context.get_dummy_value()

    return types.void(bias, types.int64), generate


@intrinsic
def _add(typing_context, states, start, row_bytes, weight, first):
    """Add to the sums the products of a tile of states and the four tiles of weights there."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        _instruct(builder, "tileloadd64", _STATES, address, arguments[2])
        for tile in range(_SUMS):
            offset = builder.add(arguments[4], _LONG(_TILE * tile))
            address = _address(context, builder, signature.args[3], arguments[3], offset)
            weights = _STATES + 1 + tile % 3
            _instruct(builder, "tileloadd64", weights, address, _LONG(64))
            _instruct(builder, "tdpbf16ps", tile, _STATES, weights)
        return context.get_dummy_value()

    return types.void(states, types.int64, types.int64, weight, types.int64), generate


@intrinsic
def _end(typing_context, projected, start, row_bytes):
    """Write the sums to ``projected[:, start : start + OUTPUTS]``."""

    def generate(context, builder, signature, arguments):
        for tile in range(_SUMS):
            offset = builder.add(arguments[1], _LONG(16 * tile))
            address = _address(context, builder, signature.args[0], arguments[0], offset)
            _instruct(builder, "tilestored64", tile, address, arguments[2])
        return context.get_dummy_value()

    return types.void(projected, types.int64, types.int64), generate


@numba.njit(inline="always", error_model="numpy")
def _shapes(n_rows):
    """Return what :func:`_configure` reads, for ``n_rows`` utterances."""
    shapes = np.zeros(64, np.uint8)
    shapes[0] = 1  # the only palette
    shapes[16:32:2] = 64  # bytes in a row of each of the eight tiles
    shapes[48:56] = 16  # rows
    shapes[48:53] = n_rows  # those of sums and states
    return shapes


@numba.njit(inline="always", error_model="numpy")
def _multiply(states, weight, bias, projected):
    """Write ``states`` (16, K) times ``weight`` plus ``bias`` (M,) to ``projected`` (16, M).

    Args:
        states: bfloat16 as uint16; K is a multiple of ``INPUTS``.
        weight: (M / OUTPUTS, K / INPUTS, 4, 16, INPUTS), see ``gru_cpu``.
    """
    n_blocks, n_steps = weight.shape[:2]
    for block in range(n_blocks):
        _begin(bias, block * OUTPUTS)
        for step in range(n_steps):
            first = (block * n_steps + step) * _SUMS * _TILE
            _add(states, step * INPUTS, 2 * states.shape[1], weight, first)
        _end(projected, block * OUTPUTS, 4 * projected.shape[1])


@numba.njit(inline="always", error_model="numpy")
def _rounded(x):
    """A float32 as bfloat16 in uint16, the nearest, ties to even; NaN stays NaN."""
    bits = np.float32(x).view(np.uint32)
    return np.uint16(
        np.uint32(bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
        >> np.uint32(16)
    )


@partial(compiled, fused=True)
def gru_forward_bf16(gates, weight, bias, states, candidates, memory, lengths, backwards):
    """Compute the states of all frames, 16 utterances at a time.

    Args: as of :func:`deepspeech2.model.gru_kernels.gru_forward`, but
        weight, bias: packed for ``_multiply``.
    """
    n_rows, _, size = states.shape
    with_candidates = len(candidates) > 0
    rounded = np.zeros((ROWS, INPUTS * weight.shape[1]), np.uint16)
    projected = np.zeros((ROWS, len(bias)), np.float32)
    for first in range(0, n_rows, ROWS):
        counts = lengths[first : first + ROWS]
        for row in range(len(counts)):
            for i in range(size):
                rounded[row, i] = _rounded(memory[first + row, i])
            states[first + row, counts[row] :] = np.float32(0)
        _configure(_shapes(len(counts)))
        for place in range(counts.max()):
            _multiply(rounded, weight, bias, projected)
            for row in range(len(counts)):
                if place >= counts[row]:
                    continue
                frame = counts[row] - 1 - place if backwards else place
                state, projection = memory[first + row], projected[row]
                advance(gates[first + row, frame], projection, state)
                for i in range(size):
                    states[first + row, frame, i] = state[i]
                    rounded[row, i] = _rounded(state[i])
                if with_candidates:
                    candidates[first + row, frame] = projection[2 * size : 3 * size]
        _release()


@partial(compiled, fused=True)
def gru_backward_bf16(gates, candidates, states, above, inputs, resets, weight, lengths, backwards):
    """Compute the gradient of all frames, 16 utterances at a time.

    Args: as of :func:`deepspeech2.model.gru_kernels.gru_backward`, but
        inputs, resets: bfloat16 as uint16.
        weight: of the state, transposed and packed for ``_multiply``.
    """
    n_rows, _, size = states.shape
    nothing = np.zeros(OUTPUTS * weight.shape[0], np.float32)
    recurrent = np.zeros((ROWS, INPUTS * weight.shape[1]), np.uint16)
    passed = np.zeros((ROWS, len(nothing)), np.float32)
    carried, gradients = np.zeros((ROWS, size), np.float32), np.zeros(4 * size, np.float32)
    for first in range(0, n_rows, ROWS):
        counts = lengths[first : first + ROWS]
        for row in range(len(counts)):
            inputs[first + row, counts[row] :] = np.uint16(0)
            resets[first + row, counts[row] :] = np.uint16(0)
        recurrent[:], carried[:] = np.uint16(0), np.float32(0)
        _configure(_shapes(len(counts)))
        for place in range(counts.max() - 1, -1, -1):
            for row in range(len(counts)):
                if place >= counts[row]:
                    continue
                frame = counts[row] - 1 - place if backwards else place
                place_before = frame + 1 if backwards else frame - 1
                last = states[first + row, place_before] if place else nothing
                gate, candidate = gates[first + row, frame], candidates[first + row, frame]
                retreat(gate, candidate, last, above[first + row, frame], carried[row], gradients)
                given, reset = inputs[first + row, frame], resets[first + row, frame]
                for i in range(3 * size):
                    given[i] = _rounded(gradients[i])
                for i in range(size):
                    reset[i] = _rounded(gradients[3 * size + i])
                recurrent[row, : 2 * size] = given[: 2 * size]
                recurrent[row, 2 * size : 3 * size] = reset
            _multiply(recurrent, weight, nothing, passed)
            for row in range(len(counts)):
                if place < counts[row]:
                    for i in range(size):
                        carried[row, i] += passed[row, i]
        _release()
