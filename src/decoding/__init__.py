"""From log-probabilities to hypotheses."""

from src.decoding.base import Decoder
from src.decoding.beam import BeamSearchDecoder
from src.decoding.beam_lm import LanguageModelDecoder
from src.decoding.flashlight import FlashlightDecoder
from src.decoding.greedy import GreedyDecoder
from src.decoding.hotwords import fired
from src.decoding.words import Word, utterance_confidence, words

__all__ = [
    "BeamSearchDecoder",
    "Decoder",
    "FlashlightDecoder",
    "GreedyDecoder",
    "LanguageModelDecoder",
    "Word",
    "fired",
    "utterance_confidence",
    "words",
]
