"""On the device: waveform augmentations, features, normalisation, SpecAugment, the front end."""

from src.transforms.base import Augmentation, FeatureTransform, WaveformTransform
from src.transforms.compose import Compose, OneOf, RandomApply
from src.transforms.features import (
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    LogSpectrogram,
    Spectrogram,
)
from src.transforms.filters import BandPassFilter, HighPassFilter, LowPassFilter
from src.transforms.front_end import FrontEnd
from src.transforms.gain import Gain
from src.transforms.noise import ColoredNoise, RecordedNoise
from src.transforms.normalization import (
    FeatureStatistics,
    GlobalNormalization,
    NoNormalization,
    UtteranceNormalization,
)
from src.transforms.recordings import NoiseFolder
from src.transforms.reverberation import Reverberation
from src.transforms.spec_augment import SpecAugment
from src.transforms.speed import SpeedPerturbation

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
