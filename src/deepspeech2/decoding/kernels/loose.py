"""The most probable path through a text of which words may be missing from the audio.

The memory of the search grows with the square root of the number of frames: scores are stored every
so many frames, and the steps between two of these are found again from the last backwards
(J. Grice, R. Hughey, D. Speck, Reduced space sequence alignment, CABIOS 13(1), 1997).
"""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from deepspeech2.jit import compiled

GAP = -1
"""The token of a state between two words."""
_STAY, _NEXT, _JUMP, _LEFT_OUT = 0, 1, 2, 3


@compiled
def best_states(frames, gaps, tokens, jumps, skips, low, high, spacing):
    """The state of each frame on the best path from the first state to the last.

    States are those of a word, label, blank, label, ..., label, with a gap before, between and
    behind the words. In the frame in which a gap is entered, the words that follow may be left
    out, at a price, so that a later gap is entered.

    Args:
        frames: (T, V) scores of the tokens, T at least 1.
        gaps: (T,) scores of a gap.
        tokens: (S,) of the states; ``GAP`` for a gap. The first and the last are gaps.
        jumps: (S,) whether a state may follow the one two before it.
        skips: (S,) for gaps but the first, the score of leaving out the word before it.
        low, high: (T,) the first state that may be in a frame, and the one behind the last; both
            ascend, the first is a gap, the last before ``high`` too, and before the last ``high``
            the last state.
        spacing: frames between two stored columns of scores.

    Returns:
        (T,) int32 states, ascending; the score of the path.
    """
    n_frames, n_states = len(frames), len(tokens)
    before_gap = np.zeros(n_states, dtype=np.int32)  # the previous gap
    last = 0
    for state in range(n_states):
        before_gap[state] = last
        if tokens[state] == GAP:
            last = state
    n_stored = (n_frames + spacing - 1) // spacing
    stored = np.empty((n_stored, n_states), dtype=np.float32)
    steps = np.empty((spacing, n_states), dtype=np.uint8)
    score = np.full(n_states, -np.inf, dtype=np.float32)
    score[0] = 0.0
    for index in range(n_frames):
        if index % spacing == 0:
            stored[index // spacing] = score
        first, end = low[index - 1] if index else 0, high[index]
        gap = gaps[index]
        _advance(score, frames[index], gap, tokens, jumps, skips, before_gap, first, end, steps[0])
        score[first : low[index]] = -np.inf
    # the last word may end with the last frame
    state = n_states - 1
    if n_states > 1 and score[n_states - 2] > score[n_states - 1]:
        state -= 1
    total = score[state]
    result = np.empty(n_frames, dtype=np.int32)
    for block in range(n_stored - 1, -1, -1):
        first, end = block * spacing, min(n_frames, (block + 1) * spacing)
        score[:] = stored[block]
        for index in range(first, end):
            row, gap = steps[index - first], gaps[index]
            least, most = low[index - 1] if index else 0, high[index]
            _advance(score, frames[index], gap, tokens, jumps, skips, before_gap, least, most, row)
            score[least : low[index]] = -np.inf
        for index in range(end - 1, first - 1, -1):
            result[index] = state
            step = steps[index - first, state]
            while step == _LEFT_OUT:
                state = before_gap[state]
                step = steps[index - first, state]
            state -= step
    return result, total


@compiled
def _advance(score, frame, gap, tokens, jumps, skips, before_gap, first, end, steps):
    """Bring the scores (S,) of a frame to the next, and write down from where each came.

    Only states from ``first`` up to ``end`` have or get one.
    """
    one = two = np.float32(-np.inf)  # of the last frame, one and two states before
    for state in range(first, end):
        token = tokens[state]
        old = score[state]
        best, step = old, _STAY
        if one > best:
            best, step = one, _NEXT
        if token == GAP:
            if state > 0:
                left_out = score[before_gap[state]] - gap + skips[state]
                if left_out > best:
                    best, step = left_out, _LEFT_OUT
            score[state] = best + gap
        else:
            if jumps[state] and two > best:
                best, step = two, _JUMP
            score[state] = best + frame[token]
        steps[state] = step
        one, two = old, one
