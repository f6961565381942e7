"""CTC of two views of each utterance that shall agree."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from deepspeech2.errors import ConfigError
from deepspeech2.loss.ctc import CtcLoss, LossValue
from deepspeech2.types import Padded


class ConsistentCtcLoss(CtcLoss):
    """CTC that also asks for the same answer whatever the augmentation hides.

    Z. Yao et al., "CR-CTC: consistency regularization on CTC for improved speech recognition",
    2024, arXiv:2410.05101, section 3.2. The network reads each utterance twice, masked and
    dropped out differently; the loss is the mean of the two CTC losses, and ``weight`` times the
    divergences of each frame's distribution from the other's, which counts as given:

        1/2 sum_t KL(sg(b_t) | a_t) + KL(sg(a_t) | b_t)

    A step takes twice as long. Validation has one view, and plain CTC.

    Args:
        weight: of the divergences; the paper's is 0.2.
        warmup_steps: steps over which the weight rises linearly from 0, because two views of a
            network that has learnt nothing can diverge (as in icefall since k2-fsa/icefall#2075,
            over 2000 steps). The paper has none.
        others: see :class:`CtcLoss`; the divergences are those of the last layer.

    Raises:
        ConfigError: ``weight`` or ``warmup_steps`` is negative.
    """

    views = 2

    def __init__(
        self,
        *,
        weight: float = 0.2,
        warmup_steps: int = 0,
        zero_infinity: bool = True,
        intermediate_weight: float = 0.0,
        phones_weight: float = 0.0,
        phones_language: str = "en-us",
    ) -> None:
        super().__init__(
            zero_infinity=zero_infinity,
            intermediate_weight=intermediate_weight,
            phones_weight=phones_weight,
            phones_language=phones_language,
        )
        if not weight >= 0:
            raise ConfigError(f"loss_function.weight must be 0 or more, but is {weight}")
        if warmup_steps < 0:
            raise ConfigError(
                f"loss_function.warmup_steps must be 0 or more, but is {warmup_steps}"
            )
        self.weight = weight
        self.warmup_steps = warmup_steps

    @property
    def weight_now(self) -> float:
        """The weight at the present step."""
        if self.step >= self.warmup_steps:
            return self.weight
        return self.weight * self.step / self.warmup_steps

    def forward(
        self,
        log_probs: Padded,
        labels: Padded,
        lengths: Tensor | None = None,
        phones: Padded | None = None,
        weights: Tensor | None = None,
    ) -> LossValue:
        """Log-probabilities (B, T, V) or, the views one after the other, (2 B, T, V).

        ``weights`` are of the transcripts: views shall agree whatever an utterance's is.
        """
        if len(log_probs) == len(labels):
            return super().forward(log_probs, labels, lengths, phones, weights)
        first, second = log_probs.chunk(2)
        one, other = (
            super(ConsistentCtcLoss, self).forward(view, labels, lengths, phones, weights)
            for view in (first, second)
        )
        apart = divergence(first, second.data) + divergence(second, first.data)
        return LossValue((one.total + other.total + self.weight_now * apart) / 2, one.count)


def divergence(learner: Padded, teacher: Tensor) -> Tensor:
    """Sum over utterances and frames of KL(teacher | learner) in nats; the teacher has no gradient.

    Args:
        learner: log-probabilities (B, T, V).
        teacher: log-probabilities of the same shape.
    """
    with torch.autocast(teacher.device.type, enabled=False):
        each = functional.kl_div(
            learner.data.float(), teacher.detach().float(), reduction="none", log_target=True
        )
        return each.sum(2).masked_fill(~learner.mask(), 0.0).sum()
