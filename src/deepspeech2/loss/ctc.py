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
        phones_weight: in the same way that of the phones that ``model.phones_after`` learns. An
            utterance of fewer frames than they need counts as ``zero_infinity`` says.
        phones_language: in which eSpeak NG finds the phones of a transcript.

    Raises:
        ConfigError: a weight is negative, or both leave nothing for the last layer.

    Attributes:
        views: differently augmented, of each utterance that it wants to see in training.
        step: of the run, from 0; the learner sets it before each one.
    """

    views = 1
    step = 0

    def __init__(
        self,
        *,
        zero_infinity: bool = True,
        intermediate_weight: float = 0.0,
        phones_weight: float = 0.0,
        phones_language: str = "en-us",
    ) -> None:
        super().__init__()
        if not isinstance(zero_infinity, bool):
            raise ConfigError(f"zero_infinity must be true or false, but is {zero_infinity!r}")
        weights = {"intermediate_weight": intermediate_weight, "phones_weight": phones_weight}
        for name, weight in weights.items():
            if not 0 <= weight < 1:
                raise ConfigError(
                    f"loss_function.{name} must be at least 0 and below 1, but is {weight}"
                )
        if not intermediate_weight + phones_weight < 1:
            raise ConfigError(
                "loss_function.intermediate_weight and .phones_weight must be below 1 together,"
                f" but are {intermediate_weight} and {phones_weight}"
            )
        self.zero_infinity = zero_infinity
        self.intermediate_weight = intermediate_weight
        self.phones_weight = phones_weight
        self.phones_language = phones_language

    def forward(
        self,
        log_probs: Padded,
        labels: Padded,
        lengths: Tensor | None = None,
        phones: Padded | None = None,
        weights: Tensor | None = None,
    ) -> LossValue:
        """Log-probabilities (B, T, V) and labels (B, L) to their loss.

        float32 and int64 always: int32 labels on the GPU would choose cuDNN's kernel, which
        returns wrong gradients for some lengths (pytorch/pytorch#21680).

        Args:
            lengths: (2, B) int64 on the CPU, those of ``log_probs`` and of ``labels``; None:
                they are fetched, for which a GPU makes everything wait.
            phones: (B, L') labels on the CPU, for ``phones_weight``.
            weights: (B,) factors of the utterances' losses; the labels that are counted are the
                same. None: each is 1.
        """
        sizes = (log_probs.lengths, labels.lengths) if lengths is None else lengths.unbind()
        total = self._ctc(log_probs.data, labels.data, *sizes, weights=weights)
        if isinstance(log_probs, Tapped):
            total = self._with_taps(total, log_probs, labels, sizes, phones, weights)
        return LossValue(total, labels.lengths.sum().to(torch.float32))

    def _with_taps(
        self,
        last: Tensor,
        log_probs: Tapped,
        labels: Padded,
        sizes: tuple[Tensor, ...],
        phones: Padded | None,
        weights: Tensor | None,
    ) -> Tensor:
        """Return the loss of all taps that have a weight, and of the last layer."""
        others: list[tuple[float, Tensor]] = []
        if self.intermediate_weight and log_probs.taps:
            share = self.intermediate_weight / len(log_probs.taps)
            taps = (self._ctc(tap, labels.data, *sizes, weights=weights) for tap in log_probs.taps)
            others += [(share, each) for each in taps]
        if self.phones_weight and log_probs.phones is not None and phones is not None:
            heard = log_probs.phones
            spoken = phones.data.to(heard.device, non_blocking=True)
            total = self._ctc(heard, spoken, sizes[0], phones.lengths, weights=weights)
            others.append((self.phones_weight, total))
        if not others:
            return last
        rest = 1 - sum(weight for weight, _ in others)
        return rest * last + torch.stack([weight * total for weight, total in others]).sum()

    def _ctc(
        self,
        log_probs: Tensor,
        labels: Tensor,
        frames: Tensor,
        counts: Tensor,
        *,
        weights: Tensor | None,
    ) -> Tensor:
        """Return the sum over utterances, of log-probabilities (B, T, V) and labels (B, L)."""
        with torch.autocast(log_probs.device.type, enabled=False):
            losses = functional.ctc_loss(
                log_probs.float().transpose(0, 1),
                labels.long(),
                frames,
                counts,
                blank=BLANK,
                reduction="sum" if weights is None else "none",
                zero_infinity=self.zero_infinity,
            )
            if weights is None:
                return losses
            return (losses * weights.to(losses.device, non_blocking=True)).sum()
