"""Loudness."""

from __future__ import annotations

import torch
from torch import Tensor

from deepspeech2.transforms.checks import require_range
from deepspeech2.transforms.transform import Augmentation, uniform
from deepspeech2.types import Padded


class Gain(Augmentation[Tensor]):
    """Multiply by 10^(gain_db / 20); what leaves [-1, 1] is not clipped.

    The parameters are ``gain_db`` (B,), uniform between the two bounds.

    Raises:
        ConfigError: the range is empty or not finite.
    """

    def __init__(self, min_gain_db: float, max_gain_db: float) -> None:
        require_range("min_gain_db", min_gain_db, "max_gain_db", max_gain_db)
        self.min_gain_db = min_gain_db
        self.max_gain_db = max_gain_db

    def sample(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        return uniform(inputs, generator, self.min_gain_db, self.max_gain_db)

    def apply(self, inputs: Padded, parameters: Tensor) -> Padded:
        factors = 10.0 ** (parameters / 20.0)
        return Padded(inputs.data * factors[:, None], inputs.lengths)
