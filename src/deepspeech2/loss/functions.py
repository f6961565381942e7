"""Losses that know nothing of this program: those of torch, and plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.loss.ctc import LossValue
from deepspeech2.types import Padded


class LossFunction(nn.Module):
    """Calls a loss as torch's own are called: ``torch.nn.CTCLoss``, or a plain function.

    Args:
        function: maps log-probabilities (T, B, V) float32, labels (B, L), the lengths (B,) of the
            former and of the latter to nats: of each utterance (B,), or their sum. If it has a
            ``reduction``, that becomes the sum: a step averages over the labels of all its batches
            and ranks.
    """

    views = 1

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        if getattr(function, "blank", 0) != 0:
            raise ConfigError("loss_function.blank must be 0, which is the blank of every alphabet")
        if hasattr(function, "reduction"):
            function.reduction = "sum"
        self.function = function

    def forward(
        self, log_probs: Padded, labels: Padded, lengths: Tensor | None = None
    ) -> LossValue:
        """Log-probabilities (B, T, V) and labels (B, L) to their loss."""
        sizes = (log_probs.lengths, labels.lengths) if lengths is None else lengths.unbind()
        with torch.autocast(log_probs.data.device.type, enabled=False):
            each = self.function(log_probs.data.float().transpose(0, 1), labels.data.long(), *sizes)
        return LossValue(each.sum(), labels.lengths.sum().to(torch.float32))


def as_loss(made: Any) -> nn.Module:
    """``made`` itself if it returns a :class:`LossValue` of padded batches, else wrapped."""
    return made if hasattr(made, "views") else LossFunction(made)
