"""Alphabet and normalisation of transcripts; imports no torch."""

from src.text.encoder import DEFAULT_ALPHABET, TextEncoder
from src.text.normalization import Normalizer

__all__ = ["DEFAULT_ALPHABET", "Normalizer", "TextEncoder"]
