"""Networks: features in, log-probabilities of tokens out."""

from deepspeech2.model.base import AcousticModel
from deepspeech2.model.deepspeech2 import DeepSpeech2

__all__ = ["AcousticModel", "DeepSpeech2"]
