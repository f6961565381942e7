"""A pass over a loader: hypotheses, counts and a loss. Training and inference share it."""

from deepspeech2.evaluation.budget import ErrorBudget, error_budget_of_parts
from deepspeech2.evaluation.evaluate import count_result, evaluate
from deepspeech2.evaluation.result import Evaluation, Recognized

__all__ = [
    "ErrorBudget",
    "Evaluation",
    "Recognized",
    "count_result",
    "error_budget_of_parts",
    "evaluate",
]
