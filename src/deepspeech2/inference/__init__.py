"""Recognition with a trained model, and the files of its transcripts."""

from deepspeech2.inference.prediction_folder import PredictionFolder
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.inference.streaming import StreamingRecognizer
from deepspeech2.inference.summary import (
    budget_table,
    hot_word_table,
    score_table,
    transcript_lines,
)

__all__ = [
    "PredictionFolder",
    "Recognizer",
    "StreamingRecognizer",
    "budget_table",
    "hot_word_table",
    "score_table",
    "transcript_lines",
]
