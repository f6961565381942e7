"""A pass over a loader: hypotheses, counts and a loss. Training and inference share it."""

from src.evaluation.budget import ErrorBudget
from src.evaluation.passing import LAYOUT, evaluate, note_hot_words
from src.evaluation.result import Evaluation, Recognized

__all__ = ["LAYOUT", "ErrorBudget", "Evaluation", "Recognized", "evaluate", "note_hot_words"]
