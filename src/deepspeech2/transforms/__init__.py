"""On the device: waveform augmentations, features, normalisation, SpecAugment, the front end.

Constructors raise ConfigError for an argument out of range, with its name, its value and what is
allowed.
"""

from deepspeech2.transforms.augmentations import Gain, SpecAugment, SpeedPerturbation
from deepspeech2.transforms.compose import Compose, OneOf, RandomApply
from deepspeech2.transforms.feature_normalization import (
    FeatureStatistics,
    GlobalNormalization,
    NoNormalization,
    UtteranceNormalization,
)
from deepspeech2.transforms.features import (
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    LogSpectrogram,
    Spectrogram,
)
from deepspeech2.transforms.filters import BandPassFilter, HighPassFilter, LowPassFilter
from deepspeech2.transforms.front_end import FrontEnd
from deepspeech2.transforms.noise import ColoredNoise, RecordedNoise
from deepspeech2.transforms.noise_folder import NoiseFolder
from deepspeech2.transforms.reverberation import Reverberation
from deepspeech2.transforms.transform import Augmentation, FeatureTransform, WaveformTransform

__all__ = [
    "Augmentation",
    "BandPassFilter",
    "ColoredNoise",
    "Compose",
    "FeatureStatistics",
    "FeatureTransform",
    "FrontEnd",
    "Gain",
    "GlobalNormalization",
    "HighPassFilter",
    "LogMagnitudeSpectrogram",
    "LogMelSpectrogram",
    "LogSpectrogram",
    "LowPassFilter",
    "NoNormalization",
    "NoiseFolder",
    "OneOf",
    "RandomApply",
    "RecordedNoise",
    "Reverberation",
    "SpecAugment",
    "Spectrogram",
    "SpeedPerturbation",
    "UtteranceNormalization",
    "WaveformTransform",
]
