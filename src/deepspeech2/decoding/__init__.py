"""From log-probabilities to hypotheses."""

from deepspeech2.decoding.beam.decoder import BeamSearchDecoder
from deepspeech2.decoding.beam.lm_decoder import LanguageModelDecoder
from deepspeech2.decoding.decoder import Decoder
from deepspeech2.decoding.greedy import GreedyDecoder
from deepspeech2.decoding.hotwords import fired
from deepspeech2.decoding.words import Word, utterance_confidence, words

__all__ = [
    "BeamSearchDecoder",
    "Decoder",
    "GreedyDecoder",
    "LanguageModelDecoder",
    "Word",
    "fired",
    "utterance_confidence",
    "words",
]
