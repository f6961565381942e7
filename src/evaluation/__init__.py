"""A pass over a loader: hypotheses, counts and a loss. Training and inference share it."""

from src.evaluation.budget import ErrorBudget
from src.evaluation.passing import evaluate
from src.evaluation.result import Evaluation, Recognized

__all__ = ["ErrorBudget", "Evaluation", "Recognized", "evaluate"]
