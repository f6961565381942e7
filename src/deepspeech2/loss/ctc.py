"""Connectionist temporal classification."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepspeech2.errors import ConfigError
from deepspeech2.types import Padded

BLANK = 0


@dataclass(frozen=True, slots=True)
class LossValue:
    """A sum and what it counts, so that ranks and accumulated batches add up correctly.

    Attributes:
        total: scalar float32, in nats, differentiable.
        count: scalar float32: the number of labels that ``total`` runs over.
    """

    total: Tensor
    count: Tensor


class CtcLoss(nn.Module):
    """Negative log-likelihood of the labels (Graves et al. 2006, section 4.1).

    The sum runs over labels, so ``total / count`` is nats per character: a batch of few long
    utterances weighs what a batch of many short ones does.

    Args:
        zero_infinity: count an utterance that has too few frames for its labels as 0 instead
            of infinity. Such utterances are found before training starts; speed perturbation
            may still make one.

    Attributes:
        views: differently augmented, of each utterance that it wants to see in training.
        step: of the run, from 0; the learner sets it before each one.
    """

    views = 1
    step = 0

    def __init__(self, *, zero_infinity: bool = True) -> None:
        super().__init__()
        if not isinstance(zero_infinity, bool):
            raise ConfigError(f"zero_infinity must be true or false, but is {zero_infinity!r}")
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: Padded, labels: Padded, lengths: Tensor | None = None
    ) -> LossValue:
        """Log-probabilities (B, T, V) and labels (B, L) to their loss.

        float32 and int64 always: int32 labels on the GPU would choose cuDNN's kernel, which
        returns wrong gradients for some lengths (pytorch/pytorch#21680).

        Args:
            lengths: (2, B) int64 on the CPU, those of ``log_probs`` and of ``labels``; None:
                they are fetched, for which a GPU makes everything wait.
        """
        with torch.autocast(log_probs.data.device.type, enabled=False):
            total = functional.ctc_loss(
                log_probs.data.float().transpose(0, 1),
                labels.data.long(),
                log_probs.lengths if lengths is None else lengths[0],
                labels.lengths if lengths is None else lengths[1],
                blank=BLANK,
                reduction="sum",
                zero_infinity=self.zero_infinity,
            )
        return LossValue(total, labels.lengths.sum().to(torch.float32))
