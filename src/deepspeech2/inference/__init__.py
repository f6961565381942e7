"""Recognition with a trained model, and the files that hold its transcripts."""

from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.inference.streaming import StreamingRecognizer
from deepspeech2.inference.table import budget_table, hot_word_table, score_table, transcript_lines
from deepspeech2.inference.transcripts import PredictionFolder

__all__ = [
    "PredictionFolder",
    "Recognizer",
    "StreamingRecognizer",
    "budget_table",
    "hot_word_table",
    "score_table",
    "transcript_lines",
]
