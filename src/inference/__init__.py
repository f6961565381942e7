"""Recognition with a trained model, and the files that hold its transcripts."""

from src.inference.recognizer import Recognizer
from src.inference.streaming import StreamingRecognizer
from src.inference.table import budget_table, hot_word_table, score_table, transcript_lines
from src.inference.transcripts import PredictionFolder

__all__ = [
    "PredictionFolder",
    "Recognizer",
    "StreamingRecognizer",
    "budget_table",
    "hot_word_table",
    "score_table",
    "transcript_lines",
]
