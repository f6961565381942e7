"""Text encoders and normalisation of transcripts; imports no torch."""

from deepspeech2.text.encoder import DEFAULT_ALPHABET, TextEncoder
from deepspeech2.text.normalization import Normalizer
from deepspeech2.text.subwords import SubwordEncoder
from deepspeech2.text.tokenizer import Tokenizer

__all__ = ["DEFAULT_ALPHABET", "Normalizer", "SubwordEncoder", "TextEncoder", "Tokenizer"]
