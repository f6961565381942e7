"""Alphabet and normalisation of transcripts; imports no torch."""

from deepspeech2.text.encoder import DEFAULT_ALPHABET, TextEncoder
from deepspeech2.text.normalization import Normalizer

__all__ = ["DEFAULT_ALPHABET", "Normalizer", "TextEncoder"]
