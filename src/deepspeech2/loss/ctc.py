"""Connectionist temporal classification."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepspeech2.errors import ConfigError
from deepspeech2.types import Padded, Tapped

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
        intermediate_weight: w, of the layers below the last that ``model.intermediate`` taps: the
            loss is (1 - w) times that of the last layer and w times the mean of theirs (Lee and
            Watanabe 2021). Validation has the last layer alone.

    Raises:
        ConfigError: ``intermediate_weight`` is not in [0, 1).

    Attributes:
        views: differently augmented, of each utterance that it wants to see in training.
        step: of the run, from 0; the learner sets it before each one.
    """

    views = 1
    step = 0

    def __init__(self, *, zero_infinity: bool = True, intermediate_weight: float = 0.0) -> None:
        super().__init__()
        if not isinstance(zero_infinity, bool):
            raise ConfigError(f"zero_infinity must be true or false, but is {zero_infinity!r}")
        if not 0 <= intermediate_weight < 1:
            raise ConfigError(
                "loss_function.intermediate_weight must be at least 0 and below 1, but is"
                f" {intermediate_weight}"
            )
        self.zero_infinity = zero_infinity
        self.intermediate_weight = intermediate_weight

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
        sizes = (log_probs.lengths, labels.lengths) if lengths is None else lengths.unbind()
        total = self._ctc(log_probs.data, labels.data, *sizes)
        weight, taps = self.intermediate_weight, _taps(log_probs)
        if weight and taps:
            each = [self._ctc(tap, labels.data, *sizes) for tap in taps]
            total = (1 - weight) * total + weight / len(taps) * torch.stack(each).sum()
        return LossValue(total, labels.lengths.sum().to(torch.float32))

    def _ctc(self, log_probs: Tensor, labels: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
        """Return the sum over utterances, of log-probabilities (B, T, V) and labels (B, L)."""
        with torch.autocast(log_probs.device.type, enabled=False):
            return functional.ctc_loss(
                log_probs.float().transpose(0, 1),
                labels.long(),
                frames,
                counts,
                blank=BLANK,
                reduction="sum",
                zero_infinity=self.zero_infinity,
            )


def _taps(log_probs: Padded) -> tuple[Tensor, ...]:
    return log_probs.taps if isinstance(log_probs, Tapped) else ()
