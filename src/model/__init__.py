"""Networks: features in, log-probabilities of tokens out."""

from src.model.deepspeech2 import DeepSpeech2

__all__ = ["DeepSpeech2"]
