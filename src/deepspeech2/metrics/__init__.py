"""Word and character error rates; imports no torch."""

from deepspeech2.metrics.edits import CorpusScore, EditCounts, character_edits, word_edits
from deepspeech2.metrics.own import Metric, measure

__all__ = ["CorpusScore", "EditCounts", "Metric", "character_edits", "measure", "word_edits"]
