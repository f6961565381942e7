"""From log-probabilities to hypotheses."""

from src.decoding.base import Decoder
from src.decoding.beam import BeamSearchDecoder
from src.decoding.greedy import GreedyDecoder
from src.decoding.words import Word, utterance_confidence, words

__all__ = [
    "BeamSearchDecoder",
    "Decoder",
    "GreedyDecoder",
    "Word",
    "utterance_confidence",
    "words",
]
