"""Word and character error rates; imports no torch."""

from deepspeech2.metrics.edits import CorpusScore, EditCounts, character_edits, word_edits

__all__ = ["CorpusScore", "EditCounts", "character_edits", "word_edits"]
