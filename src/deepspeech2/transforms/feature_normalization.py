"""Features of mean 0 and standard deviation 1: per utterance, or by the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.transforms.transform import require, require_positive
from deepspeech2.types import Padded

SILENCE = 1e-10
"""The power of -100 dB."""


class NoNormalization(nn.Module):
    """Leaves features as they are."""

    def forward(self, features: Padded) -> Padded:
        return features


def leveled(waveforms: Padded, level: float) -> Padded:
    """Scale waveforms (B, S) to a root mean square of ``level`` dB of full scale each.

    Anything quieter than -100 dB is scaled as if it had -100 dB, so silence stays silence.
    """
    data = waveforms.masked().data
    energy = data.double().square().sum(1)  # float64: the padding's width makes no difference
    power = (energy / waveforms.lengths.clamp_min(1)).clamp_min(SILENCE)
    gain = (10 ** (level / 10) / power).sqrt().to(data.dtype)
    return Padded(data * gain[:, None], waveforms.lengths)


class UtteranceNormalization(nn.Module):
    """(x - mean) / (standard deviation + eps) over the frames of the utterance.

    A feature that is constant in the utterance becomes 0.

    Args:
        eps: keeps the quotient finite.
        per_feature: a mean and a deviation for each feature, or one pair for the utterance.
        level: dB of full scale to which :class:`~deepspeech2.transforms.FrontEnd` first scales
            waveforms, so that a quiet recording is not lost in the offset under the logarithm;
            LibriSpeech has -25. None leaves them as they are.
    """

    def __init__(
        self, *, eps: float = 1e-5, per_feature: bool = True, level: float | None = -25.0
    ) -> None:
        super().__init__()
        require_positive("eps", eps)
        require(level is None or -100 < level <= 0, "level", level, "from -100 to 0 dB, or null")
        self.eps = eps
        self.level = level
        self.axes = [1] if per_feature else [1, 2]

    def forward(self, features: Padded) -> Padded:
        """Map (B, T, F) to (B, T, F), zero in the padding."""
        mask = features.mask()[..., None]
        frames = features.lengths.clamp_min(1)[:, None, None]
        count = frames if self.axes == [1] else frames * features.data.shape[2]
        # Relative to the first frame a constant feature is exactly 0; the rounding of a mean far
        # from 0, divided by eps, would be noise.
        data = (features.data - features.data[:, :1, : None if self.axes == [1] else 1]) * mask
        centred = (data - data.sum(self.axes, keepdim=True) / count) * mask
        variance = centred.square().sum(self.axes, keepdim=True) / count
        return Padded(centred / (variance.sqrt() + self.eps), features.lengths)


class FeatureStatistics:
    """Mean and standard deviation of each feature, accumulated batch by batch in float64.

    Batches are merged as in Chan, Golub and LeVeque (1979), so that no large sums cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = torch.zeros((), dtype=torch.float64)

    def update(self, features: Padded) -> None:
        """Count the valid frames of features (B, T, F)."""
        frames = features.data[features.mask()].double()
        count = len(frames)
        if not count:
            return
        mean = frames.mean(0)
        squares = (frames - mean).square().sum(0)
        total = self.count + count
        delta = mean - self._mean
        self._squares = self._squares + squares + delta.square() * (self.count * count / total)
        self._mean = self._mean + delta * (count / total)
        self.count = total

    def result(self) -> tuple[Tensor, Tensor]:
        """Return mean and population standard deviation, each (F,) float32.

        Raises:
            ConfigError: no frame was counted.
        """
        if not self.count:
            raise ConfigError("the corpus must have at least one frame to fit a normalization to")
        return self._mean.float(), (self._squares / self.count).sqrt().float()


class GlobalNormalization(nn.Module):
    """(x - mean) / (standard deviation + eps) with statistics of the corpus.

    The statistics are persistent buffers. Without them it must be fitted, or loaded from a
    state dict, before it is used.

    Args:
        mean, std: (F,) each; both or neither.
        eps: keeps the quotient finite.

    Raises:
        ConfigError: an argument is out of range, or one statistic comes without the other.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | Tensor | None = None,
        std: Sequence[float] | Tensor | None = None,
        *,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        require_positive("eps", eps)
        if (mean is None) != (std is None):
            raise ConfigError("mean and std must be given together, or neither")
        self.eps = eps
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("std", torch.empty(0))
        if mean is not None and std is not None:
            self._set(*(torch.as_tensor(each, dtype=torch.float32) for each in (mean, std)))

    @property
    def fitted(self) -> bool:
        return self.mean.numel() > 0

    def fits(self, n_features: int) -> bool:
        """Whether there are finite statistics of ``n_features`` features."""
        alike = self.mean.shape == self.std.shape == (n_features,)
        finite = bool(self.mean.isfinite().all() and self.std.isfinite().all())
        return alike and finite and bool((self.std >= 0).all())

    def fit(self, batches: Iterable[Padded]) -> None:
        """Compute the statistics of the valid frames of features (B, T, F).

        Raises:
            ConfigError: the batches have no frame.
        """
        statistics = FeatureStatistics()
        for features in batches:
            statistics.update(features)
        self._set(*statistics.result())

    def forward(self, features: Padded) -> Padded:
        """Map (B, T, F) to (B, T, F), zero in the padding.

        Raises:
            ConfigError: there are no statistics yet, or they are of another number of features.
        """
        if not self.fitted:
            raise ConfigError("GlobalNormalization must be fitted or loaded before it is used")
        n_features = features.data.shape[2]
        require(len(self.mean) == n_features, "len(mean)", len(self.mean), f"{n_features}")
        data = (features.data - self.mean) / (self.std + self.eps)
        return Padded(data, features.lengths).masked()

    def _set(self, mean: Tensor, std: Tensor) -> None:
        require(mean.ndim == 1, "mean", tuple(mean.shape), "a list, one number for each feature")
        require(mean.shape == std.shape, "len(std)", std.numel(), f"len(mean) ({mean.numel()})")
        require(bool((std >= 0).all()), "std", std.tolist(), "0 or more")
        self.mean = mean.to(self.mean.device)
        self.std = std.to(self.std.device)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # torch refuses a tensor of another shape, and buffers without statistics are empty
        for name in () if self.fitted else ("mean", "std"):
            saved = state_dict.get(prefix + name)
            if isinstance(saved, Tensor):
                setattr(self, name, torch.zeros_like(saved, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
