"""Word and character error rates; imports no torch."""

from deepspeech2.metrics.edits import EditCounts, character_edits, word_edits
from deepspeech2.metrics.score import CorpusScore

__all__ = ["CorpusScore", "EditCounts", "character_edits", "word_edits"]
