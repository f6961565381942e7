"""Frames for a search and the best path through them, one utterance at a time."""

# What Numba compiles carries no types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from deepspeech2.jit import compiled

BLANK = 0


@compiled
def compact(log_probs, length, n_labels, least_blank):
    """Frames in double precision, without those that are certainly silent.

    Args:
        log_probs: (T, V).
        length: frames before the padding.
        n_labels: how many best labels of a frame are kept.
        least_blank: a frame whose blank has more than this log-probability is a certain blank;
            of several in a row one stays, because it separates equal labels.

    Returns:
        (T', V) frames; (T',) which frame each was; the log-probability of the certain blanks.
    """
    n_tokens = log_probs.shape[1]
    frames = np.empty((length, n_tokens))
    positions = np.empty(length, dtype=np.int64)
    best = np.empty(min(n_labels, n_tokens - 1))
    skipped = 0.0
    kept = 0
    was_silent = False
    for index in range(length):
        source = log_probs[index]
        silent = source[BLANK] > least_blank
        if silent:
            skipped += source[BLANK]
            if was_silent:
                continue
            frames[kept] = -np.inf
            frames[kept, BLANK] = 0.0
        else:
            for token in range(n_tokens):
                frames[kept, token] = source[token]
            if n_labels < n_tokens - 1:
                _keep_best(frames[kept], best)
        was_silent = silent
        positions[kept] = index
        kept += 1
    return frames[:kept], positions[:kept], skipped


@compiled
def _keep_best(frame, best):
    """Set all labels but the ``len(best)`` best to -inf."""
    found = 0
    for token in range(1, len(frame)):
        value = frame[token]
        if found == len(best) and not value > best[found - 1]:
            continue
        place = min(found, len(best) - 1)
        while place > 0 and best[place - 1] < value:
            best[place] = best[place - 1]
            place -= 1
        best[place] = value
        found = min(found + 1, len(best))
    least = best[found - 1]
    n_equal = 0  # of labels as good as the last that is kept, the first are taken
    for place in range(found):
        n_equal += best[place] == least
    for token in range(1, len(frame)):
        if frame[token] == least and n_equal:
            n_equal -= 1
        elif not frame[token] > least:
            frame[token] = -np.inf


@compiled
def emission_frames(frames, labels):
    """The first frame of every label on the most probable path that reads ``labels``.

    The states are blank, label, blank, label, ..., blank, as in A. Graves et al., Connectionist
    Temporal Classification, ICML 2006, section 4.1, with the maximum in place of the sum. Where
    no path exists the result has no meaning.

    Args:
        frames: (T, V) log-probabilities.
        labels: (L,) without blanks.

    Returns:
        (L,) int64, ascending.
    """
    n_frames, n_states = len(frames), 2 * len(labels) + 1
    result = np.zeros(len(labels), dtype=np.int64)
    if n_frames == 0 or len(labels) == 0:
        return result
    score = np.full(n_states, -np.inf)
    steps = np.zeros((n_frames, n_states), dtype=np.uint8)
    score[0] = frames[0, BLANK]
    score[1] = frames[0, labels[0]]
    for index in range(1, n_frames):
        # states that can still be reached, and from which the end still can be
        lowest = max(0, n_states - 2 * (n_frames - index))
        for state in range(min(n_states, 2 * index + 2) - 1, lowest - 1, -1):
            label = labels[state >> 1] if state & 1 else BLANK
            best, step = score[state], 0
            if state > 0 and score[state - 1] > best:
                best, step = score[state - 1], 1
            if (
                state > 2
                and state & 1
                and label != labels[(state >> 1) - 1]
                and score[state - 2] > best
            ):
                best, step = score[state - 2], 2
            score[state] = best + frames[index, label]
            steps[index, state] = step
    state = n_states - 1
    if score[n_states - 2] > score[n_states - 1]:
        state -= 1
    for index in range(n_frames - 1, -1, -1):
        if state & 1:
            result[state >> 1] = index
        state = max(0, state - steps[index, state])
    return result
