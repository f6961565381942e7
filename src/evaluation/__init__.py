"""A pass over a loader: hypotheses, counts and a loss. Training and inference share it."""

from src.evaluation.budget import ErrorBudget, error_budget_of_parts
from src.evaluation.passing import LAYOUT, count_result, evaluate
from src.evaluation.result import Evaluation, Recognized

__all__ = [
    "LAYOUT",
    "ErrorBudget",
    "Evaluation",
    "Recognized",
    "count_result",
    "error_budget_of_parts",
    "evaluate",
]
