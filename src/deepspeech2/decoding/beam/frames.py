"""Preparing log-probabilities for a search: precision, padding and pruning of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deepspeech2.types import Padded

BLANK = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames that a search walks through.

    Attributes:
        data: (T, B, V) log-probabilities. After the end of an utterance every frame is a certain
            blank, which leaves all prefixes and their scores as they are.
        positions: (B, T) the frame of the network's output that each stands for.
        skipped: (B,) log-probability of the blanks of all frames that were left out.
    """

    data: Tensor
    positions: Tensor
    skipped: Tensor


def prepare(
    log_probs: Padded, *, beam_size_token: int | None, blank_threshold: float | None
) -> Frames:
    """Frames of (B, T, V) log-probabilities, in float32 or float64.

    Args:
        log_probs: natural logarithms.
        beam_size_token: keep only so many best labels of a frame, and the blank.
        blank_threshold: take a frame as a certain blank if its blank is more probable. Of
            several in a row one stays, for it separates equal labels.
    """
    data, valid = log_probs.data, log_probs.mask()
    if data.dtype != torch.float64:
        data = data.float()
    if beam_size_token is not None:
        data = _best_labels(data, beam_size_token)
    positions = torch.arange(data.shape[1], device=data.device).expand(data.shape[:2])
    skipped = data.new_zeros(len(data))
    lengths = log_probs.lengths
    certain = ~valid
    if blank_threshold is not None:
        silent = valid & (data[..., BLANK] > math.log(blank_threshold))
        skipped = data[..., BLANK].masked_fill(~silent, 0.0).sum(1)
        follows = torch.zeros_like(silent)
        follows[:, 1:] = silent[:, :-1]
        kept = valid & ~(silent & follows)
        positions = torch.argsort(~kept, dim=1, stable=True)
        lengths = kept.sum(1)
        certain |= silent
    length = int(lengths.max()) if len(lengths) else 0
    positions = positions[:, :length]
    data = data.gather(1, positions[..., None].expand(-1, -1, data.shape[2]))
    certain = certain.gather(1, positions)
    certain |= torch.arange(length, device=data.device) >= lengths[:, None]
    data = torch.where(certain[..., None], _certain_blank(data), data)
    return Frames(data.transpose(0, 1).contiguous(), positions, skipped)


def _best_labels(data: Tensor, count: int) -> Tensor:
    labels = data[..., BLANK + 1 :]
    best = labels.topk(min(count, labels.shape[-1]), dim=-1)
    rest = torch.full_like(labels, -math.inf).scatter(-1, best.indices, best.values)
    return torch.cat([data[..., : BLANK + 1], rest], dim=-1)


def _certain_blank(data: Tensor) -> Tensor:
    frame = data.new_full(data.shape[-1:], -math.inf)
    frame[BLANK] = 0.0
    return frame
