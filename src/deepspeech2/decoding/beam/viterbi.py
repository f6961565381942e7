"""When labels were emitted: the best CTC path through a known sequence of labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepspeech2.decoding.beam.frames import BLANK
from deepspeech2.types import Padded


def emission_frames(frames: Tensor, labels: Padded) -> Tensor:
    """The first frame of every label on the most probable path that reads ``labels``.

    The states are blank, label, blank, label, ..., blank, as in A. Graves et al., Connectionist
    Temporal Classification, ICML 2006, section 4.1, with the maximum in place of the sum.

    Args:
        frames: (T, B, V) log-probabilities; see :class:`deepspeech2.decoding.beam.frames.Frames`.
        labels: (B, L) without blanks.

    Returns:
        (B, L) int64, ascending in each row up to its length; beyond it without meaning.
    """
    states = labels.data.new_full((len(labels), 2 * labels.data.shape[1] + 1), BLANK)
    states[:, 1::2] = labels.masked(BLANK).data
    score, steps = _best_steps(frames, states)
    # A path ends in its last blank or its last label.
    ends = torch.stack([2 * labels.lengths, (2 * labels.lengths - 1).clamp(min=0)], dim=1)
    state = ends.gather(1, score.gather(1, ends).argmax(1, keepdim=True))
    path = torch.empty((len(frames), len(labels)), dtype=torch.int64, device=frames.device)
    for index in range(len(frames) - 1, -1, -1):
        path[index] = state[:, 0]
        # Below 0 only where no path exists at all, all scores being -inf.
        state = (state - steps[index].gather(1, state)).clamp_(min=0)
    # States never decrease along a path, so the first frame of a state is found by bisection.
    odd = torch.arange(1, states.shape[1], 2, device=frames.device)
    return torch.searchsorted(path.T.contiguous(), odd.expand(labels.data.shape).contiguous())


def _best_steps(frames: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S) scores of the best paths into each state; (T, B, S) by how many states they came."""
    batch, n_states = states.shape
    # Two states up is allowed from label to label, if they differ.
    leap = frames.new_full((batch, n_states, 3), 0.0)
    leap[:, 2:, 0].masked_fill_(states[:, 2:] == states[:, :-2], -math.inf)
    leap[:, ::2, 0] = -math.inf
    # Two columns stand before the states, so that three neighbours are one window. The second
    # of them is where all paths begin.
    score = frames.new_full((batch, n_states + 2), -math.inf)
    score[:, 1] = 0.0
    steps = torch.empty((len(frames), batch, n_states), dtype=torch.int8, device=frames.device)
    for index, frame in enumerate(frames):
        best, origin = (score.unfold(1, 3, 1) + leap).max(2)
        steps[index] = 2 - origin
        score[:, 2:] = best + frame.gather(1, states)
        score[:, :2] = -math.inf
    return score[:, 2:], steps
