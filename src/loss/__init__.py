"""Training objectives."""

from src.loss.ctc import CtcLoss, LossValue

__all__ = ["CtcLoss", "LossValue"]
