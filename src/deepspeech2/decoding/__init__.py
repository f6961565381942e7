"""From log-probabilities to hypotheses."""

from deepspeech2.decoding.beam.decoders import BeamSearchDecoder, LanguageModelDecoder
from deepspeech2.decoding.decoder import Decoder, Word, utterance_confidence, words
from deepspeech2.decoding.greedy import GreedyDecoder
from deepspeech2.decoding.hotwords import fired

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
