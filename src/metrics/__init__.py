"""Word and character error rates; imports no torch."""

from src.metrics.edits import EditCounts, character_edits, word_edits
from src.metrics.score import CorpusScore

__all__ = ["CorpusScore", "EditCounts", "character_edits", "word_edits"]
