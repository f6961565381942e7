"""The front end: from waveforms to the features that the network reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from deepspeech2.transforms.feature_normalization import (
    GlobalNormalization,
    NoNormalization,
    leveled,
)
from deepspeech2.transforms.features import Spectrogram
from deepspeech2.transforms.tensors import as_transform
from deepspeech2.transforms.transform import FeatureTransform, WaveformTransform
from deepspeech2.types import Padded


class FrontEnd(nn.Module):
    """Waveform augmentations, features, normalisation, feature augmentations, in this order.

    Everything is computed in float32, without gradients, also under autocast.

    Args:
        features: a :class:`LogMelSpectrogram`, for example.
        normalization: a module that maps features (B, T, F) to features; None leaves them. If it
            has a ``level``, waveforms are scaled to it before anything else.
        waveform_transforms: applied to waveforms, in order; a module or function of a tensor
            (B, S) will do, see :class:`TensorTransform`.
        feature_transforms: applied to normalised features, in order; or of (B, F, T).
    """

    def __init__(
        self,
        features: Spectrogram,
        normalization: nn.Module | None = None,
        waveform_transforms: Sequence[WaveformTransform] = (),
        feature_transforms: Sequence[FeatureTransform] = (),
    ) -> None:
        super().__init__()
        self.features = features
        self.normalization = NoNormalization() if normalization is None else normalization
        self.waveform_transforms = tuple(map(as_transform, waveform_transforms))
        self.feature_transforms = tuple(
            as_transform(each, features=True) for each in feature_transforms
        )

    @property
    def n_features(self) -> int:
        return self.features.n_features

    @property
    def sample_rate(self) -> int:
        return self.features.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        return self.features.seconds_per_frame

    def output_lengths(self, samples: Tensor) -> Tensor:
        """Return the frames (B,) of utterances of ``samples`` (B,) samples, not augmented."""
        return self.features.output_lengths(samples)

    def fewest_frames(self, samples: Tensor) -> Tensor:
        """Return the frames (B,) if each augmentation makes its shortest result."""
        for transform in self.waveform_transforms:
            samples = transform.shortest(samples)
        return self.features.output_lengths(samples)

    def lengthened(self, waveforms: Padded) -> Padded:
        """Append silence to waveforms (B, S) up to the longest that augmentation can make."""
        lengths = waveforms.lengths.cpu()
        for transform in self.waveform_transforms:
            lengths = transform.longest(lengths)
        missing = max(0, int(lengths.max()) - waveforms.data.shape[1])
        data = torch.nn.functional.pad(waveforms.masked().data, (0, missing))
        return Padded(data, lengths.to(waveforms.lengths.device))

    def forward(
        self, waveforms: Padded, generator: torch.Generator | None = None, views: int = 1
    ) -> Padded:
        """Map waveforms to features.

        Args:
            waveforms: (B, S) at ``sample_rate``, S at least 1; values in the padding are ignored.
            generator: on the device of the waveforms; None: no augmentation.
            views: copies of each utterance, with the same augmentation of the waveform and
                different ones of the features.

        Returns:
            (views * B, T, F) float32, zero in the padding: all utterances, once for each view.
        """
        with _float32(waveforms):
            features = self.normalization(self._features(waveforms, generator))
            if views > 1:
                data = features.data.repeat(views, 1, 1)
                features = Padded(data, features.lengths.repeat(views))
            if generator is not None:
                for transform in self.feature_transforms:
                    features = transform(features, generator)
            return Padded(features.data, features.lengths)

    def augment(self, waveforms: Padded, generator: torch.Generator) -> Padded:
        """Return the waveforms (B, S) whose features :meth:`forward` makes with ``generator``."""
        with _float32(waveforms):
            waveforms = Padded(waveforms.data.float(), waveforms.lengths).masked()
            for transform in self.waveform_transforms:
                waveforms = transform(waveforms, generator)
            return waveforms

    def fit(self, batches: Iterable[Padded]) -> None:
        """Fit a :class:`GlobalNormalization` to waveforms (B, S); leave any other as it is.

        Raises:
            ConfigError: the batches have no frame.
        """
        if isinstance(self.normalization, GlobalNormalization):
            self.normalization.fit(self._features(batch, None) for batch in batches)

    def _features(self, waveforms: Padded, generator: torch.Generator | None) -> Padded:
        with _float32(waveforms):
            waveforms = Padded(waveforms.data.float(), waveforms.lengths)
            level = getattr(self.normalization, "level", None)
            if level is not None:
                waveforms = leveled(waveforms, level)
            if generator is not None:
                waveforms = self.augment(waveforms, generator)
            features = self.features(waveforms)
        assert isinstance(features, Padded)
        return features


@contextmanager
def _float32(inputs: Padded) -> Iterator[None]:
    """Switch off gradients, and autocast on the device of ``inputs``."""
    with torch.no_grad(), torch.autocast(inputs.data.device.type, enabled=False):
        yield
